//! Local attention of a conformer: each row sees a few neighbours, with
//! scores from their keys and from their distance, soft-capped.

use crate::math::{exp, tanh};
use crate::reduce::dot;
use crate::simd::{F32x4, LANES};

/// What rows see. q, k, v `[T, heads, width]`, positions
/// `[past + future + 1, heads, width]`, valid `[T]`.
#[derive(Clone, Copy)]
pub struct Clip<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub positions: &'a [f32],
    pub valid: &'a [f32],
    pub heads: usize,
    pub width: usize,
    pub past: usize,
    pub future: usize,
    pub softcap: f32,
}

/// Rows from `first` on; `scores` has room for past + future + 1 numbers.
/// A row that sees nothing gives zeros.
pub fn relative_attention(clip: &Clip, first: usize, scores: &mut [f32], out: &mut [f32]) {
    let row_size = clip.heads * clip.width;
    for (result, row) in out.chunks_exact_mut(row_size).zip(first..) {
        for (head, result) in result.chunks_exact_mut(clip.width).enumerate() {
            attend(clip, row, head, scores, result);
        }
    }
}

fn attend(clip: &Clip, row: usize, head: usize, scores: &mut [f32], out: &mut [f32]) {
    let at = |row: usize| (row * clip.heads + head) * clip.width;
    let rows = clip.valid.len();
    let seen = row.saturating_sub(clip.past)..rows.min(row + clip.future + 1);
    let scores = &mut scores[..seen.len()];
    let q = &clip.q[at(row)..][..clip.width];
    for (score, key) in scores.iter_mut().zip(seen.clone()) {
        *score = f32::NEG_INFINITY;
        if clip.valid[key] != 0.0 {
            let k = &clip.k[at(key)..][..clip.width];
            let distance = key + clip.past - row;
            let position = &clip.positions[at(distance)..][..clip.width];
            *score = dot(q, k) + dot(q, position);
        }
    }
    let sum = softmax_weights(scores, clip.softcap);
    out.fill(0.0);
    if sum == 0.0 {
        return;
    }
    for (weight, key) in scores.iter().zip(seen) {
        // What is left out may hold anything, even what is not a number.
        if *weight > 0.0 {
            let v = &clip.v[at(key)..][..clip.width];
            for (x, v) in out.iter_mut().zip(v) {
                *x += weight / sum * v;
            }
        }
    }
}

/// Caps the scores and makes them weights; returns their sum, 0 when all are
/// minus infinity.
fn softmax_weights(scores: &mut [f32], cap: f32) -> f32 {
    let caps = F32x4::splat(cap);
    let mut largest = f32::NEG_INFINITY;
    for lanes in scores.chunks_mut(LANES) {
        let score = F32x4::load_partial(lanes);
        let capped = tanh(score / caps) * caps;
        let left_out = F32x4::splat(f32::MIN);
        let hidden = F32x4::splat(f32::NEG_INFINITY);
        score.select_lt(left_out, hidden, capped).store_partial(lanes);
        largest = lanes.iter().fold(largest, |m, s| m.max(*s));
    }
    if largest == f32::NEG_INFINITY {
        return 0.0;
    }
    let mut sum = 0.0;
    for lanes in scores.chunks_mut(LANES) {
        exp(F32x4::load_partial(lanes) - F32x4::splat(largest)).store_partial(lanes);
        sum = lanes.iter().fold(sum, |sum, weight| sum + *weight);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, random};

    #[test]
    fn matches_f64_with_frames_left_out() {
        let (rows, heads, width, past, future) = (9, 2, 6, 3, 1);
        let size = rows * heads * width;
        let (q, k, mut v) = (random(size, 1), random(size, 2), random(size, 3));
        let positions = random((past + future + 1) * heads * width, 4);
        let mut valid = vec![1.0; rows];
        for t in [0, 4, 5] {
            valid[t] = 0.0;
            v[t * heads * width] = f32::NAN;
        }
        let (q_, k_, v_) = (&q[..], &k[..], &v[..]);
        let clip = Clip {
            q: q_,
            k: k_,
            v: v_,
            positions: &positions,
            valid: &valid,
            heads,
            width,
            past,
            future,
            softcap: 2.0,
        };
        let mut out = vec![f32::NAN; size];
        relative_attention(&clip, 0, &mut [0.0; 5], &mut out);
        for t in 0..rows {
            for n in 0..heads {
                let row = |x: &[f32], t: usize| x[(t * heads + n) * width..][..width].to_vec();
                let product = |a: &[f32], b: &[f32]| -> f64 {
                    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
                };
                let mut sum = 0.0;
                let mut wanted = vec![0.0; width];
                let seen = t.saturating_sub(past)..(t + future + 1).min(rows);
                for (s, valid) in valid.iter().enumerate() {
                    if *valid == 0.0 || !seen.contains(&s) {
                        continue;
                    }
                    let score = product(&row(&q, t), &row(&k, s))
                        + product(&row(&q, t), &row(&positions, s + past - t));
                    let weight = (2.0 * (score / 2.0).tanh()).exp();
                    sum += weight;
                    for (x, v) in wanted.iter_mut().zip(row(&v, s)) {
                        *x += weight * f64::from(v);
                    }
                }
                let divisor = if sum == 0.0 { 1.0 } else { sum };
                let wanted: Vec<f32> = wanted.iter().map(|x| (x / divisor) as f32).collect();
                assert_close(&row(&out, t), &wanted, 2e-6, &format!("row {t} head {n}"));
            }
        }
        assert_eq!(out[..heads * width - 1].iter().filter(|x| x.is_nan()).count(), 0);
    }
}
