//! Rotary embedding, halves convention.

use crate::simd::{F32x4, LANES};

/// x `[T, heads, width]`, cos and sin `[T, width / 2]`:
/// `out[i] = x[i] cos[i] - x[i + H/2] sin[i]`,
/// `out[i + H/2] = x[i + H/2] cos[i] + x[i] sin[i]`.
pub fn rope(x: &[f32], cos: &[f32], sin: &[f32], heads: usize, width: usize, out: &mut [f32]) {
    let half = width / 2;
    let angles = cos.chunks_exact(half).zip(sin.chunks_exact(half));
    let rows = x.chunks_exact(heads * width).zip(out.chunks_exact_mut(heads * width));
    for ((row, result), (cos, sin)) in rows.zip(angles) {
        for (head, rotated) in row.chunks_exact(width).zip(result.chunks_exact_mut(width)) {
            let (low, high) = rotated.split_at_mut(half);
            rotate(head.split_at(half), cos, sin, low, high);
        }
    }
}

#[inline(always)]
fn rotate(x: (&[f32], &[f32]), cos: &[f32], sin: &[f32], low: &mut [f32], high: &mut [f32]) {
    for i in (0..cos.len()).step_by(LANES) {
        let end = cos.len().min(i + LANES);
        let at = |row: &[f32]| F32x4::load_partial(&row[i..end]);
        let (a, b, c, s) = (at(x.0), at(x.1), at(cos), at(sin));
        (a * c - b * s).store_partial(&mut low[i..end]);
        (b * c + a * s).store_partial(&mut high[i..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn rotates_pairs_half_a_head_apart() {
        let (rows, heads, width) = (3, 2, 14);
        let half = width / 2;
        let x = random(rows * heads * width, 1);
        let (cos, sin) = (random(rows * half, 2), random(rows * half, 3));
        let mut out = vec![0.0; x.len()];
        rope(&x, &cos, &sin, heads, width, &mut out);
        for t in 0..rows {
            for n in 0..heads {
                for i in 0..half {
                    let at = (t * heads + n) * width + i;
                    let (a, b, c, s) = (x[at], x[at + half], cos[t * half + i], sin[t * half + i]);
                    assert_eq!(out[at], a * c - b * s);
                    assert_eq!(out[at + half], b * c + a * s);
                }
            }
        }
    }
}
