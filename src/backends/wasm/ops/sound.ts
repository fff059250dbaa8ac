// Operations over sound, `[T, D]`.
import { numel } from "../../../core/shape.ts";
import type { Ops } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { OP } from "../op_codes.ts";
import type { Recorder } from "../recorder.ts";
import { F32_BYTES } from "../tensors.ts";
import { convolveDepthwise } from "./pictures.ts";
import { COPY_COST, EXP_COST, workOf } from "./rows.ts";

/** Operations of this group. */
type SoundOps = Pick<
  Ops,
  "depthwiseConv1d" | "cumulativeGroupNorm" | "relativeAttention"
>;

/** Mean and variance of a row, as f64. */
const STATISTICS_BYTES = 16;

/** Operations over sound. */
export function soundOps(r: Recorder): SoundOps {
  return {
    depthwiseConv1d(x, w) {
      const [rows, width] = shapes.depthwiseConv1d(x, w) as readonly [
        number,
        number,
      ];
      const weight = r.ownWeight("depthwiseConv1d", w, "depthwiseConv1d");
      // A picture one column wide, with zeros before its first row.
      const top = weight.taps - 1;
      const padding = { top, bottom: 0, left: 0, right: 0 };
      const picture = r.view(x, [rows, 1, width], 0);
      const options = { stride: [1, 1], padding } as const;
      const out = convolveDepthwise(r, picture, weight, options, picture.shape);
      return r.view(out, [rows, width], 0);
    },
    cumulativeGroupNorm(x, weight, eps) {
      const shape = shapes.cumulativeGroupNorm(x, weight, eps);
      const vector = r.ownWeight("cumulativeGroupNorm", weight, "vector");
      const [rows, , channels] = shape as readonly [number, number, number];
      const size = numel(shape.slice(1));
      const work = workOf(size === 0 ? 0 : rows, size * COPY_COST);
      const statistics = r.room(rows * STATISTICS_BYTES);
      r.begin(OP.rowStatistics, work)
        .tensor(r.own(x)).buffer(statistics).sizes(size);
      r.begin(OP.runningStatistics, { units: 1, unitCost: 10 * rows })
        .buffer(statistics).sizes(rows, size).number(eps);
      const out = r.output(shape);
      r.begin(OP.cumulativeGroupNorm, work)
        .tensor(r.own(x)).weight(vector).buffer(statistics).tensor(out)
        .sizes(size, channels);
      return out;
    },
    relativeAttention(q, k, v, positions, valid, options) {
      const shape = shapes.relativeAttention(
        q,
        k,
        v,
        positions,
        valid,
        options,
      );
      const [rows, heads, width] = shape as readonly [number, number, number];
      const { past, future, softcap } = options;
      const span = past + future + 1;
      const out = r.output(shape);
      r.begin(OP.relativeAttention, {
        units: heads * width === 0 ? 0 : rows,
        unitCost: heads * span * (width + 2 * EXP_COST),
      });
      for (const x of [q, k, v, positions, valid]) r.tensor(r.own(x));
      r.tensor(out).scratch(span * F32_BYTES)
        .sizes(rows, heads, width, past, future).number(softcap);
      return out;
    },
  };
}
