//! Group norm over everything up to a row, in three passes: sums of each row,
//! running statistics, the norm. Statistics are f64, for sums over whole clips.

use crate::elementwise::zip;
use crate::reduce::mean_and_squared_distances;
use crate::simd::{F32x4, sqrt_f64};

/// Of each row its mean and the sum of the squared distances from it.
pub fn row_statistics(x: &[f32], size: usize, statistics: &mut [[f64; 2]]) {
    for (row, result) in x.chunks_exact(size).zip(statistics) {
        let (mean, squares) = mean_and_squared_distances(row);
        *result = [mean, squares];
    }
}

/// Turns rows' statistics into the running mean and 1 / sqrt(variance + eps),
/// where the variance counts each row's distances from its own running mean.
pub fn running_statistics(statistics: &mut [[f64; 2]], size: usize, eps: f32) {
    let size = size as f64;
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for row in statistics {
        let [own_mean, own_squares] = *row;
        sum += own_mean * size;
        count += size;
        let mean = sum / count;
        squares += own_squares + size * (own_mean - mean) * (own_mean - mean);
        *row = [mean, 1.0 / sqrt_f64(squares / count + f64::from(eps))];
    }
}

/// `out = (x - mean) * factor * weight`; rows of `size`, weight `[C]`.
pub fn cumulative_group_norm(
    x: &[f32],
    weight: &[f32],
    size: usize,
    statistics: &[[f64; 2]],
    out: &mut [f32],
) {
    let rows = x.chunks_exact(size).zip(out.chunks_exact_mut(size));
    for ((row, result), [mean, factor]) in rows.zip(statistics) {
        let (mean, factor) = (F32x4::splat(*mean as f32), F32x4::splat(*factor as f32));
        let places = row.chunks_exact(weight.len()).zip(result.chunks_exact_mut(weight.len()));
        for (place, result) in places {
            zip(place, weight, result, |v, w| (v - mean) * factor * w);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, random};

    #[test]
    fn matches_f64() {
        let (rows, places, channels) = (6, 5, 3);
        let size = places * channels;
        let x: Vec<f32> = random(rows * size, 1).iter().map(|v| v * 3.0 + 1.0).collect();
        let weight = random(channels, 2);
        let mut statistics = vec![[0.0; 2]; rows];
        row_statistics(&x, size, &mut statistics);
        running_statistics(&mut statistics, size, 1e-3);
        let mut out = vec![0.0; x.len()];
        cumulative_group_norm(&x, &weight, size, &statistics, &mut out);
        let mut squares = 0.0;
        for t in 0..rows {
            let seen = (t + 1) * size;
            let mean = x[..seen].iter().map(|v| f64::from(*v)).sum::<f64>() / seen as f64;
            let row = &x[t * size..seen];
            squares += row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>();
            let root = (squares / seen as f64 + 1e-3).sqrt();
            let wanted: Vec<f32> = (0..size)
                .map(|i| {
                    ((f64::from(row[i]) - mean) / root * f64::from(weight[i % channels])) as f32
                })
                .collect();
            assert_close(&out[t * size..seen], &wanted, 1e-6, "cumulative_group_norm");
        }
    }
}
