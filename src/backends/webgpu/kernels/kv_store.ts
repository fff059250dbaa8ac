import type { FloatCacheDtype } from "../../../core/dtype.ts";

/**
 * WGSL of the elements of key-value stores: rings `[capacity, K, ceil(H / 4)]`
 * of vectors of four, the last one of a head filled up with zeros.
 *
 * A store is an `array<KvVector>`, or `array<KvPair>` of the same memory:
 * `kvLoad` and `kvLoadPair` give their f32, `kvPack` makes a vector. Halves lie
 * two in a word, which needs no shader-f16, and are read with sums in f32. They
 * are rounded to the nearest, ties to even; what has no finite half is NaN.
 */
export function kvStoreWgsl(dtype: FloatCacheDtype): string {
  if (dtype === "f32") {
    return `
alias KvVector = vec4f;
alias KvPair = vec2f;
fn kvLoad(value: KvVector) -> vec4f { return value; }
fn kvLoadPair(value: KvPair) -> vec2f { return value; }
fn kvPack(value: vec4f) -> KvVector { return value; }
`;
  }
  return `
alias KvVector = vec2u;
alias KvPair = u32;
fn kvLoad(value: KvVector) -> vec4f {
  return vec4f(unpack2x16float(value.x), unpack2x16float(value.y));
}
fn kvLoadPair(value: KvPair) -> vec2f { return unpack2x16float(value); }
fn kvPack(value: vec4f) -> KvVector {
  let bits = bitcast<vec4u>(value);
  // Rounded here: the rounding of pack2x16float is the driver's.
  let rounded = (bits + 0xfffu + ((bits >> vec4u(13u)) & vec4u(1u))) & vec4u(0xffffe000u);
  let halves = bitcast<vec4f>(rounded);
  let words = vec2u(pack2x16float(halves.xy), pack2x16float(halves.zw));
  // From 65520 on, infinity and NaN.
  let none = (bits & vec4u(0x7fffffffu)) >= vec4u(0x477ff000u);
  let low = select(vec2u(), vec2u(0x7e00u), none.xz);
  let high = select(vec2u(), vec2u(0x7e000000u), none.yw);
  return words | low | high;
}
`;
}

/** Elements of a head as a store has them: whole vectors. */
export function kvWidth(headDim: number): number {
  return Math.ceil(headDim / 4) * 4;
}
