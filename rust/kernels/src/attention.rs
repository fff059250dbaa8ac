//! Softmax attention over rows of keys and values, a block of positions at a
//! time with a running maximum. Blocks start at multiples of [`BLOCK`], and
//! heads that share keys are computed together but summed alone, so a row's
//! result depends only on its position and on what it sees.

use crate::math::{exp, exp_scalar};
use crate::simd::{F32x4, LANES};
use core::ops::Range;

/// Positions whose scores are held at a time.
const BLOCK: usize = 32;
/// Query heads that meet a key together.
const GROUP: usize = 4;

/// Keys and values `[heads, capacity, width]`; position p in row p % capacity.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub heads: usize,
    pub width: usize,
}

/// Attention of rows q `[T, heads, width]` over what `seen` says for each row.
pub fn attention(
    q: &[f32],
    heads: usize,
    store: Store,
    scale: f32,
    seen: impl Fn(usize) -> Range<usize>,
    out: &mut [f32],
) {
    let width = store.width;
    let head_size = store.k.len() / store.heads;
    let sharing = heads / store.heads;
    for kv_head in 0..store.heads {
        let part = kv_head * head_size..(kv_head + 1) * head_size;
        let keys = Keys { k: &store.k[part.clone()], v: &store.v[part], width, scale };
        for row in 0..q.len() / (heads * width) {
            let first = (row * heads + kv_head * sharing) * width;
            let part = first..first + sharing * width;
            let groups = q[part.clone()].chunks(GROUP * width);
            for (q, out) in groups.zip(out[part].chunks_mut(GROUP * width)) {
                match q.len() / width {
                    1 => keys.attend::<1>(q, seen(row), out),
                    2 => keys.attend::<2>(q, seen(row), out),
                    3 => keys.attend::<3>(q, seen(row), out),
                    _ => keys.attend::<GROUP>(q, seen(row), out),
                }
            }
        }
    }
}

/// Keys and values of one head.
struct Keys<'a> {
    k: &'a [f32],
    v: &'a [f32],
    width: usize,
    scale: f32,
}

type Scores = [f32; BLOCK];

impl Keys<'_> {
    /// R queries over the same positions.
    #[inline(never)]
    fn attend<const R: usize>(&self, q: &[f32], seen: Range<usize>, out: &mut [f32]) {
        let capacity = self.k.len() / self.width;
        let mut largest = [f32::NEG_INFINITY; R];
        let mut sums = [0.0; R];
        out.fill(0.0);
        let mut start = seen.start;
        while start < seen.end {
            let end = seen.end.min((start / BLOCK + 1) * BLOCK);
            let mut offsets = [0; BLOCK];
            for (offset, position) in offsets.iter_mut().zip(start..end) {
                *offset = position % capacity * self.width;
            }
            let offsets = &offsets[..end - start];
            let mut weights = self.scores::<R>(q, offsets);
            let mut kept = [0.0; R];
            for r in 0..R {
                let maximum = weights[r].iter().fold(largest[r], |m, s| m.max(*s));
                kept[r] = exp_scalar(largest[r] - maximum);
                largest[r] = maximum;
                sums[r] = sums[r] * kept[r] + exponentials(&mut weights[r], maximum);
            }
            self.add_values(&weights, offsets, kept, out);
            start = end;
        }
        for (row, sum) in out.chunks_exact_mut(self.width).zip(sums) {
            for x in row {
                *x /= sum;
            }
        }
    }

    /// Scaled scores of R queries; minus infinity beyond the last position.
    #[inline(always)]
    fn scores<const R: usize>(&self, q: &[f32], offsets: &[usize]) -> [Scores; R] {
        let mut scores = [[f32::NEG_INFINITY; BLOCK]; R];
        let q: [&[f32]; R] = core::array::from_fn(|r| &q[r * self.width..][..self.width]);
        let (pairs, last) = offsets.as_chunks::<2>();
        for (i, pair) in pairs.iter().enumerate() {
            let keys = pair.map(|offset| &self.k[offset..offset + self.width]);
            let products = dots(q, keys);
            for r in 0..R {
                scores[r][2 * i] = products[r][0] * self.scale;
                scores[r][2 * i + 1] = products[r][1] * self.scale;
            }
        }
        if let [offset] = last {
            let products = dots(q, [&self.k[*offset..offset + self.width]]);
            for r in 0..R {
                scores[r][offsets.len() - 1] = products[r][0] * self.scale;
            }
        }
        scores
    }

    /// `out[r] = out[r] * kept[r] + sum_s weights[r][s] v[s]`.
    #[inline(always)]
    fn add_values<const R: usize>(
        &self,
        weights: &[Scores; R],
        offsets: &[usize],
        kept: [f32; R],
        out: &mut [f32],
    ) {
        const STEP: usize = 2 * LANES;
        for first in (0..self.width).step_by(STEP) {
            let n = STEP.min(self.width - first);
            let mut sums = [[F32x4::zero(); 2]; R];
            for (s, offset) in offsets.iter().enumerate() {
                let [low, high] = load_two(&self.v[offset + first..][..n]);
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    let weight = F32x4::splat(weights[s]);
                    *sum = [sum[0] + weight * low, sum[1] + weight * high];
                }
            }
            for r in 0..R {
                let to = &mut out[r * self.width + first..][..n];
                let [low, high] = load_two(to);
                let factor = F32x4::splat(kept[r]);
                let (a, b) = to.split_at_mut(n.min(LANES));
                (low * factor + sums[r][0]).store_partial(a);
                (high * factor + sums[r][1]).store_partial(b);
            }
        }
    }
}

/// Up to eight elements, zeros beyond.
#[inline(always)]
fn load_two(x: &[f32]) -> [F32x4; 2] {
    let (low, high) = x.split_at(x.len().min(LANES));
    [F32x4::load_partial(low), F32x4::load_partial(high)]
}

/// Dot products of R rows with S rows, each summed in the same order.
#[inline(always)]
fn dots<const R: usize, const S: usize>(q: [&[f32]; R], k: [&[f32]; S]) -> [[f32; S]; R] {
    let vectors = q[0].len() / LANES;
    let q4: [&[[f32; LANES]]; R] = q.map(|row| &row.as_chunks().0[..vectors]);
    let k4: [&[[f32; LANES]]; S] = k.map(|row| &row.as_chunks().0[..vectors]);
    let mut sums = [[F32x4::zero(); S]; R];
    for i in 0..vectors {
        let keys: [F32x4; S] = core::array::from_fn(|s| F32x4::load(&k4[s][i]));
        for r in 0..R {
            let query = F32x4::load(&q4[r][i]);
            for s in 0..S {
                sums[r][s] = sums[r][s] + query * keys[s];
            }
        }
    }
    let tail = vectors * LANES;
    if tail < q[0].len() {
        for r in 0..R {
            for s in 0..S {
                let (a, b) =
                    (F32x4::load_partial(&q[r][tail..]), F32x4::load_partial(&k[s][tail..]));
                sums[r][s] = sums[r][s] + a * b;
            }
        }
    }
    sums.map(|row| row.map(F32x4::horizontal_sum))
}

/// Turns scores into exp(score - maximum), and returns their sum.
#[inline(always)]
fn exponentials(scores: &mut Scores, maximum: f32) -> f32 {
    let maximum = F32x4::splat(maximum);
    let mut sum = F32x4::zero();
    for lanes in scores.as_chunks_mut::<LANES>().0 {
        let weights = exp(F32x4::load(lanes) - maximum);
        weights.store(lanes);
        sum = sum + weights;
    }
    sum.horizontal_sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append_kv::append_kv;
    use crate::testing::{assert_close, random};

    fn wanted(q: &[f32], k: &[f32], v: &[f32], scale: f32, out: &mut [f32]) {
        let width = q.len();
        let scores: Vec<f64> = k
            .chunks(width)
            .map(|key| {
                key.iter().zip(q).map(|(a, b)| f64::from(a * b)).sum::<f64>() * f64::from(scale)
            })
            .collect();
        let largest = scores.iter().fold(f64::MIN, |m, s| m.max(*s));
        let sum: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
        for (i, x) in out.iter_mut().enumerate() {
            let values = scores.iter().zip(v.chunks(width));
            let total: f64 = values.map(|(s, v)| (s - largest).exp() * f64::from(v[i])).sum();
            *x = (total / sum) as f32;
        }
    }

    #[test]
    fn matches_f64_over_a_ring() {
        for (heads, kv_heads, width) in [(4, 2, 16), (5, 1, 7), (3, 3, 8), (8, 2, 12)] {
            let (positions, window, capacity) = (75, 40, 43);
            let row = kv_heads * width;
            let (k, v) = (random(positions * row, 1), random(positions * row, 2));
            let mut ring_k = vec![0.0; capacity * row];
            let mut ring_v = vec![0.0; capacity * row];
            append_kv(&k, kv_heads, width, 0, &mut ring_k);
            append_kv(&v, kv_heads, width, 0, &mut ring_v);
            let (first, rows) = (72, 3);
            let q = random(rows * heads * width, 3);
            let store = Store { k: &ring_k, v: &ring_v, heads: kv_heads, width };
            let seen = |row: usize| first + row + 1 - window..first + row + 1;
            let mut out = vec![0.0; q.len()];
            attention(&q, heads, store, 0.7, seen, &mut out);
            for (i, found) in out.chunks(width).enumerate() {
                let kv_head = i % heads * kv_heads / heads;
                let pick = |x: &[f32]| -> Vec<f32> {
                    let rows = seen(i / heads).map(|p| &x[p * row + kv_head * width..][..width]);
                    rows.flatten().copied().collect()
                };
                let mut expected = vec![0.0; width];
                wanted(&q[i * width..][..width], &pick(&k), &pick(&v), 0.7, &mut expected);
                assert_close(found, &expected, 3e-6, "attention");
            }
        }
    }

    #[test]
    fn heads_computed_together_or_alone_agree() {
        let (heads, width, keys) = (4, 10, 70);
        let (q, k, v) =
            (random(heads * width, 1), random(keys * width, 2), random(keys * width, 3));
        let store = Store { k: &k, v: &v, heads: 1, width };
        let mut all = vec![0.0; q.len()];
        attention(&q, heads, store, 1.0, |_| 0..keys, &mut all);
        for (q, wanted) in q.chunks(width).zip(all.chunks(width)) {
            let mut alone = vec![0.0; width];
            attention(q, 1, store, 1.0, |_| 0..keys, &mut alone);
            assert_eq!(alone, wanted);
        }
    }
}
