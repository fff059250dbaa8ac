/** The largest byte. */
const LARGEST = 127;

/**
 * Functions that rounding to bytes calls.
 *
 * Magnitudes are compared as bits: these order as the numbers do, with infinity
 * and then NaN above all of them, whereas a GPU's `max()` may lose a NaN. A group
 * with either has NaN for its scale, so that all products with it are NaN, as on
 * the CPU.
 */
export const ROUNDING_FUNCTIONS = `
const LEAST_BITS = 0x0da24260u; // 1e-30, below the largest of any group that is not nothing
const INFINITE_BITS = 0x7f800000u;
const NAN_BITS = 0x7fc00000u;

fn magnitudesOf(x: vec4f) -> vec4u { return bitcast<vec4u>(x) & vec4u(0x7fffffffu); }
fn largestOf(most: vec4u) -> u32 { return max(max(most.x, most.y), max(most.z, most.w)); }
/** What elements are multiplied with to be bytes, and the scale of the bytes. */
fn roundingOf(most: u32) -> vec2f {
  let largest = bitcast<f32>(
    select(max(most, LEAST_BITS), NAN_BITS, most >= INFINITE_BITS));
  return vec2f(${LARGEST}.0 / largest, largest / ${LARGEST}.0);
}
/** The nearest bytes: a sum so large has no bits for fractions, and the byte in its lowest ones. */
fn bytesOf(x: vec4f, factor: f32) -> u32 {
  return pack4xI8(bitcast<vec4i>(x * factor + ${1.5 * 2 ** 23}.0));
}
`;
