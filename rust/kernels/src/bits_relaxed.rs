//! What needs relaxed SIMD, as `v128`.

use core::arch::wasm32::*;

#[inline(always)]
pub fn from_f32(v: v128) -> v128 {
    i32x4_relaxed_trunc_f32x4(v)
}

#[inline(always)]
pub fn halves_i16(v: v128) -> v128 {
    v128_or(v128_and(i32x4_shr(v, 1), i32x4_splat(0xffff)), i32x4_shl(i32x4_shr(v, 1), 16))
}

#[inline(always)]
pub fn add_i16(a: v128, b: v128) -> v128 {
    i16x8_add(a, b)
}

#[inline(always)]
pub fn dot_i8_add<const S: bool>(x: v128, w: v128, sums: v128) -> v128 {
    i32x4_relaxed_dot_i8x16_i7x16_add(x, w, sums)
}

#[inline(always)]
pub fn dot_i8(x: v128, w: v128) -> v128 {
    i16x8_relaxed_dot_i8x16_i7x16(x, w)
}

pub fn first(v: v128) -> i32 {
    i32x4_extract_lane::<0>(v)
}
