// One WebAssembly memory, sized once: the module's stack and data, the workers'
// stacks, a staging area for weights, the weights, the key-value stores, and
// what a step needs.
import {
  type BlockDtype,
  dtypeBytes,
  FORMAT_BLOCKS,
  isBlockDtype,
  type StorageDtype,
} from "../../core/dtype.ts";
import { CheckpointError, DeviceError, InputError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import type { WeightRows } from "../../ops/device.ts";
import { type KernelExports, MODULE_BYTES } from "./kernel_module.ts";
import type { Pacer } from "./pacer.ts";
import { ALIGNMENT } from "./planner.ts";
import type { Pool } from "./pool.ts";
import { F32_BYTES, FORMAT_BITS, type WasmWeight } from "./tensors.ts";

const PAGE_BYTES = 65536;
/** What 32-bit addresses reach. */
const MAX_BYTES = 2 ** 32;
/** Elements of a weight that are decoded and packed at a time. */
const STAGED_ELEMENTS = 65536;
const STAGING_BYTES = 2 * STAGED_ELEMENTS * F32_BYTES;
/** The cursor of the queue. */
export const CURSOR_BYTES: number = ALIGNMENT;
/** Stack of a worker. */
export const STACK_BYTES = 65536;
/** What the workers share, see rust/kernels/src/exports_threads.rs. */
const POOL_BYTES = 512;

const DTYPE_NUMBERS: Readonly<Record<StorageDtype, number>> = {
  f32: 0,
  f16: 1,
  bf16: 2,
};

/** Bytes of each part whose size the caller's model decides. */
export interface RegionBytes {
  readonly weights: number;
  readonly kv: number;
  readonly activations: number;
}

/** Where each part starts. */
export interface Layout {
  /** Schedule of the workers, and the first of their stacks. */
  readonly pool: number;
  readonly stacks: number;
  readonly staging: number;
  readonly weights: number;
  readonly kv: number;
  readonly cursor: number;
  readonly activations: number;
  readonly end: number;
}

/** Puts the parts one after another, for so many workers. */
export function layOut(
  { weights, kv, activations }: RegionBytes,
  workers = 0,
): Layout {
  const pool = MODULE_BYTES;
  const stacks = pool + POOL_BYTES;
  const staging = stacks + workers * STACK_BYTES;
  const weightsStart = staging + STAGING_BYTES;
  const kvStart = weightsStart + weights;
  const cursor = kvStart + kv;
  const activationsStart = cursor + CURSOR_BYTES;
  return {
    pool,
    stacks,
    staging,
    weights: weightsStart,
    kv: kvStart,
    cursor,
    activations: activationsStart,
    end: activationsStart + activations,
  };
}

/** Whether memory can be shared between threads here. */
export function sharedMemoryWorks(): boolean {
  // Browsers hide it from pages without cross-origin isolation.
  if (typeof SharedArrayBuffer === "undefined") return false;
  try {
    const limits = { initial: 1, maximum: 1, shared: true };
    return new WebAssembly.Memory(limits).buffer instanceof SharedArrayBuffer;
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) return false;
    throw error;
  }
}

/** Options of {@link takeMemory}. */
export interface MemoryOptions {
  /** Whether threads share it. Default false. */
  readonly shared?: boolean;
}

/**
 * Takes the memory.
 *
 * @throws {DeviceError} When it exceeds what WebAssembly addresses, or the
 * machine has not got it.
 */
export function takeMemory(
  layout: Layout,
  bytes: RegionBytes,
  { shared = false }: MemoryOptions = {},
): WebAssembly.Memory {
  const pages = Math.ceil(layout.end / PAGE_BYTES);
  const figures = `weights ${megabytes(bytes.weights)}, key-value stores ` +
    `${megabytes(bytes.kv)}, activations ${megabytes(bytes.activations)}`;
  if (pages * PAGE_BYTES > MAX_BYTES) {
    throw new DeviceError(
      `Cannot reserve ${megabytes(layout.end)} of WebAssembly memory ` +
        `(${figures}): at most ${megabytes(MAX_BYTES)} can be addressed; ` +
        "use a smaller dtype, contextLength or maxBatchSize",
    );
  }
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  } catch (cause) {
    throw new DeviceError(
      `Cannot reserve ${megabytes(layout.end)} of WebAssembly memory ` +
        `(${figures}): the runtime refused it; close other programs, or use ` +
        "a smaller dtype, contextLength or maxBatchSize",
      { cause },
    );
  }
}

/** Spells bytes for messages. */
export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** Memory and kernels of a device that has been allocated. */
export interface Engine {
  readonly memory: WebAssembly.Memory;
  readonly kernels: KernelExports;
  readonly layout: Layout;
  /** Threads that compute; without, the calling thread does. */
  readonly pool: Pool | undefined;
}

/**
 * Decodes rows of a weight and packs them into place, a piece at a time.
 *
 * @throws {InputError} When they lie outside the weight or the bytes have
 * another length.
 * @throws {CheckpointError} When values cannot have the weight's format.
 */
export async function packRows(
  engine: Engine,
  weight: WasmWeight,
  { firstRow, rows, dtype, bytes }: WeightRows,
  pacer: Pacer,
): Promise<void> {
  const end = firstRow + rows;
  const problem = `Cannot write rows ${firstRow}..${end} of weight ` +
    `"${weight.name}": `;
  if (!(firstRow >= 0 && rows >= 0 && end <= (weight.shape[0] ?? 1))) {
    throw new InputError(
      `${problem}its shape is ${formatShape(weight.shape)}`,
    );
  }
  if (isBlockDtype(dtype) && dtype !== FORMAT_BLOCKS[weight.format]) {
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
  for (let done = 0; done < count; done += STAGED_ELEMENTS) {
    await pacer.pause();
    const n = Math.min(STAGED_ELEMENTS, count - done);
    const start = dtypeBytes(dtype, done);
    const piece = bytes.subarray(start, start + dtypeBytes(dtype, n));
    const first = firstRow * weight.rowSize + done;
    if (!packPiece(engine, weight, piece, dtype, first, n)) {
      throw new CheckpointError(
        `Cannot quantise rows ${firstRow}..${end} of weight "${weight.name}": ` +
          "a value is NaN, infinite or too large; the file is damaged, or load " +
          'it with the dtype "f32"',
        { tensor: weight.name },
      );
    }
  }
  weight.markWritten(firstRow, rows);
}

/** Packs `count` elements; false when they cannot be quantised. */
function packPiece(
  { memory, kernels, layout }: Engine,
  weight: WasmWeight,
  piece: Uint8Array,
  dtype: StorageDtype | BlockDtype,
  first: number,
  count: number,
): boolean {
  const raw = layout.staging;
  const decoded = raw + STAGED_ELEMENTS * F32_BYTES;
  const to = layout.weights + weight.offset;
  new Uint8Array(memory.buffer, raw, piece.byteLength).set(piece);
  const { kind, format, packedSize, taps, rowSize } = weight;
  const panels = weight.panels ? 1 : 0;
  if (isBlockDtype(dtype)) {
    const bits = dtype === "q8_0" ? FORMAT_BITS.q8 : FORMAT_BITS.q4;
    const { groups } = weight;
    return kernels.pack_blocks(
      raw,
      count,
      first,
      to,
      groups,
      rowSize,
      bits,
      panels,
    ) === 1;
  }
  if (kind === "vector") {
    kernels.decode(raw, DTYPE_NUMBERS[dtype], to + first * F32_BYTES, count);
    return true;
  }
  kernels.decode(raw, DTYPE_NUMBERS[dtype], decoded, count);
  if (format !== "f32") {
    const bits = FORMAT_BITS[format];
    const { groups } = weight;
    return kernels.pack_quantized(
      decoded,
      count,
      first,
      to,
      groups,
      rowSize,
      bits,
      panels,
    ) === 1;
  }
  if (kind === "matrix" || kind === "conv2d") {
    kernels.pack_matrix(decoded, count, first, to, packedSize, rowSize, taps);
  } else {
    kernels.pack_filters(decoded, count, first, to, packedSize, taps);
  }
  return true;
}
