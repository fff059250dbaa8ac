// Operations over pictures by products of bytes.
import { numel } from "../../../core/shape.ts";
import type { Conv2dOptions } from "../../../ops/ops.ts";
import { OP } from "../op_codes.ts";
import type { Recorder } from "../recorder.ts";
import {
  F32_BYTES,
  GROUP,
  type QuantizedFormat,
  type StepBuffer,
  TILE,
  TILE_GROUP_BYTES,
  type WasmTensor,
  type WasmWeight,
} from "../tensors.ts";
import {
  BLOCK_GROUP_BYTES,
  BLOCK_ROWS,
  COSTS,
  ROW_GROUP_BYTES,
} from "./quantized.ts";
import { COPY_COST, EXP_COST, workOf } from "./rows.ts";
import { placesOfChunk, windows } from "./windows.ts";

const QUAD_BYTES = 16;
const CONV2D: Readonly<Record<QuantizedFormat, number>> = {
  q8: OP.conv2dQ8,
  q4: OP.conv2dQ4,
};
/** Queries that meet the keys together, as in multi_query_attention_quantized.rs. */
const QUERIES = 16;

/** Records a convolution with quantised filters of several places, or steps. */
export function convolveQuantized(
  r: Recorder,
  x: WasmTensor,
  weight: WasmWeight,
  format: QuantizedFormat,
  options: Conv2dOptions,
  shape: readonly number[],
): WasmTensor {
  const channels = x.shape[2]!;
  const bytes = r.derive(
    x,
    `bytes of places of ${channels}`,
    () => quantizePlaces(r, x, channels),
  );
  const out = r.output(shape);
  out.buffer.rounded = true;
  const outputs = shape[2]!;
  const k = weight.rowSize;
  const groups = k / GROUP;
  const unitCost = k * (COPY_COST + outputs * COSTS.multiplyAdd);
  const units = outputs === 0 ? 0 : numel(shape) / outputs;
  const unitsPerChunk = placesOfChunk(unitCost);
  const roomBytes = groups *
    (BLOCK_ROWS * ROW_GROUP_BYTES +
      Math.ceil(unitsPerChunk / BLOCK_ROWS) * BLOCK_GROUP_BYTES);
  r.begin(CONV2D[format], { units, unitCost, unitsPerChunk })
    .buffer(bytes).weight(weight).tensor(out).scratch(roomBytes);
  const quads = channels / GROUP * ROW_GROUP_BYTES / QUAD_BYTES;
  windows(r, x, weight, options, shape, quads);
  r.sizes(outputs, roomBytes / QUAD_BYTES);
  return out;
}

/** Each place of a picture becomes bytes for itself: it is part of several windows. */
function quantizePlaces(
  r: Recorder,
  x: WasmTensor,
  channels: number,
): StepBuffer {
  const places = numel(x.shape) / channels;
  const bytes = r.room(places * channels / GROUP * ROW_GROUP_BYTES);
  r.begin(OP.quantizePlaces, workOf(places, channels * 2 * COPY_COST))
    .tensor(x).buffer(bytes).sizes(channels);
  return bytes;
}

/** Records attention of q `[T, N, H]` to `keys` keys and values by products of bytes. */
export function attendQuantized(
  r: Recorder,
  [q, k, v]: readonly [WasmTensor, WasmTensor, WasmTensor],
  shape: readonly number[],
  keys: number,
  scale: number,
): WasmTensor {
  const [rows, heads, width] = shape as readonly [number, number, number];
  const padded = Math.ceil(keys / GROUP) * GROUP;
  const tileGroups = Math.ceil(keys / TILE) * width / GROUP +
    width / TILE * padded / GROUP;
  // What both are multiples of comes first, in the room of a group.
  const packed = r.room((1 + tileGroups) * TILE_GROUP_BYTES.q8);
  r.begin(OP.packKeysValues, { units: 1, unitCost: 3 * keys * width })
    .tensor(k).tensor(v).buffer(packed).scratch(width * padded * F32_BYTES)
    .sizes(keys, width);
  const out = r.output(shape);
  const groups = Math.max(width, padded) / GROUP;
  const roomBytes = QUERIES * padded * F32_BYTES +
    QUERIES / BLOCK_ROWS * groups * BLOCK_GROUP_BYTES;
  const headCost = keys * (2 * width * COSTS.multiplyAdd + EXP_COST);
  // Whole passes of queries: those of a chunk meet the keys together.
  const unitsPerChunk = QUERIES / greatestCommonDivisor(QUERIES, heads);
  r.begin(OP.multiQueryAttentionQuantized, {
    units: rows,
    unitCost: Math.max(heads * headCost, COPY_COST),
    unitsPerChunk,
  })
    .tensor(q).buffer(packed).tensor(out).scratch(roomBytes)
    .sizes(heads, width, keys).number(scale);
  return out;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
