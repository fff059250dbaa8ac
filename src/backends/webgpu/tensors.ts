// What the WebGPU device hands out: tensors of a step and key-value stores, and
// the memory behind them.
import { type FloatCacheDtype, STORAGE_BYTES } from "../../core/dtype.ts";
import { UnsupportedError } from "../../core/errors.ts";
import type { Shape } from "../../core/shape.ts";
import type { KvSpec, KvStore, Tensor } from "../../ops/ops.ts";
import { align } from "./flags.ts";
import { kvWidth } from "./kernels/kv_store.ts";

/** Bytes of an f32. */
export const F32_BYTES = 4;

/** A GPU buffer with a number, for keys of caches. */
export class GpuMemory {
  private static count = 0;
  readonly id: number = GpuMemory.count++;
  readonly buffer: GPUBuffer;

  constructor(buffer: GPUBuffer) {
    this.buffer = buffer;
  }
}

/** Memory that lives for a step: a dispatch writes it, or the host fills it before. */
export class StepBuffer {
  readonly bytes: number;
  /** Index of the first dispatch that writes it; -1 for values of the host. */
  readonly first: number;
  /** Index of the last dispatch that uses it. */
  last: number;
  /** Offset in its memory. */
  readonly offset: number;
  /** Where it lies, once the step is planned. */
  memory: GpuMemory | undefined;

  constructor(bytes: number, first: number, offset = 0) {
    this.bytes = bytes;
    this.first = first;
    this.last = first;
    this.offset = offset;
  }
}

/** Part of a memory that outlives steps: of a weight or a key-value store. */
export class Region {
  readonly bytes: number;
  /** Offset in its memory. */
  offset: number;
  /** Where it lies, once the device's memory is taken. */
  memory: GpuMemory | undefined;

  constructor(bytes: number, memory?: GpuMemory, offset = 0) {
    this.bytes = bytes;
    this.memory = memory;
    this.offset = offset;
  }
}

/** Work on a tensor that the operation which reads it next may do on its way. */
export interface PendingWork {
  /** Records the work; gives the tensor as it should be. */
  complete(): WebGpuTensor;
}

/** A tensor: part of a buffer under a shape. */
export class WebGpuTensor implements Tensor {
  readonly shape: Shape;
  readonly buffer: StepBuffer;
  /** Bytes before its first element. */
  readonly offset: number;
  /** The step it belongs to. */
  readonly step: symbol;
  /** What its buffer still lacks. */
  readonly pending: PendingWork | undefined;

  constructor(
    shape: Shape,
    buffer: StepBuffer,
    offset: number,
    step: symbol,
    pending?: PendingWork,
  ) {
    this.shape = shape;
    this.buffer = buffer;
    this.offset = offset;
    this.step = step;
    this.pending = pending;
  }
}

/** What a kernel binds. */
export type Binding = WebGpuTensor | StepBuffer | Region;

/** A ring of keys and one of values, see kernels/kv_store.ts. */
export class WebGpuKvStore implements KvStore {
  readonly kvStore = true;
  readonly capacity: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly dtype: FloatCacheDtype;
  readonly keys: Region;
  readonly values: Region;
  /** Both, the keys first. */
  readonly rings: Region;
  /** The device it belongs to. */
  readonly device: symbol;
  /** Whether a caller has it. */
  taken = true;

  constructor(
    spec: KvSpec,
    rings: Region,
    device: symbol,
  ) {
    this.device = device;
    this.capacity = spec.capacity;
    this.kvHeads = spec.kvHeads;
    this.headDim = spec.headDim;
    this.dtype = dtypeOf(spec);
    const { memory, offset } = rings;
    const bytes = ringBytes(spec);
    this.rings = rings;
    this.keys = new Region(bytes, memory, offset);
    this.values = new Region(bytes, memory, offset + align(bytes));
  }

  /** Vectors of four before the values, among both rings. */
  get valueVectors(): number {
    const { keys, dtype } = this;
    return align(keys.bytes) / (4 * STORAGE_BYTES[dtype]);
  }
}

/** Bytes of both rings of a store; each begins where a kernel can bind it. */
export function storeBytes(spec: KvSpec): number {
  return 2 * align(ringBytes(spec));
}

/**
 * Bytes of the keys of a store, and of its values.
 *
 * @throws {UnsupportedError} Where it is to hold bytes.
 */
export function ringBytes(spec: KvSpec): number {
  const { capacity, kvHeads, headDim } = spec;
  return STORAGE_BYTES[dtypeOf(spec)] * capacity * kvHeads * kvWidth(headDim);
}

function dtypeOf({ dtype = "f32" }: KvSpec): FloatCacheDtype {
  if (dtype !== "q8") return dtype;
  throw new UnsupportedError(
    'Cannot keep keys and values as "q8" on a GPU: use the cacheDtype "f16", ' +
      'or the device "wasm"',
  );
}
