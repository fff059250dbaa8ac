// Block formats of GGUF files as ggml lays them out: values of a row in groups,
// each with a scale. Scalar code, the reference of every kernel that takes
// such blocks.
//
//   q8_0: 32 values  scale f16, 32 int8;           value = scale * q
//   q4_0: 32 values  scale f16, 16 bytes: value i in the low half of byte i,
//                    value 16 + i in its high half; value = scale * (q - 8)
//   q4_k, q5_k, q6_k: 256 values, see k_blocks.ts
import {
  BLOCK_SIZES,
  type BlockDtype,
  type CheckpointDtype,
  decodeToFloat32,
  isBlockDtype,
} from "../core/dtype.ts";
import { InputError } from "../core/errors.ts";
import { halfValue } from "../core/half.ts";
import { dequantizeQ4K, dequantizeQ5K, dequantizeQ6K } from "./k_blocks.ts";
import {
  GROUP,
  type QuantizedDtype,
  quantizeGroups,
} from "./quantize_groups.ts";

/** Bytes of the scale, with which a block begins. */
const SCALE_BYTES = 2;

/** Turns the blocks in `bytes` from `at` on, one by one, into values of `out` from `to` on. */
type DequantizeBlock = (
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  to: number,
) => void;

const DEQUANTIZE: Readonly<Record<BlockDtype, DequantizeBlock>> = {
  q8_0: dequantizeQ80,
  q4_0: dequantizeQ40,
  q4_k: dequantizeQ4K,
  q5_k: dequantizeQ5K,
  q6_k: dequantizeQ6K,
};

/**
 * Values of whole blocks, exact in float32 but for the one subtraction of
 * q4_k and q5_k.
 *
 * @param out Receives them; its length must be theirs.
 * @throws {InputError} When the lengths do not fit.
 */
export function dequantize(
  bytes: Uint8Array,
  dtype: BlockDtype,
  out: Float32Array,
): void {
  const size = BLOCK_SIZES[dtype];
  const blocks = bytes.byteLength / size.bytes;
  if (!Number.isInteger(blocks) || out.length !== blocks * size.values) {
    throw new InputError(
      `Cannot dequantise ${bytes.byteLength} bytes of ${dtype} into ${out.length} values: ` +
        `a block has ${size.bytes} bytes and ${size.values} values`,
    );
  }
  const block = DEQUANTIZE[dtype];
  for (let b = 0; b < blocks; b++) {
    block(bytes, b * size.bytes, out, b * size.values);
  }
}

/** Rows of a checkpoint, in whatever format, as float32. */
export function decodeRows(
  bytes: Uint8Array,
  dtype: CheckpointDtype,
): Float32Array {
  if (!isBlockDtype(dtype)) return decodeToFloat32(bytes, dtype);
  const size = BLOCK_SIZES[dtype];
  const blocks = Math.floor(bytes.byteLength / size.bytes);
  const out = new Float32Array(blocks * size.values);
  dequantize(bytes.subarray(0, blocks * size.bytes), dtype, out);
  return out;
}

/**
 * Blocks of values, rounded as ggml's reference does.
 *
 * @param values Whole blocks of 32.
 * @throws {InputError} When they are not whole blocks, or a value is NaN,
 * infinite, or too large for a scale in half precision.
 */
export function quantize(
  values: Float32Array,
  dtype: QuantizedDtype,
): Uint8Array {
  if (values.length % GROUP !== 0) {
    throw new InputError(
      `Cannot quantise ${values.length} values to ${dtype}: wanted a multiple of ${GROUP}`,
    );
  }
  const { bytes } = BLOCK_SIZES[dtype];
  const blocks = values.length / GROUP;
  const out = new Uint8Array(blocks * bytes);
  quantizeGroups(values, 0, blocks, dtype, {
    quants: out,
    firstQuant: SCALE_BYTES,
    quantStep: bytes,
    scales: out,
    firstScale: 0,
    scaleStep: bytes,
  });
  return out;
}

/** Root mean square of the differences, relative to that of the values; 0 where both are 0. */
export function relativeRmsError(
  values: Float32Array,
  restored: Float32Array,
): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < values.length; i++) {
    error += (values[i]! - restored[i]!) ** 2;
    norm += values[i]! ** 2;
  }
  return error === 0 ? 0 : Math.sqrt(error / norm);
}

function dequantizeQ80(
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  to: number,
): void {
  const scale = halfAt(bytes, at);
  for (let i = 0; i < GROUP; i++) {
    out[to + i] = scale * (bytes[at + 2 + i]! << 24 >> 24);
  }
}

function dequantizeQ40(
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  to: number,
): void {
  const scale = halfAt(bytes, at);
  for (let i = 0; i < GROUP / 2; i++) {
    const pair = bytes[at + 2 + i]!;
    out[to + i] = scale * ((pair & 15) - 8);
    out[to + GROUP / 2 + i] = scale * ((pair >> 4) - 8);
  }
}

function halfAt(bytes: Uint8Array, at: number): number {
  return halfValue(bytes[at]! | (bytes[at + 1]! << 8));
}
