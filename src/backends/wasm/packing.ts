// Writes weights: bytes of a checkpoint go to where steps compute later, a piece
// at a time, and a command of the queue packs them into place, on the threads
// where there are some.
import {
  type BlockDtype,
  dtypeBytes,
  FORMAT_BLOCKS,
  isBlockDtype,
  type StorageDtype,
} from "../../core/dtype.ts";
import { CheckpointError, InputError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import type { WeightRows } from "../../ops/device.ts";
import type { Engine } from "./memory.ts";
import { OP } from "./op_codes.ts";
import { align } from "./planner.ts";
import type { Queue } from "./queue.ts";
import { COMMAND_BYTES, Recorder } from "./recorder.ts";
import { F32_BYTES, GROUP, TILE, type WasmWeight } from "./tensors.ts";

/** Numbers that a worker decodes at a time. */
const ROOM_ELEMENTS = 8192;
/** Bytes of a piece: small enough for a cache, large enough to wake threads for. */
const PIECE_BYTES = { alone: 2 ** 18, shared: 2 ** 21 } as const;
/** In about a nanosecond for each element. */
const COSTS = { blocks: 0.5, numbers: 1 } as const;

/** How elements are stored, as in rust/kernels/src/dispatch_pack.rs. */
const STORED: Readonly<Record<StorageDtype, number>> = {
  f32: 0,
  f16: 1,
  bf16: 2,
};
const BLOCKS = 3;
/** Where they go, as there. */
const TARGETS = {
  vector: 0,
  tiles: 1,
  filters: 2,
  q8: { tiles: 3, panels: 4, rows: 5 },
  q4: { tiles: 6, panels: 7, rows: 8 },
} as const;

/** Memory beside the weights that writing one takes at least, with so many workers. */
export function packingBytes(weight: WasmWeight, workers: number): number {
  return headBytes(weight, workers) + PIECE_BYTES.alone;
}

/**
 * Packs rows of a weight into place.
 *
 * @throws {InputError} When they lie outside the weight or the bytes have
 * another length.
 * @throws {CheckpointError} When values cannot have the weight's format.
 */
export async function packRows(
  engine: Engine,
  queue: Queue,
  weight: WasmWeight,
  rows: WeightRows,
): Promise<void> {
  const count = checkRows(weight, rows);
  const { dtype, bytes, firstRow } = rows;
  const pieceBytes = engine.pool ? PIECE_BYTES.shared : PIECE_BYTES.alone;
  const { layout } = engine;
  const head = headBytes(weight, engine.workers);
  const room = Math.min(pieceBytes, layout.end - layout.activations - head);
  const unit = GROUP * weight.taps;
  const unitBytes = dtypeBytes(dtype, unit);
  const elements = Math.max(1, Math.floor(room / unitBytes)) * unit;
  const tile = TILE * weight.rowSize;
  let done = 0;
  while (done < count) {
    const start = firstRow * weight.rowSize + done;
    // Whole tiles are packed faster than parts.
    const wholeTiles = Math.floor((start + elements) / tile) * tile - start;
    const n = Math.min(wholeTiles > 0 ? wholeTiles : elements, count - done);
    const piece = {
      bytes: bytes.subarray(
        dtypeBytes(dtype, done),
        dtypeBytes(dtype, done + n),
      ),
      dtype,
      first: start,
      count: n,
    };
    done += n;
    if (await packPiece(engine, queue, weight, piece)) continue;
    throw new CheckpointError(
      `Cannot quantise rows ${firstRow}..${firstRow + rows.rows} of weight ` +
        `"${weight.name}": a value is NaN, infinite or too large; the file is ` +
        'damaged, or load it with the dtype "f32"',
      { tensor: weight.name },
    );
  }
  weight.markWritten(firstRow, rows.rows);
}

/** Gives how many elements there are. */
function checkRows(
  weight: WasmWeight,
  { firstRow, rows, dtype, bytes }: WeightRows,
): number {
  const end = firstRow + rows;
  const problem = `Cannot write rows ${firstRow}..${end} of weight ` +
    `"${weight.name}": `;
  if (!(firstRow >= 0 && rows >= 0 && end <= (weight.shape[0] ?? 1))) {
    throw new InputError(
      `${problem}its shape is ${formatShape(weight.shape)}`,
    );
  }
  if (
    isBlockDtype(dtype) &&
    (dtype !== FORMAT_BLOCKS[weight.format] || weight.taps > 1)
  ) {
    throw new InputError(
      `${problem}found blocks of ${dtype}, wanted numbers or the blocks of ` +
        `"${weight.format}"`,
    );
  }
  const count = rows * weight.rowSize;
  if (bytes.byteLength !== dtypeBytes(dtype, count)) {
    throw new InputError(
      `${problem}found ${bytes.byteLength} bytes, wanted ` +
        `${dtypeBytes(dtype, count)} of ${dtype}`,
    );
  }
  return count;
}

/** Consecutive elements of a weight. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly dtype: StorageDtype | BlockDtype;
  readonly first: number;
  readonly count: number;
}

/** Packs a piece; false when it cannot be quantised. */
async function packPiece(
  engine: Engine,
  queue: Queue,
  weight: WasmWeight,
  { bytes, dtype, first, count }: Piece,
): Promise<boolean> {
  const { memory: { buffer }, layout, workers } = engine;
  const base = layout.activations;
  const from = base + headBytes(weight, workers);
  new Uint8Array(buffer, from, bytes.byteLength).set(bytes);
  const { rowSize, taps } = weight;
  const tile = TILE * rowSize;
  const units = Math.floor((first + count - 1) / tile) -
    Math.floor(first / tile) + 1;
  const isBlocks = isBlockDtype(dtype);
  const elementCost = isBlocks ? COSTS.blocks : COSTS.numbers;
  const r = new Recorder();
  r.workers = workers;
  const bad = r.upload(new Float32Array(1), [1]);
  r.begin(OP.packWeights, { units, unitCost: tile * elementCost })
    .sizes(from, layout.weights + weight.offset).tensor(bad)
    .scratch(roomElements(weight) * F32_BYTES)
    .sizes(
      isBlocks ? BLOCKS : STORED[dtype],
      targetOf(weight),
      first,
      count,
      rowSize,
      taps,
    )
    .sizes(packedElements(weight), roomElements(weight));
  const step = r.plan([bad]);
  step.write(buffer, base);
  await queue.run(engine, step, undefined);
  return new Uint32Array(buffer, step.address(bad, base), 1)[0] === 0;
}

/** Elements that a weight has room for. */
function packedElements(weight: WasmWeight): number {
  return weight.format === "f32"
    ? weight.packedSize
    : weight.groups * GROUP * TILE;
}

function targetOf({ kind, format, layout }: WasmWeight): number {
  if (kind === "vector") return TARGETS.vector;
  if (format !== "f32") return TARGETS[format][layout];
  return kind === "matrix" || kind === "conv2d"
    ? TARGETS.tiles
    : TARGETS.filters;
}

/** Bytes before a piece: the command, a word for what goes wrong, rooms of the workers. */
function headBytes(weight: WasmWeight, workers: number): number {
  const room = align(roomElements(weight) * F32_BYTES);
  return COMMAND_BYTES + align(F32_BYTES) + Math.max(1, workers) * room;
}

function roomElements({ taps }: WasmWeight): number {
  return Math.max(ROOM_ELEMENTS, GROUP * taps);
}
