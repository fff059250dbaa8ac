// The text decoder's operations, without those on key-value stores.
import { numel } from "../../../core/shape.ts";
import type { Ops } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { altupCorrectWgsl, altupPredictWgsl } from "../kernels/altup.ts";
import { lanesOf } from "../kernels/elements.ts";
import { ropeWgsl } from "../kernels/rope.ts";
import { addToStreamsWgsl, meanStreamsWgsl } from "../kernels/streams.ts";
import { elementGrid, type Recorder } from "../recorder.ts";

/** Operations of this group. */
type DecoderOps = Pick<
  Ops,
  "rope" | "altupPredict" | "altupCorrect" | "addToStreams" | "meanStreams"
>;

/** Rotary embedding and AltUp. */
export function decoderOps(r: Recorder): DecoderOps {
  return {
    rope(x, cos, sin) {
      const out = r.output(shapes.rope(x, cos, sin));
      const [, heads, width] = out.shape as readonly [number, number, number];
      const pairs = numel(out.shape) / 2;
      r.dispatch({
        code: ropeWgsl,
        constants: { HEADS: heads, HALF: width / 2 },
        reads: [r.own(x), r.own(cos), r.own(sin)],
        writes: [out],
        params: [pairs],
        workgroups: elementGrid(pairs),
      });
      return out;
    },
    altupPredict(x, coefs) {
      const out = r.output(shapes.altupPredict(x, coefs));
      const [streams, rows, width] = out.shape as [number, number, number];
      const lanes = lanesOf(width);
      r.dispatch({
        code: altupPredictWgsl[lanes],
        constants: { STREAMS: streams, WIDTH: width / lanes },
        reads: [r.own(x), r.own(coefs)],
        writes: [out],
        params: [rows],
        workgroups: elementGrid(numel(out.shape) / lanes),
      });
      return out;
    },
    altupCorrect(predicted, activated, coefs, active) {
      const shape = shapes.altupCorrect(predicted, activated, coefs, active);
      const out = r.output(shape);
      const [streams, rows, width] = shape as [number, number, number];
      const lanes = lanesOf(width);
      const WIDTH = width / lanes;
      r.dispatch({
        code: altupCorrectWgsl[lanes],
        constants: { STREAMS: streams, WIDTH, ACTIVE: active },
        reads: [r.own(predicted), r.own(activated), r.own(coefs)],
        writes: [out],
        params: [rows],
        workgroups: elementGrid(numel(shape) / lanes),
      });
      return out;
    },
    addToStreams(x, y) {
      const out = r.output(shapes.addToStreams(x, y));
      const size = numel(y.shape);
      const lanes = lanesOf(size);
      const count = numel(out.shape) / lanes;
      r.dispatch({
        code: addToStreamsWgsl[lanes],
        reads: [r.own(x), r.own(y)],
        writes: [out],
        params: [count, size / lanes],
        workgroups: elementGrid(count),
      });
      return out;
    },
    meanStreams(x) {
      const out = r.output(shapes.meanStreams(x));
      const lanes = lanesOf(numel(out.shape));
      const count = numel(out.shape) / lanes;
      r.dispatch({
        code: meanStreamsWgsl[lanes],
        constants: { STREAMS: x.shape[0]! },
        reads: [r.own(x)],
        writes: [out],
        params: [count],
        workgroups: elementGrid(count),
      });
      return out;
    },
  };
}
