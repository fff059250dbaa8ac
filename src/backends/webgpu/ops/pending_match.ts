// What the embedding of streams leaves to the first layer: projections that lack
// the magnitude of the embedding.
import type { Recorder } from "../recorder.ts";
import type { PendingWork, WebGpuTensor } from "../tensors.ts";
import { matchStreamsKernel } from "../kernels/decoder_layer/match_streams.ts";
import type { StreamsShape } from "../kernels/decoder_layer/streams_shape.ts";
import { kernelOf, type KernelSet } from "./kernel_set.ts";

/** Streams, of which all but the first lack its magnitude. */
export class PendingMatch implements PendingWork {
  /** `[A, 1, D]`, without it. */
  readonly unmatched: WebGpuTensor;
  private readonly recorder: Recorder;
  private readonly shape: StreamsShape;
  private readonly kernels: KernelSet;

  constructor(
    recorder: Recorder,
    unmatched: WebGpuTensor,
    shape: StreamsShape,
    kernels: KernelSet,
  ) {
    this.recorder = recorder;
    this.unmatched = unmatched;
    this.shape = shape;
    this.kernels = kernels;
  }

  /** What magnitudes are kept from dividing by. */
  get magnitudeEps(): number {
    return this.shape.magnitudeEps;
  }

  complete(): WebGpuTensor {
    const { recorder: r, unmatched, kernels, shape } = this;
    const out = r.output(unmatched.shape);
    r.dispatch({
      ...kernelOf(kernels.get("match", () => matchStreamsKernel(shape))),
      reads: [unmatched],
      writes: [out],
    });
    return out;
  }
}
