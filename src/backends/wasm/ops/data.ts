// Views, moving data, linear maps.
import { InputError } from "../../../core/errors.ts";
import { numel } from "../../../core/shape.ts";
import type { Ops } from "../../../ops/ops.ts";
import { shapes } from "../../../ops/shapes.ts";
import { OP } from "../op_codes.ts";
import type { Recorder } from "../recorder.ts";
import { F32_BYTES, type WasmTensor, type WasmWeight } from "../tensors.ts";
import { divideProduct } from "./product_work.ts";
import { EMBEDDING, multiplyGated, multiplyQuantized } from "./quantized.ts";
import {
  COPY_COST,
  elementWork,
  EXP_COST,
  MULTIPLY_ADD_COST,
  STREAM_COST,
  workOf,
} from "./rows.ts";

/** Operations of this group. */
type DataOps = Pick<
  Ops,
  | "reshape"
  | "at"
  | "gatherRows"
  | "columns"
  | "concatColumns"
  | "stack"
  | "embedding"
  | "matmul"
  | "gatedMatmul"
>;

/** Views, moving data, linear maps. */
export function dataOps(r: Recorder): DataOps {
  return {
    reshape: (x, shape) => r.view(x, shapes.reshape(x, shape), 0),
    at(x, index) {
      const shape = shapes.at(x, index);
      return r.view(x, shape, index * numel(shape));
    },
    gatherRows(sources, index) {
      const shape = shapes.gatherRows(sources, index);
      return gatherRows(r, sources.map((x) => r.own(x)), index, shape);
    },
    columns(x, first, count) {
      const out = r.output(shapes.columns(x, first, count));
      const source = r.view(x, [], first);
      const rows = count === 0 ? 0 : out.shape[0]!;
      copyColumns(r, source, x.shape[1]!, out, 0, count, rows, count);
      return out;
    },
    concatColumns(parts) {
      const out = r.output(shapes.concatColumns(parts));
      const [rows, stride] = out.shape as readonly [number, number];
      let first = 0;
      for (const part of parts) {
        const count = part.shape[1]!;
        const units = count === 0 ? 0 : rows;
        copyColumns(r, r.own(part), count, out, first, stride, units, count);
        first += count;
      }
      return out;
    },
    stack(parts) {
      const out = r.output(shapes.stack(parts));
      const size = numel(out.shape) / parts.length;
      // In rows of a size that divides the work, as the last dimension does.
      const count = out.shape.at(-1)!;
      const rows = size === 0 ? 0 : size / count;
      parts.forEach((part, i) =>
        copyColumns(r, r.own(part), count, out, i * size, count, rows, count)
      );
      return out;
    },
    embedding(table, ids, scale) {
      const shape = shapes.embedding(table, ids, scale);
      const w = r.ownWeight("embedding", table, "matrix");
      if (w.layout !== "tiles") {
        const option = w.layout === "panels" ? "sparseInput" : "sparseOutput";
        throw new InputError(
          `Cannot record "embedding": weight "${w.name}" was declared with "${option}"; declare it without`,
        );
      }
      const values = r.values(ids);
      const out = r.output(shape);
      const op = w.format === "f32" ? OP.embedding : EMBEDDING[w.format];
      r.begin(op, workOf(ids.length, shape[1]! * 2 * COPY_COST))
        .weight(w).sizes(w.shape[0]!).buffer(values).tensor(out)
        .sizes(shape[1]!).number(scale);
      return out;
    },
    matmul(x, w) {
      const shape = shapes.matmul(x, w);
      return multiply(r, r.own(x), r.ownWeight("matmul", w, "matrix"), shape);
    },
    gatedMatmul(x, w, gate) {
      const shape = shapes.gatedMatmul(x, w, gate);
      const weight = r.ownWeight("gatedMatmul", w, "matrix");
      const { format, rowSize, layout } = weight;
      const isOneRow = numel(x.shape) === rowSize;
      if (isOneRow && format !== "f32" && layout === "rows") {
        return multiplyGated(r, r.own(x), weight, format, r.own(gate));
      }
      const up = multiply(r, r.own(x), weight, shape);
      const out = r.output(shape);
      r.begin(OP.geluMul, elementWork(out, EXP_COST))
        .tensor(r.own(gate)).tensor(up).tensor(out);
      return out;
    },
  };
}

/** Records `x w^T`, x `[..., K]` with the weight's K, as a tensor of this shape. */
export function multiply(
  r: Recorder,
  x: WasmTensor,
  w: WasmWeight,
  shape: readonly number[],
): WasmTensor {
  if (w.format !== "f32") return multiplyQuantized(r, x, w, w.format, shape);
  const k = w.rowSize;
  const outputs = w.shape[0]!;
  const rows = numel(x.shape) / k;
  const out = r.output(shape);
  const { block, group, work } = divideProduct(rows, k, outputs, {
    multiplyAdd: MULTIPLY_ADD_COST,
    stream: STREAM_COST,
  });
  r.begin(OP.matmul, work)
    .tensor(x).weight(w).tensor(out).sizes(rows, k, outputs, block, group);
  return out;
}

/** Records one command for each source that rows are picked from. */
function gatherRows(
  r: Recorder,
  sources: readonly WasmTensor[],
  index: Int32Array,
  shape: readonly number[],
): WasmTensor {
  const size = numel(shape.slice(1));
  const used = pairsBySource(sources, index)
    .map((pairs, i) => ({ source: sources[i]!, pairs }))
    .filter(({ pairs }) => size > 0 && pairs.length > 0)
    .map((pick) => ({ ...pick, values: r.values(pick.pairs) }));
  const out = r.output(shape);
  for (const { source, pairs, values } of used) {
    r.begin(OP.gatherRows, workOf(pairs.length / 2, size * COPY_COST))
      .tensor(source).sizes(source.shape[0]!).buffer(values).tensor(out)
      .sizes(size);
  }
  return out;
}

/** For each source, target row and own row of what is picked from it, in turn. */
function pairsBySource(
  sources: readonly WasmTensor[],
  index: Int32Array,
): Int32Array[] {
  let start = 0;
  return sources.map((source) => {
    const end = start + source.shape[0]!;
    const pairs = new Int32Array(2 * index.length);
    let filled = 0;
    for (let target = 0; target < index.length; target++) {
      const row = index[target]!;
      if (row < start || row >= end) continue;
      pairs[filled++] = target;
      pairs[filled++] = row - start;
    }
    start = end;
    return pairs.subarray(0, filled);
  });
}

/** Copies `rows` rows of `count` elements; `first` elements of `out` come before. */
function copyColumns(
  r: Recorder,
  x: WasmTensor,
  stride: number,
  out: WasmTensor,
  first: number,
  outStride: number,
  rows: number,
  count: number,
): void {
  r.begin(OP.copyColumns, workOf(rows, count * COPY_COST))
    .tensor(x).sizes(stride)
    .buffer(out.buffer, out.offset + first * F32_BYTES).sizes(outStride, count);
}
