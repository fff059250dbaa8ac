// How weights lie in GPU buffers. A weight is `[rows, width]`: row-major values,
// and for the formats with groups of 32 a second plane with the scales.
//
//   f32  values  f32 [rows, width], dense
//   q8   values  u32 [rows, width / 4]; byte i of word j is int8 element 4j + i
//   q4   values  u32 [rows, width / 8]; of group g, word j of 4 holds elements
//                32g + 4j + i in the low and 32g + 16 + 4j + i in the high half
//                of byte i; value = scale * (nibble - 8)
//   q8, q4  scales  u32 [rows, ceil(width / 64)]: two halves a word, the lower
//                one of the even group; rows of an odd number of groups end in
//                a half that is not used
//
// So a group is one `vec4<u32>` of q4 or two of q8, `unpack2x16float` reads the
// scales (no shader-f16 needed), and the quants are those of a Q4_0 or Q8_0
// block as they are: packing only moves the scales out.
import {
  BLOCK_SIZES,
  type BlockDtype,
  FORMAT_BLOCKS,
  type StorageDtype,
  type WeightFormat,
} from "../../core/dtype.ts";
import { decodeRows } from "../../quant/blocks.ts";
import { GROUP, quantizeGroups } from "../../quant/quantize_groups.ts";

export { GROUP };

/** Bytes of a half-precision scale. */
const SCALE_BYTES = 2;

/** Bytes of a row in each plane. */
export interface WeightLayout {
  readonly valueBytes: number;
  /** 0 where the format has no scales. */
  readonly scaleBytes: number;
}

/** Consecutive rows that lie in one buffer. */
export interface RowPart {
  readonly firstRow: number;
  readonly rows: number;
}

/** Rows of a weight as the GPU has them. */
export interface PackedRows {
  /** `rows * valueBytes` bytes. */
  readonly values: Uint8Array;
  /** `rows * scaleBytes` bytes. */
  readonly scales: Uint8Array;
}

/** Where rows of `width` elements lie; quantised ones are whole groups. */
export function weightLayout(
  format: WeightFormat,
  width: number,
): WeightLayout {
  if (format === "f32") return { valueBytes: 4 * width, scaleBytes: 0 };
  const groups = width / GROUP;
  return {
    valueBytes: format === "q8" ? width : width / 2,
    scaleBytes: 4 * Math.ceil(groups / 2),
  };
}

/**
 * Divides rows into parts whose values a binding of `maxBindingBytes` holds.
 * All parts but the last have the same number of rows.
 */
export function splitRows(
  rows: number,
  { valueBytes }: WeightLayout,
  maxBindingBytes: number,
): RowPart[] {
  const fit = Math.max(
    1,
    Math.floor(maxBindingBytes / Math.max(1, valueBytes)),
  );
  const parts = Math.max(1, Math.ceil(rows / fit));
  const each = Math.ceil(rows / parts);
  return Array.from({ length: parts }, (_, i) => ({
    firstRow: i * each,
    rows: Math.min(each, rows - i * each),
  }));
}

/**
 * Lays rows of a checkpoint out as `format` wants them; values of another
 * format are quantised.
 *
 * @param bytes Whole rows of `width` elements.
 * @throws {InputError} When a value has no place in the format.
 */
export function packRows(
  bytes: Uint8Array,
  dtype: StorageDtype | BlockDtype,
  format: WeightFormat,
  width: number,
): PackedRows {
  const blocks = FORMAT_BLOCKS[format];
  if (blocks === undefined) {
    const values = decodeRows(bytes, dtype);
    return {
      values: new Uint8Array(
        values.buffer,
        values.byteOffset,
        values.byteLength,
      ),
      scales: new Uint8Array(0),
    };
  }
  return dtype === blocks
    ? separateScales(bytes, blocks, width)
    : quantizeRows(numbers(bytes, dtype), blocks, width);
}

/** Rows as `quantizeGroups` takes them. */
function numbers(
  bytes: Uint8Array,
  dtype: StorageDtype | BlockDtype,
): Float32Array | Uint16Array {
  if (dtype !== "bf16") return decodeRows(bytes, dtype);
  const isAligned = bytes.byteOffset % Uint16Array.BYTES_PER_ELEMENT === 0;
  const { buffer, byteOffset, byteLength } = isAligned ? bytes : bytes.slice();
  return new Uint16Array(
    buffer,
    byteOffset,
    byteLength / Uint16Array.BYTES_PER_ELEMENT,
  );
}

function quantizeRows(
  from: Float32Array | Uint16Array,
  dtype: "q8_0" | "q4_0",
  width: number,
): PackedRows {
  const groups = width / GROUP;
  const format = dtype === "q8_0" ? "q8" : "q4";
  const { valueBytes, scaleBytes } = weightLayout(format, width);
  const rows = groups === 0 ? 0 : from.length / width;
  const values = new Uint8Array(rows * valueBytes);
  const scales = new Uint8Array(rows * scaleBytes);
  for (let row = 0; row < rows; row++) {
    quantizeGroups(from, row * width, groups, dtype, {
      quants: values,
      firstQuant: row * valueBytes,
      quantStep: valueBytes / groups,
      scales,
      firstScale: row * scaleBytes,
      scaleStep: SCALE_BYTES,
    });
  }
  return { values, scales };
}

/** Moves the scales of Q4_0 or Q8_0 blocks, which come first, into a plane of their own. */
function separateScales(
  bytes: Uint8Array,
  dtype: "q8_0" | "q4_0",
  width: number,
): PackedRows {
  const blockBytes = BLOCK_SIZES[dtype].bytes;
  const quantBytes = blockBytes - SCALE_BYTES;
  const groups = width / GROUP;
  const { valueBytes, scaleBytes } = weightLayout(
    dtype === "q8_0" ? "q8" : "q4",
    width,
  );
  const rows = groups === 0 ? 0 : bytes.byteLength / (groups * blockBytes);
  const values = new Uint8Array(rows * valueBytes);
  const scales = new Uint8Array(rows * scaleBytes);
  for (let row = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++) {
      const from = (row * groups + g) * blockBytes;
      const to = row * valueBytes + g * quantBytes;
      const scale = row * scaleBytes + g * SCALE_BYTES;
      scales[scale] = bytes[from]!;
      scales[scale + 1] = bytes[from + 1]!;
      // A loop: subarray() a group costs several times the copy.
      for (let i = 0; i < quantBytes; i++) {
        values[to + i] = bytes[from + SCALE_BYTES + i]!;
      }
    }
  }
  return { values, scales };
}
