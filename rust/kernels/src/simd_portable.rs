//! The vectors as arrays, for native tests.

use super::LANES;
use core::array::from_fn;

pub type Vector = [f32; LANES];
pub type IntVector = [i32; LANES];

pub fn splat(x: f32) -> Vector {
    [x; LANES]
}

pub fn load(from: &[f32; LANES]) -> Vector {
    *from
}

pub fn store(v: Vector, to: &mut [f32; LANES]) {
    *to = v;
}

pub fn splat_lane<const I: usize>(v: Vector) -> Vector {
    [v[I]; LANES]
}

pub fn transpose(v: [Vector; LANES]) -> [Vector; LANES] {
    from_fn(|i| from_fn(|j| v[j][i]))
}

pub fn add(a: Vector, b: Vector) -> Vector {
    from_fn(|i| a[i] + b[i])
}

pub fn sub(a: Vector, b: Vector) -> Vector {
    from_fn(|i| a[i] - b[i])
}

pub fn mul(a: Vector, b: Vector) -> Vector {
    from_fn(|i| a[i] * b[i])
}

pub fn div(a: Vector, b: Vector) -> Vector {
    from_fn(|i| a[i] / b[i])
}

pub fn min(a: Vector, b: Vector) -> Vector {
    from_fn(|i| if b[i] < a[i] { b[i] } else { a[i] })
}

pub fn max(a: Vector, b: Vector) -> Vector {
    from_fn(|i| if a[i] < b[i] { b[i] } else { a[i] })
}

pub fn abs(v: Vector) -> Vector {
    v.map(f32::abs)
}

pub fn round(v: Vector) -> Vector {
    v.map(f32::round_ties_even)
}

pub fn copysign(v: Vector, sign: Vector) -> Vector {
    from_fn(|i| v[i].copysign(sign[i]))
}

pub fn all_lt(v: Vector, limit: Vector) -> bool {
    v.iter().zip(limit).all(|(x, limit)| *x < limit)
}

pub fn select_lt(v: Vector, limit: Vector, a: Vector, b: Vector) -> Vector {
    from_fn(|i| if v[i] < limit[i] { a[i] } else { b[i] })
}

pub fn bits(v: Vector) -> IntVector {
    v.map(|x| x.to_bits() as i32)
}

pub fn half(v: IntVector) -> IntVector {
    v.map(|x| x >> 1)
}

pub fn exp2(v: IntVector) -> Vector {
    v.map(|x| f32::from_bits((x.wrapping_add(127) as u32) << 23))
}

pub fn int_sub(a: IntVector, b: IntVector) -> IntVector {
    from_fn(|i| a[i].wrapping_sub(b[i]))
}

pub fn sqrt_f64(x: f64) -> f64 {
    x.sqrt()
}

pub fn constant<const BITS: u32>() -> Vector {
    splat(f32::from_bits(BITS))
}

pub fn int_constant<const BITS: u32>() -> IntVector {
    [BITS as i32; 4]
}
