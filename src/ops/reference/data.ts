// Views, moving data, linear maps.
import { numel } from "../../core/shape.ts";
import type { Ops } from "../ops.ts";
import { shapes } from "../shapes.ts";
import type { Recorder } from "./recorder.ts";

/** Operations that move data or multiply by a matrix. */
export function dataOps(r: Recorder): Pick<
  Ops,
  | "reshape"
  | "at"
  | "gatherRows"
  | "columns"
  | "concatColumns"
  | "stack"
  | "embedding"
  | "matmul"
> {
  return {
    reshape: (x, shape) => r.view(x, shapes.reshape(x, shape), 0),
    at(x, index) {
      const shape = shapes.at(x, index);
      return r.view(x, shape, index * numel(shape));
    },
    gatherRows: (sources, index) => gatherRows(r, sources, index),
    columns(x, first, count) {
      const shape = shapes.columns(x, first, count);
      const width = x.shape[1]!;
      const work = { items: shape[0]!, perItem: count };
      return r.record(shape, [x], work, (out, x) => (from, end) => {
        for (let t = from; t < end; t++) {
          const row = x.subarray(t * width + first, t * width + first + count);
          out.set(row, t * count);
        }
      });
    },
    concatColumns(parts) {
      const shape = shapes.concatColumns(parts);
      const [rows, width] = shape as [number, number];
      const work = { items: rows, perItem: width };
      return r.record(
        shape,
        [...parts],
        work,
        (out, ...data) => (from, end) => {
          for (let t = from; t < end; t++) {
            let column = t * width;
            for (const [i, part] of data.entries()) {
              const count = parts[i]!.shape[1]!;
              out.set(part.subarray(t * count, (t + 1) * count), column);
              column += count;
            }
          }
        },
      );
    },
    stack(parts) {
      const shape = shapes.stack(parts);
      const size = numel(shape.slice(1));
      const work = { items: parts.length, perItem: size };
      return r.record(
        shape,
        [...parts],
        work,
        (out, ...data) => (from, end) => {
          for (let i = from; i < end; i++) out.set(data[i]!, i * size);
        },
      );
    },
    embedding(table, ids, scale) {
      const shape = shapes.embedding(table, ids, scale);
      const [rows, width] = shape as [number, number];
      const weight = r.weight("embedding", table, "matrix");
      const index = ids.slice();
      const work = { items: rows, perItem: width };
      return r.record(shape, [], work, (out) => (from, end) => {
        for (let t = from; t < end; t++) {
          const source = index[t]! * width;
          for (let d = 0; d < width; d++) {
            out[t * width + d] = weight.data[source + d]! * scale;
          }
        }
      });
    },
    matmul(x, w) {
      const shape = shapes.matmul(x, w);
      const [outputs, width] = w.shape as [number, number];
      const weight = r.weight("matmul", w, "matrix");
      const work = { items: numel(shape), perItem: width };
      return r.record(shape, [x], work, (out, x) => (from, end) => {
        const { data } = weight;
        for (let item = from; item < end; item++) {
          const row = Math.floor(item / outputs) * width;
          const column = (item % outputs) * width;
          let sum = 0;
          for (let k = 0; k < width; k++) {
            sum += x[row + k]! * data[column + k]!;
          }
          out[item] = sum;
        }
      });
    },
  };
}

function gatherRows(
  r: Recorder,
  ...[sources, index]: Parameters<Ops["gatherRows"]>
): ReturnType<Ops["gatherRows"]> {
  const shape = shapes.gatherRows(sources, index);
  const size = numel(shape.slice(1));
  // Row index of the combined sources -> source and row within it.
  const places: [source: number, row: number][] = [];
  for (const [source, { shape }] of sources.entries()) {
    for (let row = 0; row < shape[0]!; row++) places.push([source, row]);
  }
  const picked = Array.from(index, (i) => places[i]!);
  const work = { items: picked.length, perItem: size };
  return r.record(shape, [...sources], work, (out, ...data) => (from, end) => {
    for (let t = from; t < end; t++) {
      const [source, row] = picked[t]!;
      out.set(data[source]!.subarray(row * size, (row + 1) * size), t * size);
    }
  });
}
