//! The vectors as arrays, for native tests.

use super::BYTES;
use core::array::from_fn;

pub type Vector = [u8; BYTES];

fn from_i16(lanes: [i16; 8]) -> Vector {
    from_fn(|i| lanes[i / 2].to_le_bytes()[i % 2])
}

fn to_i16(v: Vector) -> [i16; 8] {
    from_fn(|i| i16::from_le_bytes([v[2 * i], v[2 * i + 1]]))
}

fn from_i32(lanes: [i32; 4]) -> Vector {
    from_fn(|i| lanes[i / 4].to_le_bytes()[i % 4])
}

fn to_i32(v: Vector) -> [i32; 4] {
    from_fn(|i| i32::from_le_bytes(from_fn(|j| v[4 * i + j])))
}

pub fn load(from: &[u8; BYTES]) -> Vector {
    *from
}

pub fn constant<const BITS: u32>() -> Vector {
    splat(BITS as i32)
}

pub fn splat(x: i32) -> Vector {
    from_i32([x; 4])
}

pub fn splat_lane<const I: usize>(v: Vector) -> Vector {
    splat(to_i32(v)[I])
}

pub fn even_bytes_signed(v: Vector) -> Vector {
    from_i16(from_fn(|i| (v[2 * i] as i8).into()))
}

pub fn odd_bytes_signed(v: Vector) -> Vector {
    from_i16(from_fn(|i| (v[2 * i + 1] as i8).into()))
}

pub fn and(a: Vector, b: Vector) -> Vector {
    from_fn(|i| a[i] & b[i])
}

pub fn xor(a: Vector, b: Vector) -> Vector {
    from_fn(|i| a[i] ^ b[i])
}

pub fn shift_right_u16<const N: u32>(v: Vector) -> Vector {
    from_i16(to_i16(v).map(|x| (x as u16 >> N) as i16))
}

pub fn transpose(v: [Vector; 4]) -> [Vector; 4] {
    let lanes = v.map(to_i32);
    from_fn(|i| from_i32(from_fn(|j| lanes[j][i])))
}

pub fn join_nibbles(low: Vector, high: Vector) -> Vector {
    from_fn(|i| low[i] | high[i] << 4)
}

pub fn add_i32(a: Vector, b: Vector) -> Vector {
    let (a, b) = (to_i32(a), to_i32(b));
    from_i32(from_fn(|i| a[i] + b[i]))
}

#[cfg(test)]
pub fn halves_i16(v: Vector) -> Vector {
    from_i16(from_fn(|i| i16::try_from(to_i32(v)[i / 2] / 2).unwrap()))
}

#[cfg(test)]
pub fn add_i16(a: Vector, b: Vector) -> Vector {
    let (a, b) = (to_i16(a), to_i16(b));
    from_i16(from_fn(|i| a[i].wrapping_add(b[i])))
}

pub fn times_16(v: Vector) -> Vector {
    from_i32(to_i32(v).map(|x| x << 4))
}

pub fn dot_i16(a: Vector, b: Vector) -> Vector {
    let product = |i: usize| i32::from(to_i16(a)[i]) * i32::from(to_i16(b)[i]);
    from_i32(from_fn(|i| product(2 * i) + product(2 * i + 1)))
}

#[cfg(test)]
pub fn dot_i8_add<const S: bool>(x: Vector, w: Vector, sums: Vector) -> Vector {
    let product = |i: usize| {
        let w = if S { i32::from(w[i] as i8) } else { i32::from(w[i]) };
        i32::from(x[i] as i8) * w
    };
    let sums = to_i32(sums);
    from_i32(from_fn(|i| sums[i] + (0..4).map(|j| product(4 * i + j)).sum::<i32>()))
}

#[cfg(test)]
pub fn dot_i8(x: Vector, w: Vector) -> Vector {
    let product = |i: usize| {
        assert!(w[i] < 128);
        i16::from(x[i] as i8) * i16::from(w[i])
    };
    from_i16(from_fn(|i| product(2 * i) + product(2 * i + 1)))
}

pub fn bytes_to_f32(from: &[i8; 8]) -> [[f32; 4]; 2] {
    from_fn(|half| from_fn(|i| from[4 * half + i].into()))
}

pub fn to_f32(v: Vector) -> [f32; 4] {
    to_i32(v).map(|x| x as f32)
}

pub fn from_f32(v: [f32; 4]) -> Vector {
    from_i32(v.map(|x| x as i32))
}

pub fn narrow(vectors: [Vector; 4]) -> Vector {
    let lanes = vectors.map(to_i32);
    from_fn(|i| i8::try_from(lanes[i / 4][i % 4]).unwrap() as u8)
}

pub fn store(v: Vector, to: &mut [u8; BYTES]) {
    *to = v;
}

pub fn horizontal_sum(v: Vector) -> i32 {
    to_i32(v).iter().sum()
}

pub fn nonzero_lanes(v: Vector) -> u32 {
    to_i32(v).iter().enumerate().map(|(i, x)| u32::from(*x != 0) << i).sum()
}

pub fn as_f32(v: Vector) -> [f32; 4] {
    to_i32(v).map(|x| f32::from_bits(x as u32))
}

pub fn to_scales(v: Vector) -> [[f32; 4]; 2] {
    let scales = to_i16(v).map(|x| f32::from_bits((i32::from(x) << 13) as u32 & 0x8fff_ffff));
    from_fn(|half| from_fn(|i| scales[4 * half + i]))
}
