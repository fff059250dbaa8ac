// The text decoder's operations.
import { InputError } from "../../core/errors.ts";
import { numel } from "../../core/shape.ts";
import type { Ops, Segment } from "../ops.ts";
import { shapes } from "../shapes.ts";
import type { ReferenceKvStore } from "./memory.ts";
import type { Recorder } from "./recorder.ts";
import { softmax } from "./softmax.ts";

/** Rotary embedding, key-value stores, attention, AltUp. */
export function decoderOps(r: Recorder): Pick<
  Ops,
  | "rope"
  | "appendKv"
  | "attention"
  | "altupPredict"
  | "altupCorrect"
  | "addToStreams"
  | "meanStreams"
> {
  return {
    rope(x, cos, sin) {
      const shape = shapes.rope(x, cos, sin);
      const [rows, heads, width] = shape as [number, number, number];
      const half = width / 2;
      const work = { items: rows * heads, perItem: 2 * width };
      return r.record(shape, [x, cos, sin], work, (out, x, cos, sin) => {
        return (first, end) => {
          for (let item = first; item < end; item++) {
            const from = item * width;
            const angle = Math.floor(item / heads) * half;
            for (let i = 0; i < half; i++) {
              const c = cos[angle + i]!, s = sin[angle + i]!;
              const a = x[from + i]!, b = x[from + half + i]!;
              out[from + i] = a * c - b * s;
              out[from + half + i] = b * c + a * s;
            }
          }
        };
      });
    },
    appendKv(stores, segments, k, v) {
      shapes.appendKv(stores, segments, k, v);
      const own = r.stores("appendKv", stores);
      const spans = segments.map((segment) => ({ ...segment }));
      const size = k.shape[1]! * k.shape[2]!;
      const work = { items: spans.length, perItem: numel(k.shape) };
      r.recordEffect([k, v], work, (k, v) => (first, end) => {
        for (let i = first; i < end; i++) {
          append(own[i]!, spans[i]!, size, k, v);
        }
      });
    },
    attention: (q, stores, segments, options) =>
      attention(r, q, stores, segments, options),
    altupPredict(x, coefs) {
      const shape = shapes.altupPredict(x, coefs);
      const [streams, rows, width] = shape as [number, number, number];
      const work = { items: streams * rows, perItem: streams * width };
      return r.record(shape, [x, coefs], work, (out, x, coefs) => {
        return (first, end) => {
          for (let item = first; item < end; item++) { // item = i * T + t
            const i = Math.floor(item / rows), t = item % rows;
            for (let d = 0; d < width; d++) {
              let sum = x[item * width + d]!;
              for (let j = 0; j < streams; j++) {
                sum += coefs[(t * streams + i) * streams + j]! *
                  x[(j * rows + t) * width + d]!;
              }
              out[item * width + d] = sum;
            }
          }
        };
      });
    },
    altupCorrect(predicted, activated, coefs, active) {
      const shape = shapes.altupCorrect(predicted, activated, coefs, active);
      const [streams, rows, width] = shape as [number, number, number];
      const work = { items: streams * rows, perItem: 2 * width };
      const inputs = [predicted, activated, coefs] as const;
      return r.record(
        shape,
        inputs,
        work,
        (out, predicted, activated, coefs) => {
          return (first, end) => {
            for (let item = first; item < end; item++) { // item = i * T + t
              const i = Math.floor(item / rows), t = item % rows;
              const coef = coefs[t * streams + i]! + 1;
              for (let d = 0; d < width; d++) {
                const innovation = activated[t * width + d]! -
                  predicted[(active * rows + t) * width + d]!;
                out[item * width + d] = predicted[item * width + d]! +
                  innovation * coef;
              }
            }
          };
        },
      );
    },
    addToStreams(x, y) {
      const shape = shapes.addToStreams(x, y);
      const size = numel(shape.slice(1));
      const work = { items: numel(shape), perItem: 1 };
      return r.record(shape, [x, y], work, (out, x, y) => (first, end) => {
        for (let i = first; i < end; i++) {
          out[i] = i < size ? x[i]! : x[i]! + y[i % size]!;
        }
      });
    },
    meanStreams(x) {
      const shape = shapes.meanStreams(x);
      const streams = x.shape[0]!;
      const size = numel(shape);
      const work = { items: size, perItem: streams };
      return r.record(shape, [x], work, (out, x) => (first, end) => {
        for (let i = first; i < end; i++) {
          let sum = 0;
          for (let a = 0; a < streams; a++) sum += x[a * size + i]!;
          out[i] = sum / streams;
        }
      });
    },
  };
}

/** `size` is the elements of a position, K * H. */
function append(
  store: ReferenceKvStore,
  segment: Segment,
  size: number,
  k: Float32Array,
  v: Float32Array,
): void {
  for (let i = 0; i < segment.rows; i++) {
    const from = (segment.firstRow + i) * size;
    store.set(
      segment.firstPosition + i,
      k.subarray(from, from + size),
      v.subarray(from, from + size),
    );
  }
}

function attention(
  r: Recorder,
  ...[q, stores, segments, options]: Parameters<Ops["attention"]>
): ReturnType<Ops["attention"]> {
  const shape = shapes.attention(q, stores, segments, options);
  const [rows, heads, width] = shape as [number, number, number];
  const { window = Infinity, scale } = options;
  const own = r.stores("attention", stores);
  // Row t -> its store and its position.
  const places = segments.flatMap((segment, i) =>
    Array.from({ length: segment.rows }, (_, row) => ({
      store: own[i]!,
      position: segment.firstPosition + row,
    }))
  );
  const longest = Math.max(0, ...stores.map((store) => store.capacity));
  const work = { items: rows * heads, perItem: 2 * longest * width + 1 };
  return r.record(shape, [q], work, (out, q) => (start, end) => {
    const scores = new Float64Array(longest);
    for (let item = start; item < end; item++) { // item = t * N + n
      const { store, position } = places[Math.floor(item / heads)]!;
      const head = Math.floor((item % heads) * store.kvHeads / heads);
      const first = Math.max(0, position - window + 1);
      const count = position - first + 1;
      const query = item * width;
      for (let s = 0; s < count; s++) {
        const from = rowOf(store, first + s, head);
        let dot = 0;
        for (let h = 0; h < width; h++) {
          dot += q[query + h]! * store.keys[from + h]!;
        }
        scores[s] = dot * scale;
      }
      softmax(scores, count);
      for (let h = 0; h < width; h++) {
        let sum = 0;
        for (let s = 0; s < count; s++) {
          sum += scores[s]! * store.values[rowOf(store, first + s, head) + h]!;
        }
        out[query + h] = sum;
      }
    }
  });
}

/** Index of a position's key (and value) of one head; the ring must still hold it. */
function rowOf(
  store: ReferenceKvStore,
  position: number,
  head: number,
): number {
  const row = position % store.capacity;
  if (store.positions[row] !== position) {
    throw new InputError(
      `Cannot run "attention": position ${position} is not in its key-value ` +
        `store, which holds position ${store.positions[row]} there`,
    );
  }
  return (row * store.kvHeads + head) * store.headDim;
}
