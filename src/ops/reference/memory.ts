// What the reference device keeps: tensors of a step, weights, key-value
// stores. Everything is float32 in ordinary typed arrays.
import {
  type CacheDtype,
  dtypeBytes,
  FORMAT_BLOCKS,
  type WeightFormat,
} from "../../core/dtype.ts";
import { CheckpointError, InputError } from "../../core/errors.ts";
import { halfBits, halfValue } from "../../core/half.ts";
import { formatShape, numel, type Shape } from "../../core/shape.ts";
import { decodeRows, dequantize, quantize } from "../../quant/blocks.ts";
import type { QuantizedDtype } from "../../quant/quantize_groups.ts";
import type { WeightKind, WeightRows, WeightSpec } from "../device.ts";
import type { KvSpec, KvStore, Tensor, Weight } from "../ops.ts";

/** Memory of one result; several tensors may view it. */
export class Storage {
  readonly size: number;
  /** There from the command that makes it to the last one that reads it. */
  data: Float32Array | undefined;
  /** Index of the last command that reads it; -1 when none does. */
  lastUse = -1;

  constructor(size: number, data?: Float32Array) {
    this.size = size;
    this.data = data;
  }
}

/** A tensor: part of a storage under a shape. */
export class ReferenceTensor implements Tensor {
  readonly shape: Shape;
  readonly storage: Storage;
  /** Index of its first element in the storage. */
  readonly offset: number;
  /** The step it belongs to, of one device. */
  readonly step: symbol;

  constructor(shape: Shape, storage: Storage, offset: number, step: symbol) {
    this.shape = shape;
    this.storage = storage;
    this.offset = offset;
    this.step = step;
  }

  /** Its elements; only while its step runs. */
  get data(): Float32Array {
    const { data } = this.storage;
    if (!data) {
      throw new Error(
        `Cannot read a tensor ${formatShape(this.shape)}: it has no memory`,
      );
    }
    return data.subarray(this.offset, this.offset + numel(this.shape));
  }
}

/** A weight: float32, in the order of the checkpoint, with the values its format has. */
export class ReferenceWeight implements Weight {
  readonly name: string;
  readonly shape: Shape;
  readonly kind: WeightKind;
  readonly format: WeightFormat;
  readonly device: symbol;
  /** Empty until `allocate()`. */
  data: Float32Array = new Float32Array(0);
  /** 1 for each slice that was written. */
  private readonly written: Uint8Array;
  private missing: number;

  constructor(spec: WeightSpec, device: symbol) {
    this.device = device;
    this.name = spec.name;
    this.shape = spec.shape;
    this.kind = spec.kind;
    this.format = spec.format ?? "f32";
    this.missing = spec.shape[0] ?? 1;
    this.written = new Uint8Array(this.missing);
  }

  /** Takes its memory. */
  allocate(): void {
    this.data = new Float32Array(numel(this.shape));
  }

  /** Whether every slice was written. */
  get complete(): boolean {
    return this.missing === 0;
  }

  /**
   * Decodes slices into place.
   *
   * @throws {InputError} When they lie outside the weight or the bytes have
   * another length.
   * @throws {CheckpointError} When values cannot have the weight's format.
   */
  write({ firstRow, rows, dtype, bytes }: WeightRows): void {
    const end = firstRow + rows;
    if (firstRow < 0 || rows < 0 || end > this.written.length) {
      throw new InputError(
        `Cannot write rows ${firstRow}..${end} of weight "${this.name}": ` +
          `its shape is ${formatShape(this.shape)}`,
      );
    }
    const rowSize = numel(this.shape.slice(1));
    const wanted = dtypeBytes(dtype, rows * rowSize);
    if (bytes.byteLength !== wanted) {
      throw new InputError(
        `Cannot write rows ${firstRow}..${end} of weight "${this.name}": ` +
          `found ${bytes.byteLength} bytes, wanted ${wanted} of ${dtype}`,
      );
    }
    const values = decodeRows(bytes, dtype);
    const blocks = FORMAT_BLOCKS[this.format];
    if (blocks !== undefined && dtype !== blocks) {
      try {
        this.round(values, blocks);
      } catch (cause) {
        throw new CheckpointError(
          `Cannot quantise rows ${firstRow}..${end} of weight "${this.name}": ` +
            "a value is NaN, infinite or too large; the file is damaged, or " +
            'load it with the dtype "f32"',
          { tensor: this.name, cause },
        );
      }
    }
    this.data.set(values, firstRow * rowSize);
    for (let row = firstRow; row < end; row++) {
      this.missing -= 1 - this.written[row]!;
      this.written[row] = 1;
    }
  }

  /** Gives values `[rows, C, taps]` those of blocks along C. */
  private round(values: Float32Array, blocks: QuantizedDtype): void {
    const taps = numel(this.shape.slice(2));
    const channels = this.shape[1]!;
    // Where element i of `[rows, taps, C]` comes from.
    const source = (i: number) => {
      const tap = Math.floor(i / channels) % taps;
      const row = Math.floor(i / (taps * channels));
      return (row * channels + i % channels) * taps + tap;
    };
    const along = values.map((_, i) => values[source(i)]!);
    dequantize(quantize(along, blocks), blocks, along);
    along.forEach((x, i) => values[source(i)] = x);
  }
}

/** A ring of keys and values, `[capacity, K, H]` each, that knows what it holds. */
export class ReferenceKvStore implements KvStore {
  readonly kvStore = true;
  readonly device: symbol;
  readonly capacity: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly dtype: CacheDtype;
  readonly keys: Float32Array;
  readonly values: Float32Array;
  /** The position each row holds; -1 for none. */
  readonly positions: Int32Array;
  /** Whether a caller has it. */
  taken = true;

  constructor(
    { capacity, kvHeads, headDim, dtype = "f32" }: KvSpec,
    device: symbol,
  ) {
    this.device = device;
    this.dtype = dtype;
    this.capacity = capacity;
    this.kvHeads = kvHeads;
    this.headDim = headDim;
    const size = capacity * kvHeads * headDim;
    this.keys = new Float32Array(size);
    this.values = new Float32Array(size);
    this.positions = new Int32Array(capacity).fill(-1);
  }

  /** Puts keys and values of a position into their row. */
  set(position: number, keys: Float32Array, values: Float32Array): void {
    const row = position % this.capacity;
    const first = row * this.kvHeads * this.headDim;
    this.keys.set(this.kept(keys), first);
    this.values.set(this.kept(values), first);
    this.positions[row] = position;
  }

  private kept(x: Float32Array): Float32Array {
    if (this.dtype === "f32") return x;
    if (this.dtype === "q8") return multiplesOfScales(x, this.headDim);
    // What has no half must not pass for a large number.
    return x.map((value) => {
      const half = halfValue(halfBits(value));
      return Number.isFinite(half) ? half : NaN;
    });
  }
}

/** What signed bytes keep of rows, which have a scale of `largest / 127` each. */
function multiplesOfScales(x: Float32Array, width: number): Float32Array {
  const out = new Float32Array(x.length);
  for (let first = 0; first < x.length; first += width) {
    const row = x.subarray(first, first + width);
    const largest = row.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    // What is not finite makes its whole row NaN.
    const scale = Number.isFinite(largest) ? Math.fround(largest / 127) : NaN;
    const inverse = Math.fround(127 / largest);
    // Numbers too small for an inverse are zeros.
    const factor = Number.isFinite(inverse) ? inverse : 0;
    row.forEach((x, i) => out[first + i] = roundToEven(x * factor) * scale);
  }
  return out;
}

/** The nearest whole number to a float32 below 2^22, ties to even. */
function roundToEven(x: number): number {
  const magic = 3 * 2 ** 22;
  return Math.fround(Math.fround(x) + magic) - magic;
}

/** Bytes of keys and values of a store. */
export function kvBytes({ capacity, kvHeads, headDim }: KvSpec): number {
  return 2 * 4 * capacity * kvHeads * headDim;
}
