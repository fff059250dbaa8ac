// ggml's k-blocks: 256 values in 8 or 16 groups, whose small integer scales
// share one or two half-precision factors.
//
//   q4_k: scale f16, minimum f16, 12 bytes of 6-bit scales and minima, 128 bytes
//   q5_k: the same, with 32 bytes of fifth bits before the 128
//   q6_k: 128 bytes of low halves, 64 bytes of high pairs, 16 int8 scales, f16
import { halfValue } from "../core/half.ts";

const GROUPS = 8;
const GROUP = 32;

/** One block of 144 bytes: `scale * s * q - minimum * m`, q of 4 bits. */
export function dequantizeQ4K(
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  to: number,
): void {
  dequantizeWithMinima(bytes, at, at + 16, undefined, out, to);
}

/** One block of 176 bytes: as q4_k with q of 5 bits. */
export function dequantizeQ5K(
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  to: number,
): void {
  dequantizeWithMinima(bytes, at, at + 48, at + 16, out, to);
}

// Groups 2g and 2g + 1 are the low and high halves of the same 32 bytes; the
// fifth bit of group g is bit g of the byte at `high`.
function dequantizeWithMinima(
  bytes: Uint8Array,
  at: number,
  low: number,
  high: number | undefined,
  out: Float32Array,
  to: number,
): void {
  const scale = halfAt(bytes, at);
  const minimum = halfAt(bytes, at + 2);
  for (let g = 0; g < GROUPS; g++) {
    const factor = scale * groupScale(bytes, at + 4, g);
    const offset = minimum * groupMinimum(bytes, at + 4, g);
    const shift = 4 * (g % 2);
    const from = low + GROUP * (g >> 1);
    for (let i = 0; i < GROUP; i++) {
      const fifth = high === undefined ? 0 : (bytes[high + i]! >> g) & 1;
      const q = ((bytes[from + i]! >> shift) & 15) | (fifth << 4);
      out[to + GROUP * g + i] = factor * q - offset;
    }
  }
}

// Of a block's 12 bytes, 0-3 hold scales 0-3 and 4-7 minima 0-3 in their lower
// six bits. Scales 4-7 are the low halves of bytes 8-11 with the upper bits of
// bytes 0-3, minima 4-7 the high halves with the upper bits of bytes 4-7.
function groupScale(bytes: Uint8Array, at: number, g: number): number {
  return g < 4
    ? bytes[at + g]! & 63
    : (bytes[at + 4 + g]! & 15) | ((bytes[at + g - 4]! >> 2) & 48);
}

function groupMinimum(bytes: Uint8Array, at: number, g: number): number {
  return g < 4
    ? bytes[at + 4 + g]! & 63
    : (bytes[at + 4 + g]! >> 4) | ((bytes[at + g]! >> 2) & 48);
}

/** One block of 210 bytes: `scale * s * (q - 32)`, q of 6 bits, s for 16 values. */
export function dequantizeQ6K(
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  to: number,
): void {
  const scale = halfAt(bytes, at + 208);
  for (let half = 0; half < 2; half++) {
    const low = at + 64 * half;
    const high = at + 128 + 32 * half;
    for (let i = 0; i < 128; i++) {
      // 32 values each: low halves of 64 bytes, then their high halves.
      const nibble = (bytes[low + i % 64]! >> (i < 64 ? 0 : 4)) & 15;
      const pair = (bytes[high + i % 32]! >> (2 * (i >> 5))) & 3;
      const s = bytes[at + 192 + 8 * half + (i >> 4)]! << 24 >> 24;
      out[to + 128 * half + i] = scale * s * ((nibble | (pair << 4)) - 32);
    }
  }
}

function halfAt(bytes: Uint8Array, at: number): number {
  return halfValue(bytes[at]! | (bytes[at + 1]! << 8));
}
