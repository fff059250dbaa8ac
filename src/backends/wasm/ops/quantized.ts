// Products with quantised weights: the rows of x become signed bytes first,
// once for all weights they meet.
import { numel } from "../../../core/shape.ts";
import { OP } from "../op_codes.ts";
import type { Recorder, Work } from "../recorder.ts";
import {
  GROUP,
  type QuantizedFormat,
  type StepBuffer,
  TILE,
  TILE_GROUP_BYTES,
  type WasmTensor,
  type WasmWeight,
} from "../tensors.ts";
import {
  divideProduct,
  MAX_CHUNK_COST,
  MIN_ROW_BLOCK,
  ROW_BLOCK,
} from "./product_work.ts";
import { COPY_COST, workOf } from "./rows.ts";

const MATMUL: Readonly<Record<QuantizedFormat, number>> = {
  q8: OP.matmulQ8,
  q4: OP.matmulQ4,
};
const MATMUL_PANELS: Readonly<Record<QuantizedFormat, number>> = {
  q8: OP.matmulPanelsQ8,
  q4: OP.matmulPanelsQ4,
};
const MATMUL_ROWS: Readonly<Record<QuantizedFormat, number>> = {
  q8: OP.matmulRowsQ8,
  q4: OP.matmulRowsQ4,
};
const GATED_MATMUL: Readonly<Record<QuantizedFormat, number>> = {
  q8: OP.gatedMatmulQ8,
  q4: OP.gatedMatmulQ4,
};
/** Operations that look rows up. */
export const EMBEDDING: Readonly<Record<QuantizedFormat, number>> = {
  q8: OP.embeddingQ8,
  q4: OP.embeddingQ4,
};

/** Rows that are quantised side by side, as in rust/kernels/src/quantized.rs. */
export const BLOCK_ROWS = 4;
/** Bytes of their group: four scales, four sums, 4 x 32 signed bytes. */
export const BLOCK_GROUP_BYTES = 160;
/** Of a group of a row that would be alone in its block. */
export const ROW_GROUP_BYTES = 48;
/** In about a nanosecond, of the plain build. */
export const COSTS = { multiplyAdd: 0.03, stream: 0.05 };
/** Shares of the columns, and of the outputs, that one row in sparse layers needs. */
const PANEL_SHARE = 0.4;
const GATED_SHARE = 0.1;
/** Tiles of a panel, as in rust/kernels/src/panel.rs. */
const PANEL_TILES = 128;
/** Fewest of its tiles that are a part; parts are these times a power of two. */
const PART_TILES = 32;

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
  const bytes = bytesOf(r, x, rows, k);
  const out = r.output(shape);
  out.buffer.rounded = true;
  const { layout } = w;
  if (layout !== "tiles") {
    const isPanels = layout === "panels";
    const part = isPanels ? partTiles(rows, outputs, r.workers) : 1;
    const { block, work } = divideGathered(
      rows,
      k,
      outputs,
      part,
      isPanels ? PANEL_SHARE : 1,
    );
    const op = isPanels ? MATMUL_PANELS : MATMUL_ROWS;
    r.begin(op[format], work).buffer(bytes).weight(w).tensor(out)
      .scratch(rowBlocks(k) * TILE * TILE_GROUP_BYTES[format])
      .sizes(rows, k, outputs, block, ...(isPanels ? [part] : []));
    return out;
  }
  const { block, group, work } = divideProduct(rows, k, outputs, COSTS);
  r.begin(MATMUL[format], work)
    .buffer(bytes).weight(w).tensor(out).sizes(rows, k, outputs, block, group);
  return out;
}

/** Records `gelu(gate) * (x w^T)` for one row, with weights in rows. */
export function multiplyGated(
  r: Recorder,
  x: WasmTensor,
  w: WasmWeight,
  format: QuantizedFormat,
  gate: WasmTensor,
): WasmTensor {
  const k = w.rowSize;
  const outputs = w.shape[0]!;
  const bytes = bytesOf(r, x, 1, k);
  const out = r.output(gate.shape);
  const unitCost = k * COSTS.stream * GATED_SHARE;
  r.begin(GATED_MATMUL[format], workOf(outputs, unitCost))
    .buffer(bytes).weight(w).tensor(gate).tensor(out)
    .scratch(rowBlocks(k) * 2 * BLOCK_GROUP_BYTES).sizes(k);
  return out;
}

/** Tiles of a panel that a chunk takes: one row wants long runs, and work for all. */
function partTiles(rows: number, outputs: number, workers: number): number {
  let part = PANEL_TILES;
  const wanted = rows > 1 ? 0 : Math.ceil(outputs / TILE / workers);
  while (part > PART_TILES && part > wanted) part /= 2;
  return part;
}

/** Groups of eight lanes that a row of weights in rows has. */
function rowBlocks(k: number): number {
  return Math.ceil(k / GROUP / TILE);
}

/**
 * For weights whose tiles are brought together first: units are blocks of rows,
 * for each `unitTiles` tiles, of which one row reads a share.
 */
function divideGathered(
  rows: number,
  k: number,
  outputs: number,
  unitTiles: number,
  share: number,
): { block: number; work: Work } {
  const cost = (block: number) =>
    unitTiles * TILE * k *
    (block === 1
      ? COSTS.stream * share
      : Math.max(block * COSTS.multiplyAdd, COSTS.stream));
  let block = Math.max(1, Math.min(rows, ROW_BLOCK));
  while (block > MIN_ROW_BLOCK && cost(block) > MAX_CHUNK_COST) {
    block = Math.ceil(block / 2 / BLOCK_ROWS) * BLOCK_ROWS;
  }
  const count = Math.ceil(outputs / (unitTiles * TILE));
  const units = Math.ceil(rows / block) * count;
  return { block, work: { units, unitCost: cost(block), unitsPerChunk: 1 } };
}

function bytesOf(
  r: Recorder,
  x: WasmTensor,
  rows: number,
  k: number,
): StepBuffer {
  return r.derive(
    x,
    `bytes of ${rows} rows of ${k}`,
    () => quantizeRows(r, x, rows, k),
  );
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
