//! Root mean square norm of rows.

use crate::elementwise::{map, zip};
use crate::reduce::sum_of_squares;
use crate::simd::{F32x4, sqrt_f64};

/// `out = x / sqrt(mean(x^2) + eps) * weight`; without the weight where it is
/// empty. Gemma 3n multiplies by weight, not 1 + weight.
pub fn rms_norm(x: &[f32], weight: &[f32], width: usize, eps: f32, out: &mut [f32]) {
    for (row, result) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mean = sum_of_squares(row) / width as f64;
        let factor = F32x4::splat((1.0 / sqrt_f64(mean + f64::from(eps))) as f32);
        if weight.is_empty() {
            map(row, result, |v| v * factor);
        } else {
            zip(row, weight, result, |v, w| v * factor * w);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LENGTHS, assert_close, random};

    #[test]
    fn matches_f64() {
        for width in LENGTHS.into_iter().filter(|n| *n > 0) {
            let (x, weight) = (random(3 * width, 1), random(width, 2));
            for w in [&weight[..], &[]] {
                let mut out = vec![0.0; 3 * width];
                rms_norm(&x, w, width, 1e-6, &mut out);
                for (row, found) in x.chunks(width).zip(out.chunks(width)) {
                    let squares: f64 = row.iter().map(|v| f64::from(*v).powi(2)).sum();
                    let root = (squares / width as f64 + 1e-6).sqrt();
                    let wanted: Vec<f32> = (0..width)
                        .map(|i| f64::from(row[i]) / root * f64::from(*w.get(i).unwrap_or(&1.0)))
                        .map(|v| v as f32)
                        .collect();
                    assert_close(found, &wanted, 5e-7, "rms_norm");
                }
            }
        }
    }
}
