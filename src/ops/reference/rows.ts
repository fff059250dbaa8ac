// Operations that reduce over the last dimension. Sums are float64, in order.
import { numel } from "../../core/shape.ts";
import type { Ops } from "../ops.ts";
import { shapes } from "../shapes.ts";
import type { Recorder } from "./recorder.ts";

/** Norms and statistics of rows. */
export function rowOps(
  r: Recorder,
): Pick<Ops, "rmsNorm" | "gaussianTopK" | "matchMagnitude"> {
  return {
    rmsNorm(x, weight, eps) {
      const shape = shapes.rmsNorm(x, weight, eps);
      const width = shape.at(-1)!;
      const w = weight && r.weight("rmsNorm", weight, "vector");
      const work = { items: rowsOf(shape), perItem: 2 * width };
      return r.record(shape, [x], work, (out, x) => (first, end) => {
        for (let t = first; t < end; t++) {
          const from = t * width;
          const factor = 1 / Math.sqrt(meanSquare(x, from, width) + eps);
          for (let d = 0; d < width; d++) {
            const normed = x[from + d]! * factor;
            out[from + d] = w ? normed * w.data[d]! : normed;
          }
        }
      });
    },
    gaussianTopK(x, multiplier) {
      const shape = shapes.gaussianTopK(x, multiplier);
      const width = shape.at(-1)!;
      const work = { items: rowsOf(shape), perItem: 3 * width };
      return r.record(shape, [x], work, (out, x) => (first, end) => {
        for (let t = first; t < end; t++) {
          const from = t * width;
          let sum = 0;
          for (let d = 0; d < width; d++) sum += x[from + d]!;
          const mean = sum / width;
          let squares = 0;
          for (let d = 0; d < width; d++) squares += (x[from + d]! - mean) ** 2;
          const cutoff = mean + multiplier * Math.sqrt(squares / width);
          for (let d = 0; d < width; d++) {
            out[from + d] = Math.max(0, x[from + d]! - cutoff);
          }
        }
      });
    },
    matchMagnitude(x, target, eps) {
      const shape = shapes.matchMagnitude(x, target, eps);
      const width = shape.at(-1)!;
      const work = { items: rowsOf(shape), perItem: 3 * width };
      return r.record(shape, [x, target], work, (out, x, target) => {
        return (first, end) => {
          for (let t = first; t < end; t++) {
            const from = t * width;
            const wanted = Math.sqrt(meanSquare(target, from, width));
            const found = Math.max(meanSquare(x, from, width), eps);
            const factor = wanted / Math.sqrt(found);
            for (let d = 0; d < width; d++) {
              out[from + d] = x[from + d]! * factor;
            }
          }
        };
      });
    },
  };
}

function rowsOf(shape: readonly number[]): number {
  return numel(shape.slice(0, -1));
}

function meanSquare(x: Float32Array, from: number, width: number): number {
  let sum = 0;
  for (let d = 0; d < width; d++) sum += x[from + d]! ** 2;
  return sum / width;
}
