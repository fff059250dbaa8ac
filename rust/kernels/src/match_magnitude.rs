//! Rows scaled to the root mean square of others (AltUp's unfolding).

use crate::elementwise::map;
use crate::reduce::sum_of_squares;
use crate::simd::{F32x4, sqrt_f64};

/// `out = x * sqrt(mean(target^2)) / sqrt(max(mean(x^2), eps))`.
pub fn match_magnitude(x: &[f32], target: &[f32], width: usize, eps: f32, out: &mut [f32]) {
    let rows = x.chunks_exact(width).zip(target.chunks_exact(width));
    for ((row, wanted), result) in rows.zip(out.chunks_exact_mut(width)) {
        let wanted = sqrt_f64(sum_of_squares(wanted) / width as f64);
        let found = (sum_of_squares(row) / width as f64).max(f64::from(eps));
        let factor = F32x4::splat((wanted / sqrt_f64(found)) as f32);
        map(row, result, |v| v * factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn takes_the_magnitude_of_the_target() {
        let (x, target) = (random(14, 1), random(14, 2));
        let mut out = vec![0.0; 14];
        match_magnitude(&x, &target, 7, 1e-5, &mut out);
        for (a, b) in out.chunks(7).zip(target.chunks(7)) {
            let (a, b) = (sum_of_squares(a), sum_of_squares(b));
            assert!((a - b).abs() < 1e-6 * b);
        }
        match_magnitude(&[0.0; 7], &target[..7], 7, 1e-5, &mut out[..7]);
        assert_eq!(out[..7], [0.0; 7]);
    }
}
