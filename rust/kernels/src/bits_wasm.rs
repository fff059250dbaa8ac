//! The vectors as `v128`.

use super::BYTES;
use core::arch::wasm32::*;

#[cfg(target_feature = "relaxed-simd")]
pub use super::relaxed::*;

pub use crate::constant::constant;
pub use crate::simd::transpose_vectors as transpose;

pub type Vector = v128;

#[inline(always)]
pub fn load(from: &[u8; BYTES]) -> v128 {
    // SAFETY: the array has 16 bytes; v128.load needs no alignment.
    unsafe { v128_load(from.as_ptr().cast()) }
}

#[inline(always)]
pub fn splat(x: i32) -> v128 {
    i32x4_splat(x)
}

#[inline(always)]
pub fn splat_lane<const I: usize>(v: v128) -> v128 {
    match I {
        0 => i32x4_shuffle::<0, 0, 0, 0>(v, v),
        1 => i32x4_shuffle::<1, 1, 1, 1>(v, v),
        2 => i32x4_shuffle::<2, 2, 2, 2>(v, v),
        _ => i32x4_shuffle::<3, 3, 3, 3>(v, v),
    }
}

#[inline(always)]
pub fn even_bytes_signed(v: v128) -> v128 {
    i16x8_shr(i16x8_shl(v, 8), 8)
}

#[inline(always)]
pub fn odd_bytes_signed(v: v128) -> v128 {
    i16x8_shr(v, 8)
}

#[inline(always)]
pub fn and(a: v128, b: v128) -> v128 {
    v128_and(a, b)
}

#[inline(always)]
pub fn shift_right_u16<const N: u32>(v: v128) -> v128 {
    u16x8_shr(v, N)
}

#[inline(always)]
pub fn xor(a: v128, b: v128) -> v128 {
    v128_xor(a, b)
}

#[inline(always)]
pub fn join_nibbles(low: v128, high: v128) -> v128 {
    v128_or(low, i16x8_shl(high, 4))
}

#[inline(always)]
pub fn add_i32(a: v128, b: v128) -> v128 {
    i32x4_add(a, b)
}

#[inline(always)]
pub fn times_16(v: v128) -> v128 {
    i32x4_shl(v, 4)
}

#[inline(always)]
pub fn dot_i16(a: v128, b: v128) -> v128 {
    i32x4_dot_i16x8(a, b)
}

#[inline(always)]
pub fn bytes_to_f32(from: &[i8; 8]) -> [v128; 2] {
    // SAFETY: the array has 8 bytes; the load needs no alignment.
    let v = unsafe { i16x8_load_extend_i8x8(from.as_ptr()) };
    [i32x4_extend_low_i16x8(v), i32x4_extend_high_i16x8(v)].map(to_f32)
}

#[inline(always)]
pub fn to_f32(v: v128) -> v128 {
    f32x4_convert_i32x4(v)
}

#[cfg(not(target_feature = "relaxed-simd"))]
#[inline(always)]
pub fn from_f32(v: v128) -> v128 {
    i32x4_trunc_sat_f32x4(v)
}

#[inline(always)]
pub fn narrow([a, b, c, d]: [v128; 4]) -> v128 {
    i8x16_narrow_i16x8(i16x8_narrow_i32x4(a, b), i16x8_narrow_i32x4(c, d))
}

#[inline(always)]
pub fn store(v: v128, to: &mut [u8; BYTES]) {
    // SAFETY: the array has 16 bytes; v128.store needs no alignment.
    unsafe { v128_store(to.as_mut_ptr().cast(), v) }
}

#[inline(always)]
pub fn horizontal_sum(v: v128) -> i32 {
    let pairs = i32x4_add(v, i32x4_shuffle::<2, 3, 0, 1>(v, v));
    i32x4_extract_lane::<0>(pairs) + i32x4_extract_lane::<1>(pairs)
}

#[inline(always)]
pub fn nonzero_lanes(v: v128) -> u32 {
    i32x4_bitmask(i32x4_ne(v, i32x4_splat(0))).into()
}

#[inline(always)]
pub fn as_f32(v: v128) -> v128 {
    v
}

#[inline(always)]
pub fn to_scales(v: v128) -> [v128; 2] {
    [i32x4_extend_low_i16x8(v), i32x4_extend_high_i16x8(v)]
        .map(|v| v128_and(i32x4_shl(v, 13), constant::<0x8fff_ffff>()))
}
