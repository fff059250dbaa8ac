// Half-precision numbers: the way from float32, rounding to even.

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);
/** Adding and taking away 2^23 rounds a float below it to an integer. */
const ROUND_TO_INTEGER = 2 ** 23;

/** Largest finite half. */
export const MAX_HALF = 65504;

/** Bits of the half nearest to a number; beyond {@link MAX_HALF} they are infinity's. */
export function halfBits(value: number): number {
  FLOAT[0] = value;
  const sign = (BITS[0]! >>> 16) & 0x8000;
  const magnitude = BITS[0]! & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // A subnormal half is a multiple of 2^-24.
    const scaled = Math.abs(FLOAT[0]!) * 2 ** 24;
    return sign | (Math.fround(scaled + ROUND_TO_INTEGER) - ROUND_TO_INTEGER);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The value of a half. */
export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
