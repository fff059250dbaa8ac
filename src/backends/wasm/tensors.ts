// What the WASM device hands out: tensors of a step, weights, stores. Their
// addresses are settled when the step is planned and the memory is taken.
import { InputError } from "../../core/errors.ts";
import { formatShape, numel, type Shape } from "../../core/shape.ts";
import type { CacheDtype, WeightFormat } from "../../core/dtype.ts";
import {
  canQuantize,
  type WeightKind,
  type WeightSpec,
} from "../../ops/device.ts";
import type { KvSpec, KvStore, Tensor, Weight } from "../../ops/ops.ts";

/** Bytes of an f32. */
export const F32_BYTES = 4;

/** Memory of a step that a command writes, or that is filled before the first one. */
export class StepBuffer {
  readonly bytes: number;
  /** Which of a step's buffers it is; below 0, from -1 down, for values of the host. */
  readonly index: number;
  /** Index of the first command that writes it; -1 for values of the host. */
  readonly first: number;
  /** Whether it is the result of a product with quantised weights. */
  rounded = false;
  /** Values of the host, until the step ends. */
  values: Float32Array | Int32Array | undefined;

  constructor(bytes: number, first: number, index: number) {
    this.bytes = bytes;
    this.index = index;
    this.first = first;
  }
}

/** A tensor: part of a buffer under a shape. */
export class WasmTensor implements Tensor {
  readonly shape: Shape;
  readonly buffer: StepBuffer;
  /** Bytes before its first element. */
  readonly offset: number;
  /** The step it belongs to. */
  readonly step: symbol;

  constructor(shape: Shape, buffer: StepBuffer, offset: number, step: symbol) {
    this.shape = shape;
    this.buffer = buffer;
    this.offset = offset;
    this.step = step;
  }
}

/** Outputs of a tile of a packed matrix; keys of a tile of a store. */
export const TILE = 8;

/** Elements of a group with a scale of its own, along k. */
export const GROUP = 32;

/** Formats with scales. */
export type QuantizedFormat = Exclude<WeightFormat, "f32">;

/** Bytes of a group of a tile: eight scales of two bytes, eight times 32 elements. */
export const TILE_GROUP_BYTES: Readonly<Record<QuantizedFormat, number>> = {
  q8: 16 + 256,
  q4: 16 + 128,
};

/** Orders of a quantised weight, as in rust/kernels/src/panel.rs. */
export type Layout = "tiles" | "panels" | "rows";

/** A weight, packed as its kind and format want. */
export class WasmWeight implements Weight {
  readonly name: string;
  readonly shape: Shape;
  readonly kind: WeightKind;
  readonly format: WeightFormat;
  /** The order it lies in when it is quantised. */
  readonly layout: Layout;
  /** Offset among the weights, in bytes. */
  readonly offset: number;
  /** The device it belongs to. */
  readonly device: symbol;
  private readonly written: Uint8Array;
  private missing: number;

  constructor(spec: WeightSpec, offset: number, device: symbol) {
    this.device = device;
    this.name = spec.name;
    this.shape = spec.shape;
    this.kind = spec.kind;
    this.format = spec.format ?? "f32";
    if (this.format !== "f32" && !canQuantize(spec)) {
      throw new InputError(
        `Cannot keep weight "${spec.name}" of shape ${
          formatShape(spec.shape)
        } as "${this.format}": wanted a matrix, or filters, whose rows are groups of ${GROUP}`,
      );
    }
    const isPlain = this.format === "f32" || spec.kind !== "matrix";
    if (isPlain || !(spec.sparseInput || spec.sparseOutput)) {
      this.layout = "tiles";
    } else this.layout = spec.sparseInput ? "panels" : "rows";
    this.offset = offset;
    this.missing = spec.shape[0] ?? 1;
    this.written = new Uint8Array(this.missing);
  }

  /** Whether every slice was written. */
  get complete(): boolean {
    return this.missing === 0;
  }

  /** Elements of a slice along the first dimension. */
  get rowSize(): number {
    return numel(this.shape.slice(1));
  }

  /** Bytes it takes in memory. */
  get packedBytes(): number {
    return this.format === "f32"
      ? this.packedSize * F32_BYTES
      : this.groups * TILE_GROUP_BYTES[this.format];
  }

  /** Groups of eight lanes. */
  get groups(): number {
    return this.layout === "rows"
      ? this.shape[0]! * Math.ceil(this.rowSize / GROUP / TILE)
      : this.packedSize / TILE / GROUP;
  }

  /** Elements, where matrices are padded to whole tiles. */
  get packedSize(): number {
    const tiled = this.kind === "matrix" || this.kind === "conv2d";
    const rows = this.shape[0] ?? 1;
    return (tiled ? Math.ceil(rows / TILE) * TILE : rows) * this.rowSize;
  }

  /** Places of a filter; 1 for matrices and vectors. */
  get taps(): number {
    return this.shape.length > 2 ? numel(this.shape.slice(2)) : 1;
  }

  /** Remembers which slices are there. */
  markWritten(firstRow: number, rows: number): void {
    for (let row = firstRow; row < firstRow + rows; row++) {
      this.missing -= 1 - this.written[row]!;
      this.written[row] = 1;
    }
  }
}

/** An f32 behind the rings of halves: NaN where one of their values had no half. */
export const POISON_BYTES = 4;

/** Bytes of an element of a ring. */
const RING_ELEMENT_BYTES: Readonly<Record<CacheDtype, number>> = {
  f32: 4,
  f16: 2,
  q8: 1,
};

/**
 * A ring of keys and one of values, `[K, rows, H]` each; keys in tiles of eight
 * rows. Behind the elements of a ring of bytes are its scales, f32 `[K, rows]`.
 */
export class WasmKvStore implements KvStore {
  readonly kvStore = true;
  readonly capacity: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly dtype: CacheDtype;
  /** Offset of the keys among the stores, in bytes; the values follow, then {@link POISON_BYTES}. */
  readonly offset: number;
  /** The device it belongs to. */
  readonly device: symbol;
  /** Whether a caller has it. */
  taken = true;

  constructor(spec: KvSpec, offset: number, device: symbol) {
    this.device = device;
    this.capacity = spec.capacity;
    this.kvHeads = spec.kvHeads;
    this.headDim = spec.headDim;
    this.dtype = spec.dtype ?? "f32";
    this.offset = offset;
  }
}

/** Rows of a store's rings: its capacity in whole tiles. */
export function ringRows({ capacity }: KvSpec): number {
  return Math.ceil(capacity / TILE) * TILE;
}

/** Bytes of the keys of a store with their scales, and of its values. */
export function ringBytes(spec: KvSpec): number {
  const { kvHeads, headDim, dtype = "f32" } = spec;
  const scaleBytes = dtype === "q8" ? F32_BYTES : 0;
  const rowBytes = RING_ELEMENT_BYTES[dtype] * headDim + scaleBytes;
  return ringRows(spec) * kvHeads * rowBytes;
}
