// The conformer's operations over sound, `[T, D]`.
import type { Ops } from "../ops.ts";
import { shapes } from "../shapes.ts";
import type { Recorder } from "./recorder.ts";
import { softmax } from "./softmax.ts";

/** Causal convolution, cumulative group norm, local attention. */
export function soundOps(
  r: Recorder,
): Pick<
  Ops,
  "depthwiseConv1d" | "cumulativeGroupNorm" | "relativeAttention"
> {
  return {
    depthwiseConv1d(x, w) {
      const shape = shapes.depthwiseConv1d(x, w);
      const [rows, width] = shape as [number, number];
      const taps = w.shape[2]!;
      const weight = r.weight("depthwiseConv1d", w, "depthwiseConv1d");
      const work = { items: rows, perItem: width * taps };
      return r.record(shape, [x], work, (out, x) => (first, end) => {
        const { data } = weight;
        for (let t = first; t < end; t++) {
          for (let d = 0; d < width; d++) {
            let sum = 0;
            for (let i = Math.max(0, taps - 1 - t); i < taps; i++) {
              sum += x[(t - taps + 1 + i) * width + d]! * data[d * taps + i]!;
            }
            out[t * width + d] = sum;
          }
        }
      });
    },
    cumulativeGroupNorm(x, weight, eps) {
      const shape = shapes.cumulativeGroupNorm(x, weight, eps);
      const [rows, bands, channels] = shape as [number, number, number];
      const size = bands * channels;
      const w = r.weight("cumulativeGroupNorm", weight, "vector");
      const work = { items: rows, perItem: 3 * size };
      return r.record(shape, [x], work, (out, x) => {
        // Rows come in order, also when they come in several slices.
        let sum = 0;
        let squares = 0;
        return (first, end) => {
          for (let t = first; t < end; t++) {
            const from = t * size;
            const count = (t + 1) * size;
            for (let i = 0; i < size; i++) sum += x[from + i]!;
            const mean = sum / count;
            for (let i = 0; i < size; i++) {
              squares += (x[from + i]! - mean) ** 2;
            }
            const factor = 1 / Math.sqrt(squares / count + eps);
            for (let i = 0; i < size; i++) {
              out[from + i] = (x[from + i]! - mean) * factor *
                w.data[i % channels]!;
            }
          }
        };
      });
    },
    relativeAttention: (q, k, v, positions, valid, options) =>
      relativeAttention(r, q, k, v, positions, valid, options),
  };
}

function relativeAttention(
  r: Recorder,
  ...[q, k, v, positions, valid, options]: Parameters<Ops["relativeAttention"]>
): ReturnType<Ops["relativeAttention"]> {
  const shape = shapes.relativeAttention(q, k, v, positions, valid, options);
  const [rows, heads, width] = shape as [number, number, number];
  const { past, future, softcap } = options;
  const work = {
    items: rows * heads,
    perItem: 3 * (past + future + 1) * width,
  };
  const inputs = [q, k, v, positions, valid] as const;
  return r.record(shape, inputs, work, (out, q, k, v, positions, valid) => {
    return (start, end) => {
      const scores = new Float64Array(past + future + 1);
      const seen = new Int32Array(past + future + 1);
      for (let item = start; item < end; item++) { // item = t * N + n
        const t = Math.floor(item / heads), n = item % heads;
        const query = item * width;
        let count = 0;
        const last = Math.min(rows - 1, t + future);
        for (let s = Math.max(0, t - past); s <= last; s++) {
          if (valid[s] === 0) continue;
          const key = (s * heads + n) * width;
          const distance = ((s - t + past) * heads + n) * width;
          let dot = 0;
          for (let h = 0; h < width; h++) {
            dot += q[query + h]! * (k[key + h]! + positions[distance + h]!);
          }
          scores[count] = softcap * Math.tanh(dot / softcap);
          seen[count++] = key;
        }
        softmax(scores, count);
        for (let h = 0; h < width; h++) {
          let sum = 0;
          for (let i = 0; i < count; i++) sum += scores[i]! * v[seen[i]! + h]!;
          out[query + h] = sum;
        }
      }
    };
  });
}
