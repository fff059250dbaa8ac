// Element types of checkpoints and host tensors, and their way to float32.
import { UnsupportedError } from "./errors.ts";

/** Element type of data at rest in a checkpoint. */
export type StorageDtype = "f32" | "f16" | "bf16";

/** Groups of values with scales of their own, as in GGUF files (src/quant). */
export type BlockDtype = "q8_0" | "q4_0" | "q4_k" | "q5_k" | "q6_k";

/** How a checkpoint stores a tensor. */
export type CheckpointDtype = StorageDtype | BlockDtype;

/** Values and bytes of one block of each {@link BlockDtype}. */
export const BLOCK_SIZES: Readonly<
  Record<BlockDtype, { readonly values: number; readonly bytes: number }>
> = {
  q8_0: { values: 32, bytes: 34 },
  q4_0: { values: 32, bytes: 18 },
  q4_k: { values: 256, bytes: 144 },
  q5_k: { values: 256, bytes: 176 },
  q6_k: { values: 256, bytes: 210 },
};

/** Whether values come in blocks with scales. */
export function isBlockDtype(dtype: CheckpointDtype): dtype is BlockDtype {
  return Object.hasOwn(BLOCK_SIZES, dtype);
}

/** Least count of rows of `width` values that are whole blocks together. */
export function rowsOfWholeBlocks(
  dtype: CheckpointDtype,
  width: number,
): number {
  if (!isBlockDtype(dtype)) return 1;
  const { values } = BLOCK_SIZES[dtype];
  let rows = 1;
  while (rows * width % values !== 0) rows++;
  return rows;
}

/** Bytes per element of each {@link StorageDtype}. */
export const STORAGE_BYTES: Readonly<Record<StorageDtype, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
};

/** Bytes of `count` values, whole blocks of them. */
export function dtypeBytes(dtype: CheckpointDtype, count: number): number {
  if (!isBlockDtype(dtype)) return count * STORAGE_BYTES[dtype];
  const { values, bytes } = BLOCK_SIZES[dtype];
  return count / values * bytes;
}

/**
 * How a device keeps a weight: float32, or signed integers of 8 or 4 bits in
 * groups of 32 along a row with a half-precision scale, whose values are those
 * of Q8_0 and Q4_0 blocks.
 */
export type WeightFormat = "f32" | "q8" | "q4";

/**
 * How a device keeps keys and values: float32, half precision, which ends at
 * 65504, or signed bytes with a float32 scale for each key and value of a head.
 */
export type CacheDtype = "f32" | "f16" | "q8";

/** Formats of keys and values without scales. */
export type FloatCacheDtype = Exclude<CacheDtype, "q8">;

/** Blocks of a file that hold the values of a {@link WeightFormat} as they are. */
export const FORMAT_BLOCKS: Readonly<
  Record<WeightFormat, "q8_0" | "q4_0" | undefined>
> = { f32: undefined, q8: "q8_0", q4: "q4_0" };

/** Number format the weights are computed in. */
export type ComputeDtype = "f32" | "f16" | "q8" | "q4";

/**
 * Decodes little-endian elements to float32. `bytes` need not be aligned.
 *
 * f16 and bf16 values are exact in float32.
 */
export function decodeToFloat32(
  bytes: Uint8Array,
  dtype: StorageDtype,
): Float32Array {
  const count = Math.floor(bytes.byteLength / STORAGE_BYTES[dtype]);
  if (dtype === "f32") {
    const out = new Float32Array(count);
    new Uint8Array(out.buffer).set(bytes.subarray(0, count * 4));
    return out;
  }
  const halves = new Uint16Array(count);
  new Uint8Array(halves.buffer).set(bytes.subarray(0, count * 2));
  if (dtype === "bf16") {
    const bits = new Uint32Array(count);
    for (let i = 0; i < count; i++) bits[i] = halves[i]! << 16;
    return new Float32Array(bits.buffer);
  }
  if (dtype === "f16") {
    const bits = new Uint32Array(count);
    for (let i = 0; i < count; i++) bits[i] = spreadHalf(halves[i]!);
    const out = new Float32Array(bits.buffer);
    // The exponents are biased by 15, those of a float by 127.
    for (let i = 0; i < count; i++) out[i]! *= 2 ** 112;
    return out;
  }
  throw new UnsupportedError(
    `Cannot decode elements of type "${dtype satisfies never}"`,
  );
}

/** A half's fields at their places in a float; infinity and NaN keep their exponent of ones. */
function spreadHalf(half: number): number {
  const ones = (half & 0x7c00) === 0x7c00 ? 0x7f800000 : 0;
  return ((half & 0x8000) << 16) | ((half & 0x7fff) << 13) | ones;
}
