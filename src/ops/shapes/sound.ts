// Shapes of operations over sound.
import { formatShape, numel } from "../../core/shape.ts";
import type { OpShapes } from "../shapes.ts";
import { dims, opError, requireCount, requireShape } from "./check.ts";
import { requireHeads } from "./decoder.ts";

/** The conformer's operations. */
export const soundShapes: Pick<
  OpShapes,
  "depthwiseConv1d" | "cumulativeGroupNorm" | "relativeAttention"
> = {
  depthwiseConv1d(x, w) {
    const [, width] = dims("depthwiseConv1d", "x", x, "[T,D]");
    const [, , taps] = dims("depthwiseConv1d", "w", w, "[D,1,K]");
    requireShape("depthwiseConv1d", "w", w, [width!, 1, taps!]);
    return x.shape;
  },
  cumulativeGroupNorm(x, weight) {
    const [, , channels] = dims("cumulativeGroupNorm", "x", x, "[T,F,C]");
    requireShape("cumulativeGroupNorm", "weight", weight, [channels!]);
    return x.shape;
  },
  relativeAttention(q, k, v, positions, valid, options) {
    const op = "relativeAttention";
    const [rows, heads, width] = dims(op, "q", q, "[T,N,H]");
    const { past, future } = options;
    requireHeads(op, heads!, options.heads);
    requireCount(op, "past", past);
    requireCount(op, "future", future);
    requireShape(op, "k", k, q.shape);
    requireShape(op, "v", v, q.shape);
    requireShape(op, "positions", positions, [
      past + future + 1,
      heads!,
      width!,
    ]);
    if (numel(valid.shape) !== rows) {
      throw opError(
        op,
        `valid ${formatShape(valid.shape)} must have ${rows} elements`,
      );
    }
    return q.shape;
  },
};
