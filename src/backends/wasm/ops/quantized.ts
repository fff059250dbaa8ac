// Products with quantised weights: the rows of x become signed bytes first,
// once for all weights they meet.
import { numel } from "../../../core/shape.ts";
import { OP } from "../op_codes.ts";
import type { Recorder } from "../recorder.ts";
import {
  GROUP,
  type QuantizedFormat,
  type StepBuffer,
  type WasmTensor,
  type WasmWeight,
} from "../tensors.ts";
import { divideProduct } from "./product_work.ts";
import { COPY_COST, workOf } from "./rows.ts";

const MATMUL: Readonly<Record<QuantizedFormat, number>> = {
  q8: OP.matmulQ8,
  q4: OP.matmulQ4,
};
/** Operations that look rows up. */
export const EMBEDDING: Readonly<Record<QuantizedFormat, number>> = {
  q8: OP.embeddingQ8,
  q4: OP.embeddingQ4,
};

/** Rows that are quantised side by side, as in rust/kernels/src/quantized.rs. */
const BLOCK_ROWS = 4;
/** Bytes of their group: four scales, four sums, 4 x 32 signed bytes. */
const BLOCK_GROUP_BYTES = 160;
/** Of a group of a row that would be alone in its block. */
const ROW_GROUP_BYTES = 48;
/** In about a nanosecond, of the plain build. */
const COSTS = { multiplyAdd: 0.03, stream: 0.05 };

/** Records `x w^T`, as `multiply` does. */
export function multiplyQuantized(
  r: Recorder,
  x: WasmTensor,
  w: WasmWeight,
  format: QuantizedFormat,
  shape: readonly number[],
): WasmTensor {
  const k = w.rowSize;
  const outputs = w.shape[0]!;
  const rows = numel(x.shape) / k;
  const bytes = r.derive(
    x,
    `bytes of ${rows} rows of ${k}`,
    () => quantizeRows(r, x, rows, k),
  );
  const out = r.output(shape);
  const { block, group, work } = divideProduct(rows, k, outputs, COSTS);
  r.begin(MATMUL[format], work)
    .buffer(bytes).weight(w).tensor(out).sizes(rows, k, outputs, block, group);
  return out;
}

function quantizeRows(
  r: Recorder,
  x: WasmTensor,
  rows: number,
  k: number,
): StepBuffer {
  const blocks = Math.ceil(rows / BLOCK_ROWS);
  const isAlone = rows % BLOCK_ROWS === 1;
  const groupBytes = isAlone
    ? (blocks - 1) * BLOCK_GROUP_BYTES + ROW_GROUP_BYTES
    : blocks * BLOCK_GROUP_BYTES;
  const bytes = r.room(k / GROUP * groupBytes);
  r.begin(
    OP.quantizeRows,
    workOf(blocks, Math.min(rows, BLOCK_ROWS) * k * 2 * COPY_COST),
  ).tensor(x).buffer(bytes).sizes(rows, k);
  return bytes;
}
