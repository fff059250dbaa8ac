// What a decoder layer leaves to whoever reads its streams next: an addend that
// is not normed yet.
import type { Shape } from "../../../core/shape.ts";
import type { Recorder } from "../recorder.ts";
import type { PendingWork, WebGpuTensor } from "../tensors.ts";
import { kernelOf } from "./kernel_set.ts";
import type { LayerPlan } from "./layer_plan.ts";

/** Streams and the addend that they lack. */
export class PendingAddend implements PendingWork {
  /** What the layer's last kernel left, see per_layer_projection.ts. */
  readonly left: WebGpuTensor;
  private readonly plan: LayerPlan;
  private readonly recorder: Recorder;
  private readonly shape: Shape;

  constructor(
    recorder: Recorder,
    plan: LayerPlan,
    left: WebGpuTensor,
    shape: Shape,
  ) {
    this.recorder = recorder;
    this.plan = plan;
    this.left = left;
    this.shape = shape;
  }

  complete(): WebGpuTensor {
    const out = this.recorder.output(this.shape);
    this.recorder.dispatch({
      ...kernelOf(this.plan.finish),
      reads: [this.left],
      writes: [out],
    });
    return out;
  }
}
