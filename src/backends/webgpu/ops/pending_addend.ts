// What a decoder layer leaves to whoever reads its streams next: an addend that
// is not normed yet.
import type { Recorder } from "../recorder.ts";
import type { PendingWork, WebGpuTensor } from "../tensors.ts";
import { kernelOf } from "./kernel_set.ts";
import type { LayerPlan } from "./layer_plan.ts";

/** An addend, and what it joins. */
export class PendingAddend implements PendingWork {
  readonly plan: LayerPlan;
  /** `[A, 1, D]`, without it. */
  readonly streams: WebGpuTensor;
  /** `[D]` */
  readonly addend: WebGpuTensor;
  private readonly recorder: Recorder;

  constructor(
    recorder: Recorder,
    plan: LayerPlan,
    streams: WebGpuTensor,
    addend: WebGpuTensor,
  ) {
    this.recorder = recorder;
    this.plan = plan;
    this.streams = streams;
    this.addend = addend;
  }

  complete(): WebGpuTensor {
    const out = this.recorder.output(this.streams.shape);
    this.recorder.dispatch({
      ...kernelOf(this.plan.finish),
      reads: [this.streams, this.addend, this.plan.addendNorm],
      writes: [out],
    });
    return out;
  }
}
