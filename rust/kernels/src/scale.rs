//! Scales of groups of weights: half-precision numbers as GGUF files have
//! them, kept in 16 bits so that a shift makes them a float.
//!
//! The exponent is ten higher than a half's. So no number is subnormal, which
//! many machines multiply slowly, and numbers from 128 up have no place. As the
//! top of an f32 the number is too small by [`SCALE_UNIT`], which the scales of
//! activations make up for.

/// What a scale must be multiplied with once it is an f32: 2^102.
pub const SCALE_UNIT: f32 = f32::from_bits((127 + 102) << 23);

/// A scale from the bits of a half; `None` when it is 128 or more, or not finite.
pub fn scale_from_half(bits: u16) -> Option<u16> {
    let (sign, rest) = (bits & 0x8000, bits & 0x7fff);
    if rest == 0 {
        return Some(0);
    }
    if rest >= 22 << 10 {
        return None;
    }
    if rest >= 1 << 10 {
        return Some(sign | (rest + (10 << 10)));
    }
    // A subnormal half is `rest` times 2^-24.
    let top = rest.ilog2() as u16;
    Some(sign | (top + 1) << 10 | (rest << (10 - top) & 0x3ff))
}

/// The number, over [`SCALE_UNIT`].
pub fn scale_to_f32(scale: u16) -> f32 {
    f32::from_bits((i32::from(scale as i16) << 13) as u32 & 0x8fff_ffff)
}

/// Bits of the half nearest to a number, ties to even.
pub fn half_from_f32(x: f32) -> u16 {
    let sign = (x.to_bits() >> 16) as u16 & 0x8000;
    let magnitude = x.to_bits() & 0x7fff_ffff;
    if magnitude > 255 << 23 {
        return sign | 0x7e00;
    }
    if magnitude >= (127 + 16) << 23 {
        return sign | 0x7c00;
    }
    if magnitude < (127 - 14) << 23 {
        // The sum's last bit is worth 2^-24, as a subnormal half's.
        let sum = f32::from_bits(magnitude) + 0.5;
        return sign | (sum.to_bits() - 0.5f32.to_bits()) as u16;
    }
    let rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    sign | ((rounded - ((127 - 15) << 23)) >> 13) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::decode_f16;

    fn half_to_f32(bits: u16) -> f32 {
        let mut out = [0.0];
        decode_f16(&[bits], &mut out);
        out[0]
    }

    #[test]
    fn every_half_below_128_is_exact() {
        for bits in 0..=u16::MAX {
            let wanted = half_to_f32(bits);
            match scale_from_half(bits) {
                Some(scale) => {
                    let found = scale_to_f32(scale);
                    assert_eq!(found * SCALE_UNIT, wanted, "{bits:#x}");
                    assert!(found == 0.0 || found.is_normal(), "{bits:#x}");
                }
                None => assert!(wanted.is_nan() || wanted.abs() >= 128.0, "{bits:#x}"),
            }
        }
    }

    #[test]
    fn halves_round_to_even() {
        for bits in 0..0x7c00u16 {
            let (x, next) = (half_to_f32(bits), half_to_f32(bits + 1));
            assert_eq!(half_from_f32(x), bits);
            assert_eq!(half_from_f32(-x), bits | 0x8000);
            if next.is_finite() {
                let middle = (x + next) / 2.0;
                assert_eq!(half_from_f32(middle), bits + (bits & 1), "{bits:#x}");
            }
        }
        assert_eq!(half_from_f32(65520.0), 0x7c00);
        assert_eq!(half_from_f32(65519.9), 0x7bff);
        assert_eq!(half_from_f32(1e-9), 0);
    }
}
