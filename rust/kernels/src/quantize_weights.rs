//! Groups of weights as bytes: from numbers, with the rounding of ggml's Q8_0
//! and Q4_0, and from blocks that a file has in these formats.

use crate::bits::Bits;
use crate::quantized::GROUP;
use crate::scale::half_from_f32;
use crate::simd::{F32x4, LANES};

/// Bytes of a block of eight bits in a file: a half and 32 signed bytes.
pub const Q8_BLOCK: usize = 34;
/// Bytes of a block of four bits in a file: a half and 16 bytes.
pub const Q4_BLOCK: usize = 18;

/// A group of an output: bits of its scale as a half, and its bytes.
pub type Quantized = (u16, [Bits; 2]);

/// A block of a file.
#[inline(always)]
pub fn of_q8_block(block: &[u8; Q8_BLOCK]) -> Quantized {
    let [a, b, bytes @ ..] = block;
    let quads = bytes.as_chunks().0;
    (u16::from_le_bytes([*a, *b]), [&quads[0], &quads[1]].map(|x| Bits::load(x).flip_signs()))
}

/// As [`of_q8_block`], with four bits.
#[inline(always)]
pub fn of_q4_block(block: &[u8; Q4_BLOCK]) -> Quantized {
    let [a, b, bytes @ ..] = block;
    let nibbles = Bits::load(bytes);
    (u16::from_le_bytes([*a, *b]), [nibbles.low_nibbles(), nibbles.high_nibbles()])
}

/// The bytes of a group.
#[inline(always)]
pub fn bytes_of(bits: [Bits; 2]) -> [u8; GROUP] {
    let mut bytes = [0; GROUP];
    for (quad, bits) in bytes.as_chunks_mut().0.iter_mut().zip(bits) {
        bits.store(quad);
    }
    bytes
}

/// Bits of a half that no scale has.
const BAD: u16 = 0x7e00;

type Vectors = [F32x4; GROUP / LANES];

/// 32 numbers in eight bits.
#[inline(always)]
pub fn quantize_q8(x: &[f32; GROUP]) -> Quantized {
    let x = load_group(x);
    let largest = x.iter().fold(F32x4::zero(), |a, x| a.max(x.abs()));
    let scale = largest.lanes().iter().fold(0.0f32, |a, x| a.max(*x)) / 127.0;
    let inverse = F32x4::splat(inverse(scale));
    // Halves go away from zero. The number below a half: with a half itself the
    // sum of the number below would be rounded up to 1.
    let half = F32x4::splat(0.5f32.next_down());
    let bytes = to_bytes(x.map(|x| {
        let scaled = x * inverse;
        scaled + half.copysign(scaled)
    }));
    (half_of(scale, &x), bytes.map(Bits::flip_signs))
}

/// 32 numbers in four bits. The number furthest from zero becomes -8: its sign is the scale's.
#[inline(always)]
pub fn quantize_q4(x: &[f32; GROUP]) -> Quantized {
    let vectors = load_group(x);
    let scale = furthest(x, &vectors) / -8.0;
    let inverse = F32x4::splat(inverse(scale));
    let (half, last) = (F32x4::splat(8.5), F32x4::splat(15.0));
    let bytes = to_bytes(vectors.map(|x| (x * inverse + half).min(last)));
    (half_of(scale, &vectors), bytes)
}

#[inline(always)]
fn load_group(x: &[f32; GROUP]) -> Vectors {
    core::array::from_fn(|i| F32x4::load(&x.as_chunks::<LANES>().0[i]))
}

/// The first of the largest magnitude.
#[inline(always)]
fn furthest(x: &[f32; GROUP], vectors: &Vectors) -> f32 {
    let high = vectors.iter().fold(F32x4::zero(), |a, x| a.max(*x));
    let low = vectors.iter().fold(F32x4::zero(), |a, x| a.min(*x));
    let high = high.lanes().iter().fold(0.0f32, |a, x| a.max(*x));
    let low = low.lanes().iter().fold(0.0f32, |a, x| a.min(*x));
    if high > -low {
        high
    } else if high < -low {
        low
    } else {
        x.iter().find(|x| x.abs() == high).copied().unwrap_or(0.0)
    }
}

/// Whole parts as bytes, with signs or without.
#[inline(always)]
fn to_bytes(x: Vectors) -> [Bits; 2] {
    let [a, b, c, d, e, f, g, h] = x.map(Bits::from_f32);
    [Bits::narrow([a, b, c, d]), Bits::narrow([e, f, g, h])]
}

/// Bits of the scale of numbers; [`BAD`] when one is not finite.
#[inline(always)]
fn half_of(scale: f32, x: &Vectors) -> u16 {
    let sum = x.iter().fold(F32x4::zero(), |a, x| a + x.abs()).horizontal_sum();
    if sum.is_finite() { half_from_f32(scale) } else { BAD }
}

/// Of a scale too small to be inverted, which is no half either: 0.
fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_away_from_zero_and_the_furthest_becomes_minus_eight() {
        let mut x = [0.0; GROUP];
        x[..5].copy_from_slice(&[127.0, 0.5, -0.5, 2.5, 0.499_999_97]);
        let (_, bits) = quantize_q8(&x);
        let bytes = bytes_of(bits);
        assert_eq!(
            bytes[..6].iter().map(|b| i32::from(*b) - 128).collect::<Vec<_>>(),
            [127, 1, -1, 3, 0, 0]
        );
        x[..5].copy_from_slice(&[16.0, -16.0, 0.0, 1.0, -1.0]);
        let (scale, bits) = quantize_q4(&x);
        let bytes = bytes_of(bits);
        assert_eq!((scale, &bytes[..5]), (half_from_f32(-2.0), &[0, 15, 8, 8, 9][..]));
    }
}
