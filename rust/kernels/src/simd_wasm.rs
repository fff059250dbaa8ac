//! The vectors as `v128`.

use super::LANES;
use core::arch::wasm32::*;

pub use crate::constant::constant;
pub use crate::constant::constant as int_constant;

pub type Vector = v128;
pub type IntVector = v128;

#[inline(always)]
pub fn splat(x: f32) -> v128 {
    f32x4_splat(x)
}

#[inline(always)]
pub fn load(from: &[f32; LANES]) -> v128 {
    // SAFETY: the array has 16 bytes; v128.load needs no alignment.
    unsafe { v128_load(from.as_ptr().cast()) }
}

#[inline(always)]
pub fn store(v: v128, to: &mut [f32; LANES]) {
    // SAFETY: the array has 16 bytes; v128.store needs no alignment.
    unsafe { v128_store(to.as_mut_ptr().cast(), v) }
}

#[inline(always)]
pub fn transpose([a, b, c, d]: [v128; LANES]) -> [v128; LANES] {
    let (ab, cd) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<0, 4, 1, 5>(c, d));
    let (ef, gh) = (i32x4_shuffle::<2, 6, 3, 7>(a, b), i32x4_shuffle::<2, 6, 3, 7>(c, d));
    [
        i64x2_shuffle::<0, 2>(ab, cd),
        i64x2_shuffle::<1, 3>(ab, cd),
        i64x2_shuffle::<0, 2>(ef, gh),
        i64x2_shuffle::<1, 3>(ef, gh),
    ]
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
pub fn add(a: v128, b: v128) -> v128 {
    f32x4_add(a, b)
}

#[inline(always)]
pub fn sub(a: v128, b: v128) -> v128 {
    f32x4_sub(a, b)
}

#[inline(always)]
pub fn mul(a: v128, b: v128) -> v128 {
    f32x4_mul(a, b)
}

#[inline(always)]
pub fn div(a: v128, b: v128) -> v128 {
    f32x4_div(a, b)
}

// Where relaxed SIMD is there, the compiler makes relaxed_min(a, b) of
// pmin(a, b), which loses a NaN in `a` on x86: its instruction gives the second
// operand where one is NaN, or where both are zeros. So `a` comes second.
#[inline(always)]
pub fn min(a: v128, b: v128) -> v128 {
    #[cfg(target_feature = "relaxed-simd")]
    return f32x4_relaxed_min(b, a);
    #[cfg(not(target_feature = "relaxed-simd"))]
    f32x4_pmin(a, b)
}

#[inline(always)]
pub fn max(a: v128, b: v128) -> v128 {
    #[cfg(target_feature = "relaxed-simd")]
    return f32x4_relaxed_max(b, a);
    #[cfg(not(target_feature = "relaxed-simd"))]
    f32x4_pmax(a, b)
}

#[inline(always)]
pub fn abs(v: v128) -> v128 {
    f32x4_abs(v)
}

#[inline(always)]
pub fn round(v: v128) -> v128 {
    f32x4_nearest(v)
}

#[inline(always)]
pub fn copysign(v: v128, sign: v128) -> v128 {
    v128_bitselect(sign, v, constant::<0x8000_0000>())
}

#[inline(always)]
pub fn all_lt(v: v128, limit: v128) -> bool {
    i32x4_all_true(f32x4_lt(v, limit))
}

#[inline(always)]
pub fn select_lt(v: v128, limit: v128, a: v128, b: v128) -> v128 {
    v128_bitselect(a, b, f32x4_lt(v, limit))
}

#[inline(always)]
pub fn bits(v: v128) -> v128 {
    v
}

#[inline(always)]
pub fn half(v: v128) -> v128 {
    i32x4_shr(v, 1)
}

#[inline(always)]
pub fn exp2(v: v128) -> v128 {
    i32x4_shl(i32x4_add(v, constant::<127>()), 23)
}

#[inline(always)]
pub fn int_sub(a: v128, b: v128) -> v128 {
    i32x4_sub(a, b)
}

#[inline(always)]
pub fn sqrt_f64(x: f64) -> f64 {
    f64x2_extract_lane::<0>(f64x2_sqrt(f64x2_splat(x)))
}
