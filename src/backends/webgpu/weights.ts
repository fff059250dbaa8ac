// Weights in GPU buffers: rows as weight_layout.ts lays them out, divided where
// a buffer would exceed what a kernel can bind.
import {
  type BlockDtype,
  dtypeBytes,
  FORMAT_BLOCKS,
  isBlockDtype,
  type StorageDtype,
  type WeightFormat,
} from "../../core/dtype.ts";
import { CheckpointError, InputError } from "../../core/errors.ts";
import { formatShape, numel, type Shape } from "../../core/shape.ts";
import {
  canQuantize,
  type WeightKind,
  type WeightRows,
  type WeightSpec,
} from "../../ops/device.ts";
import type { Weight } from "../../ops/ops.ts";
import { align } from "./flags.ts";
import { Region } from "./tensors.ts";
import {
  GROUP,
  packRows,
  type RowPart,
  splitRows,
  type WeightLayout,
  weightLayout,
} from "./weight_layout.ts";

/** Rows of a weight that lie in one buffer for values and one for scales. */
export interface WeightPart extends RowPart {
  readonly values: Region;
  /** Without bytes where the format has no scales. */
  readonly scales: Region;
}

/** Bytes at a place of a region. */
export interface RegionWrite {
  readonly region: Region;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A weight, laid out as its kind and format want. */
export class WebGpuWeight implements Weight {
  readonly name: string;
  readonly shape: Shape;
  readonly kind: WeightKind;
  readonly format: WeightFormat;
  /** One unless it exceeds what a kernel can bind. */
  readonly parts: readonly WeightPart[];
  /** Whether the rows it multiplies are mostly zeros; it lies as others do. */
  readonly sparseInput: boolean;
  /** Whether it may be left out. */
  readonly optional: boolean;
  leftOut = false;
  /** The device it belongs to. */
  readonly device: symbol;
  /** The whole weight where the GPU wants another order than the checkpoint, until it is complete. */
  private pending: Float32Array | undefined;
  private readonly layout: WeightLayout;
  private readonly written: Uint8Array;
  private missing: number;

  constructor(spec: WeightSpec, device: symbol, maxBindingBytes: number) {
    this.device = device;
    this.name = spec.name;
    this.shape = spec.shape;
    this.kind = spec.kind;
    this.sparseInput = spec.sparseInput === true;
    this.optional = spec.optional === true;
    const format = spec.format ?? "f32";
    if (format !== "f32" && !canQuantize(spec)) {
      throw new InputError(
        `Cannot keep weight "${spec.name}" of shape ${
          formatShape(spec.shape)
        } as "${format}": wanted a matrix whose rows are groups of ${GROUP}`,
      );
    }
    // Filters of several places are few, and quick as they are.
    this.format = this.taps > 1 ? "f32" : format;
    const rows = spec.shape[0] ?? 1;
    this.missing = rows;
    this.written = new Uint8Array(rows);
    this.layout = weightLayout(this.format, this.rowSize);
    this.parts = splitRows(rows, this.layout, maxBindingBytes).map((part) => ({
      ...part,
      values: new Region(part.rows * this.layout.valueBytes),
      scales: new Region(part.rows * this.layout.scaleBytes),
    }));
  }

  /** Whether every slice was written. */
  get complete(): boolean {
    return this.missing === 0;
  }

  /** Elements of a slice along the first dimension. */
  get rowSize(): number {
    return numel(this.shape.slice(1));
  }

  /** Places of a filter; 1 for matrices and vectors. */
  get taps(): number {
    return this.shape.length > 2 ? numel(this.shape.slice(2)) : 1;
  }

  /** What has to be taken for it. */
  get regions(): readonly Region[] {
    return this.parts.flatMap(({ values, scales }) =>
      scales.bytes > 0 ? [values, scales] : [values]
    );
  }

  /** Bytes it takes on the GPU. */
  get bytes(): number {
    return this.regions.reduce((sum, { bytes }) => sum + align(bytes), 0);
  }

  /**
   * Lays rows out; gives what to write where.
   *
   * @throws {InputError} When they lie outside the weight or the bytes have
   * another length.
   * @throws {CheckpointError} When values cannot have the weight's format.
   */
  pack(rows: WeightRows): RegionWrite[] {
    this.requireRows(rows);
    const { values, scales } = this.layOut(rows.bytes, rows.dtype, rows);
    this.markWritten(rows);
    if (this.taps > 1) return this.packFilters(rows, values);
    const end = rows.firstRow + rows.rows;
    return this.parts.flatMap((part) => {
      const first = Math.max(rows.firstRow, part.firstRow);
      const last = Math.min(end, part.firstRow + part.rows);
      if (last <= first) return [];
      const write = (region: Region, all: Uint8Array, rowBytes: number) => ({
        region,
        offset: (first - part.firstRow) * rowBytes,
        bytes: all.subarray(
          (first - rows.firstRow) * rowBytes,
          (last - rows.firstRow) * rowBytes,
        ),
      });
      const { valueBytes, scaleBytes } = this.layout;
      const planes = [write(part.values, values, valueBytes)];
      if (scaleBytes > 0) planes.push(write(part.scales, scales, scaleBytes));
      return planes;
    });
  }

  private layOut(
    bytes: Uint8Array,
    dtype: StorageDtype | BlockDtype,
    { firstRow, rows }: WeightRows,
  ): ReturnType<typeof packRows> {
    try {
      return packRows(bytes, dtype, this.format, this.rowSize);
    } catch (cause) {
      throw new CheckpointError(
        `Cannot quantise rows ${firstRow}..${firstRow + rows} of weight ` +
          `"${this.name}": a value is NaN, infinite or too large; the file ` +
          'is damaged, or load it with the dtype "f32"',
        { tensor: this.name, cause },
      );
    }
  }

  /** Filters `[O, C, taps]` lie as `[taps, O, C]`; they are small and written whole. */
  private packFilters(
    { firstRow, rows }: WeightRows,
    values: Uint8Array,
  ): RegionWrite[] {
    const { rowSize, taps } = this;
    const all = this.pending ??= new Float32Array(numel(this.shape));
    const channels = rowSize / taps;
    const outputs = this.shape[0]!;
    const from = new Float32Array(
      values.buffer,
      values.byteOffset,
      rows * rowSize,
    );
    for (let o = 0; o < rows; o++) {
      for (let c = 0; c < channels; c++) {
        for (let tap = 0; tap < taps; tap++) {
          all[(tap * outputs + firstRow + o) * channels + c] =
            from[(o * channels + c) * taps + tap]!;
        }
      }
    }
    if (!this.complete) return [];
    this.pending = undefined;
    const bytes = new Uint8Array(all.buffer);
    return this.parts.map(({ values: region, firstRow, rows }) => ({
      region,
      offset: 0,
      bytes: bytes.subarray(
        firstRow * this.layout.valueBytes,
        (firstRow + rows) * this.layout.valueBytes,
      ),
    }));
  }

  private requireRows({ firstRow, rows, dtype, bytes }: WeightRows): void {
    const end = firstRow + rows;
    const problem = `Cannot write rows ${firstRow}..${end} of weight ` +
      `"${this.name}": `;
    if (!(firstRow >= 0 && rows >= 0 && end <= this.written.length)) {
      throw new InputError(
        `${problem}its shape is ${formatShape(this.shape)}`,
      );
    }
    if (isBlockDtype(dtype) && dtype !== FORMAT_BLOCKS[this.format]) {
      throw new InputError(
        `${problem}found blocks of ${dtype}, wanted numbers or the blocks of ` +
          `"${this.format}"`,
      );
    }
    const wanted = dtypeBytes(dtype, rows * this.rowSize);
    if (bytes.byteLength !== wanted) {
      throw new InputError(
        `${problem}found ${bytes.byteLength} bytes, wanted ${wanted} of ` +
          dtype,
      );
    }
  }

  private markWritten({ firstRow, rows }: WeightRows): void {
    for (let row = firstRow; row < firstRow + rows; row++) {
      this.missing -= 1 - this.written[row]!;
      this.written[row] = 1;
    }
  }
}
