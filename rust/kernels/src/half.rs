//! What key-value stores hold: floats, halves, which are read as floats of
//! another unit so that a shift and a mask are all it takes, or bytes with a
//! scale for each row (`bytes.rs`).

use crate::bits::Bits;
use crate::scale::half_from_f32;
use crate::simd::{F32x4, LANES};
use crate::tile::TILE;

/// What the elements of a row are multiples of.
pub struct RowScale {
    pub scale: f32,
    /// What numbers are multiplied with before they become elements.
    pub inverse: f32,
}

/// An element of a store.
pub trait Element: Copy {
    /// Zero.
    const ZERO: Self;
    /// What loaded values must be multiplied with, a power of two.
    const UNIT: f32;
    /// Whether each row of a head has a scale.
    const SCALED: bool = false;

    /// The scale of a row of a head.
    #[inline(always)]
    fn row_scale(_row: &[f32]) -> RowScale {
        RowScale { scale: 1.0, inverse: 1.0 }
    }

    /// The nearest there is to a number times the inverse of its row's scale;
    /// infinity where it is too large.
    fn from_f32(x: f32) -> Self;

    /// Eight elements over [`Self::UNIT`].
    fn load(from: &[Self; TILE]) -> [F32x4; TILE / LANES];
}

impl Element for f32 {
    const ZERO: f32 = 0.0;
    const UNIT: f32 = 1.0;

    #[inline(always)]
    fn from_f32(x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn load(from: &[f32; TILE]) -> [F32x4; 2] {
        let (lanes, _) = from.as_chunks::<LANES>();
        [F32x4::load(&lanes[0]), F32x4::load(&lanes[1])]
    }
}

/// Bits of a half, low byte first. Infinity and NaN must not be loaded: they
/// would be numbers.
pub type Half = [u8; 2];

impl Element for Half {
    const ZERO: Half = [0; 2];
    /// As the top of an f32 the exponent is off by 112.
    const UNIT: f32 = f32::from_bits((127 + 112) << 23);

    #[inline(always)]
    fn from_f32(x: f32) -> Half {
        half_from_f32(x).to_le_bytes()
    }

    #[inline(always)]
    fn load(from: &[Half; TILE]) -> [F32x4; 2] {
        Bits::load(&from.as_flattened().as_chunks().0[0]).to_scales()
    }
}

/// Whether a number of a row has no finite half.
pub fn has_no_half(x: &[f32]) -> bool {
    x.iter().any(|x| half_from_f32(*x) & 0x7c00 == 0x7c00)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::decode_f16;

    #[test]
    fn every_finite_half_is_exact() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00) {
            let mut wanted = [0.0];
            decode_f16(&[bits], &mut wanted);
            let mut from = [Half::ZERO; TILE];
            from[5] = bits.to_le_bytes();
            let [_, high] = Half::load(&from);
            assert_eq!(high.lanes()[1] * Half::UNIT, wanted[0], "{bits:#x}");
            assert_eq!(Half::from_f32(wanted[0]), from[5]);
        }
    }

    #[test]
    fn what_has_no_half_is_told() {
        assert!(!has_no_half(&[0.0, -65504.0, 1e-30]));
        for bad in [f32::NAN, f32::INFINITY, -65520.0] {
            assert!(has_no_half(&[1.0, bad]));
        }
    }
}
