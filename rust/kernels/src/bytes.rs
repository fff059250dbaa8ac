//! Bytes as elements of a store: each row of a head has a scale, largest / 127,
//! and is rounded to the nearest multiple of it, ties to even.

use crate::bits::Bits;
use crate::half::{Element, RowScale};
use crate::simd::{F32x4, LANES};
use crate::tile::TILE;

/// Largest byte.
const LARGEST: f32 = 127.0;
/// Added and taken away, it leaves a number rounded to whole.
const ROUNDING: f32 = (3 << 22) as f32;

impl Element for i8 {
    const ZERO: i8 = 0;
    const UNIT: f32 = 1.0;
    const SCALED: bool = true;

    /// What is not finite makes the scale NaN, and with it all that sees the row.
    fn row_scale(row: &[f32]) -> RowScale {
        let (mut largest, mut poison) = (0f32, 0.0);
        for x in row {
            largest = largest.max(x.abs());
            poison += x * 0.0;
        }
        // Numbers too small for it are zeros.
        let inverse = LARGEST / largest;
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        RowScale { scale: largest / LARGEST + poison, inverse }
    }

    #[inline(always)]
    fn from_f32(x: f32) -> i8 {
        ((x + ROUNDING) - ROUNDING) as i8
    }

    #[inline(always)]
    fn load(from: &[i8; TILE]) -> [F32x4; TILE / LANES] {
        Bits::bytes_to_f32(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LENGTHS, random};

    #[test]
    fn rows_are_off_by_half_a_step_at_most() {
        for n in LENGTHS {
            let row: Vec<f32> = random(n, n as u64).iter().map(|x| x * 7.0).collect();
            let RowScale { scale, inverse } = i8::row_scale(&row);
            for x in &row {
                let found = f32::from(i8::from_f32(x * inverse)) * scale;
                assert!((found - x).abs() <= scale * 0.50001, "{x} became {found}");
            }
            let largest = row.iter().fold(0f32, |m, x| m.max(x.abs()));
            assert!(n == 0 || (scale * LARGEST - largest).abs() < 1e-6, "length {n}");
        }
    }

    #[test]
    fn ties_are_even() {
        let RowScale { scale, inverse } = i8::row_scale(&[127.0, 0.5, 1.5, -2.5]);
        assert_eq!([scale, inverse], [1.0, 1.0]);
        assert_eq!([0.5, 1.5, -2.5, -127.0].map(i8::from_f32), [0, 2, -2, -127]);
    }

    #[test]
    fn all_bytes_are_read_with_their_signs() {
        for first in (-128..=120i8).step_by(8) {
            let bytes: [i8; TILE] = core::array::from_fn(|i| first + i as i8);
            let found = i8::load(&bytes).map(F32x4::lanes).concat();
            assert_eq!(found, bytes.map(f32::from));
        }
    }

    #[test]
    fn what_is_no_number_makes_the_scale_none() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(i8::row_scale(&[1.0, bad, 2.0]).scale.is_nan());
        }
        for tiny in [0.0, 1e-40] {
            let RowScale { scale, inverse } = i8::row_scale(&[tiny; 3]);
            assert_eq!((f32::from(i8::from_f32(tiny * inverse)), inverse), (0.0, 0.0));
            assert!(scale < 1e-38);
        }
        assert!(i8::row_scale(&[f32::MAX; 256]).scale.is_finite());
    }
}
