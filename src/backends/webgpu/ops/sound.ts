// Operations over sound, `[T, D]`.
import { numel } from "../../../core/shape.ts";
import type { Ops } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { cumulativeGroupNormWgsl } from "../kernels/cumulative_group_norm.ts";
import { relativeAttentionWgsl } from "../kernels/relative_attention.ts";
import { rowStatisticsWgsl } from "../kernels/row_statistics.ts";
import { runningStatisticsWgsl } from "../kernels/running_statistics.ts";
import { grid, type Recorder } from "../recorder.ts";
import { F32_BYTES } from "../tensors.ts";
import { convolveDepthwise } from "./pictures.ts";

/** Operations of this group. */
type SoundOps = Pick<
  Ops,
  "depthwiseConv1d" | "cumulativeGroupNorm" | "relativeAttention"
>;

/** Two numbers a row. */
const STATISTICS_BYTES = 2 * F32_BYTES;

/** Threads of a workgroup of `cumulativeGroupNorm`. */
const THREADS = 64;

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
      const elements = numel(shape);
      if (elements === 0) return r.output(shape);
      const [rows, bands, channels] = shape as [number, number, number];
      const own = r.own(x);
      const WIDTH = bands * channels;
      const statistics = r.room(rows * STATISTICS_BYTES);
      r.dispatch({
        code: rowStatisticsWgsl,
        constants: { WIDTH },
        reads: [own],
        writes: [statistics],
        params: [rows],
        workgroups: grid(rows),
      });
      const running = r.room(rows * STATISTICS_BYTES);
      r.dispatch({
        code: runningStatisticsWgsl,
        constants: { WIDTH, EPS: eps },
        reads: [statistics],
        writes: [running],
        params: [rows],
        workgroups: [1, 1, 1],
      });
      const out = r.output(shape);
      r.dispatch({
        code: cumulativeGroupNormWgsl,
        constants: { WIDTH, CHANNELS: channels },
        reads: [own, vector.parts[0]!.values, running],
        writes: [out],
        params: [elements],
        workgroups: grid(Math.ceil(elements / THREADS)),
      });
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
      const out = r.output(shape);
      if (numel(shape) === 0) return out;
      r.dispatch({
        code: relativeAttentionWgsl,
        constants: {
          HEADS: heads,
          WIDTH: width,
          PAST: past,
          SOFTCAP: softcap,
          SPAN: past + future + 1,
        },
        reads: [q, k, v, positions, valid].map((x) => r.own(x)),
        writes: [out],
        params: [rows],
        workgroups: grid(rows * heads),
      });
      return out;
    },
  };
}
