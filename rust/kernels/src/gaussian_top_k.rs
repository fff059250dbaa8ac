//! Gaussian top-k: what of a row exceeds mean + multiplier * deviation.

use crate::elementwise::map;
use crate::reduce::mean_and_squared_distances;
use crate::simd::{F32x4, sqrt_f64};

/// `out = max(0, x - cutoff)`, with the biased deviation.
pub fn gaussian_top_k(x: &[f32], width: usize, multiplier: f32, out: &mut [f32]) {
    for (row, result) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let (mean, squares) = mean_and_squared_distances(row);
        let deviation = sqrt_f64(squares / width as f64) as f32;
        let cutoff = F32x4::splat(mean as f32 + deviation * multiplier);
        map(row, result, |v| (v - cutoff).max(F32x4::zero()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LENGTHS, random};

    #[test]
    fn matches_f64() {
        for width in LENGTHS.into_iter().filter(|n| *n > 0) {
            let x = random(2 * width, 1);
            let mut out = vec![0.0; 2 * width];
            gaussian_top_k(&x, width, 1.25, &mut out);
            for (row, found) in x.chunks(width).zip(out.chunks(width)) {
                let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / width as f64;
                let squares: f64 = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
                let cutoff = mean + 1.25 * (squares / width as f64).sqrt();
                for (v, f) in row.iter().zip(found) {
                    assert!((f64::from(*f) - (f64::from(*v) - cutoff).max(0.0)).abs() < 5e-7);
                }
            }
        }
    }
}
