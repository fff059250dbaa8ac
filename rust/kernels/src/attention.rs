//! Softmax attention over the rings of a store, a block of positions at a time
//! with a running maximum. Blocks start at multiples of [`BLOCK`], and heads
//! that share keys are computed together but summed alone, so a row's result
//! depends only on its position and on what it sees.

use crate::half::Element;
use crate::kv_store::{BLOCK, Factors, Keys};
use crate::math::{exp, exp_scalar};
use crate::simd::{F32x4, LANES};
use crate::tile::{Sums, TILE, add, multiply_add, side_by_side, sum_block};
use core::ops::Range;

/// Query heads that meet a key together.
pub const GROUP: usize = 4;
/// Elements of a head summed on their own.
const SUM_BLOCK: usize = 16;

/// Scores of a query for the positions of a block, then their weights.
pub type Scores = [f32; BLOCK];

impl<E: Element> Keys<'_, E> {
    /// Attention of a row's query heads `[heads, width]` over the same
    /// positions. `room` has space for [`GROUP`] heads.
    pub fn attend(&self, q: &[f32], seen: Range<usize>, room: &mut [f32], out: &mut [f32]) {
        let size = GROUP * self.width;
        for (q, out) in q.chunks(size).zip(out.chunks_mut(size)) {
            if q.len() == size {
                self.attend_group::<GROUP>(q, seen.clone(), room, out);
                continue;
            }
            for (q, out) in q.chunks(2 * self.width).zip(out.chunks_mut(2 * self.width)) {
                match q.len() / self.width {
                    1 => self.attend_group::<1>(q, seen.clone(), room, out),
                    _ => self.attend_group::<2>(q, seen.clone(), room, out),
                }
            }
        }
    }

    /// R queries over the same positions.
    #[inline(never)]
    fn attend_group<const R: usize>(
        &self,
        q: &[f32],
        seen: Range<usize>,
        room: &mut [f32],
        out: &mut [f32],
    ) {
        let queries = side_by_side::<R>(q, self.width, room);
        for x in queries.as_flattened_mut() {
            *x *= E::UNIT;
        }
        let mut running = Running::<R>::new();
        out.fill(0.0);
        let mut start = seen.start;
        while start < seen.end {
            let block = start / BLOCK * BLOCK;
            let end = seen.end.min(block + BLOCK);
            let factors = self.factors(start..end, E::UNIT);
            let mut weights = scores(queries, start..end, &factors, |first| self.tile(first));
            let kept = running.add(&mut weights);
            let weights = side_by_side_weights(&weights, start - block..end - block, &factors);
            let [early, late] = self.runs(start..end);
            add_values(weights.split(early.len() / self.width), [early, late], kept, out);
            start = end;
        }
        running.divide(out);
    }
}

/// Scores of R queries for the block that holds `seen`, minus infinity where
/// nothing is seen; `tile` gives eight keys.
#[inline(always)]
pub fn scores<'a, const R: usize, E: Element + 'a>(
    queries: &[[f32; R]],
    seen: Range<usize>,
    factors: &Factors,
    tile: impl Fn(usize) -> &'a [E],
) -> [Scores; R] {
    let mut scores = [[f32::NEG_INFINITY; BLOCK]; R];
    let block = seen.start / BLOCK * BLOCK;
    for first in (seen.start / TILE * TILE..seen.end).step_by(TILE) {
        let sums = tile_scores(queries, tile(first));
        let (factors, _) = factors.keys[first - block..][..TILE].as_chunks::<LANES>();
        for r in 0..R {
            let scores = &mut scores[r][first - block..][..TILE];
            let (lanes, _) = scores.as_chunks_mut::<LANES>();
            (sums[r][0] * F32x4::load(&factors[0])).store(&mut lanes[0]);
            (sums[r][1] * F32x4::load(&factors[1])).store(&mut lanes[1]);
        }
    }
    for row in &mut scores {
        row[..seen.start - block].fill(f32::NEG_INFINITY);
        row[seen.end - block..].fill(f32::NEG_INFINITY);
    }
    scores
}

/// What R queries have seen so far.
#[derive(Clone, Copy)]
pub struct Running<const R: usize> {
    largest: [f32; R],
    sums: [f32; R],
}

impl<const R: usize> Running<R> {
    /// Nothing.
    pub fn new() -> Self {
        Self { largest: [f32::NEG_INFINITY; R], sums: [0.0; R] }
    }

    /// Turns the scores of a block into weights, and gives what the results so
    /// far are to be multiplied with.
    #[inline(always)]
    pub fn add(&mut self, scores: &mut [Scores; R]) -> [f32; R] {
        core::array::from_fn(|r| {
            let maximum = scores[r].iter().fold(self.largest[r], |m, s| m.max(*s));
            let kept = exp_scalar(self.largest[r] - maximum);
            self.largest[r] = maximum;
            self.sums[r] = self.sums[r] * kept + exponentials(&mut scores[r], maximum);
            kept
        })
    }

    /// Divides results `[R, width]` by the sums of their weights.
    pub fn divide(&self, out: &mut [f32]) {
        let width = out.len() / R;
        for (row, sum) in out.chunks_exact_mut(width).zip(self.sums) {
            for x in row {
                *x /= sum;
            }
        }
    }
}

/// Weights of R queries side by side, and which of a block are meant.
pub struct Weights<const R: usize> {
    all: [[f32; R]; BLOCK],
    seen: Range<usize>,
}

impl<const R: usize> Weights<R> {
    /// The first `n` of those meant, and the others.
    pub fn split(&self, n: usize) -> [&[[f32; R]]; 2] {
        let (early, late) = self.all[self.seen.clone()].split_at(n);
        [early, late]
    }
}

/// Weights of the positions `seen` of a block, times the factors of their values.
#[inline(always)]
pub fn side_by_side_weights<const R: usize>(
    weights: &[Scores; R],
    seen: Range<usize>,
    factors: &Factors,
) -> Weights<R> {
    let weight = |r: usize, s: usize| weights[r][s] * factors.values[s];
    let all = core::array::from_fn(|s| core::array::from_fn(|r| weight(r, s)));
    Weights { all, seen }
}

/// `out[r] = out[r] * kept[r] + sum_s weights[s][r] v[s]`, over two runs of
/// weights and values.
#[inline(always)]
pub fn add_values<const R: usize, T: Element>(
    weights: [&[[f32; R]]; 2],
    values: [&[T]; 2],
    kept: [f32; R],
    out: &mut [f32],
) {
    let width = out.len() / R;
    for first in (0..width).step_by(TILE) {
        let mut sums = [[F32x4::zero(); 2]; R];
        add_rows(&mut sums, weights[0], values[0], width, first);
        add_rows(&mut sums, weights[1], values[1], width, first);
        for r in 0..R {
            let row = &mut out[r * width..(r + 1) * width];
            add_to(&mut row[first..], F32x4::splat(kept[r]), sums[r]);
        }
    }
}

/// Adds `weights[s] * v[s]`, v over its unit, for columns `first .. first + 8` of rows v.
#[inline(always)]
fn add_rows<const R: usize, E: Element>(
    sums: &mut [Sums; R],
    weights: &[[f32; R]],
    v: &[E],
    width: usize,
    first: usize,
) {
    if v.is_empty() {
        return;
    }
    if width - first < TILE {
        for (v, weights) in v.chunks_exact(width).zip(weights) {
            let mut columns = [E::ZERO; TILE];
            columns[..width - first].copy_from_slice(&v[first..]);
            multiply_add(sums, weights.map(F32x4::splat), &columns);
        }
        return;
    }
    for (v, weights) in v[first..].chunks(width).zip(weights) {
        if let Some(columns) = v.first_chunk::<TILE>() {
            multiply_add(sums, weights.map(F32x4::splat), columns);
        }
    }
}

/// `row[..8] = row[..8] * factor + sum`, or as far as the row goes.
#[inline(always)]
fn add_to(row: &mut [f32], factor: F32x4, sum: Sums) {
    let n = row.len().min(TILE);
    let (low, high) = row[..n].split_at_mut(n.min(LANES));
    (F32x4::load_partial(low) * factor + sum[0]).store_partial(low);
    (F32x4::load_partial(high) * factor + sum[1]).store_partial(high);
}

/// Products of R queries with the eight keys of a tile `[width, 8]`.
#[inline(always)]
fn tile_scores<const R: usize, E: Element>(queries: &[[f32; R]], tile: &[E]) -> [Sums; R] {
    let mut totals = [[F32x4::zero(); 2]; R];
    for (queries, tile) in queries.chunks(SUM_BLOCK).zip(tile.chunks(SUM_BLOCK * TILE)) {
        add(&mut totals, &sum_block(queries, tile));
    }
    totals
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
    use crate::half::Half;
    use crate::kv_store::Store;
    use crate::testing::{Rings, assert_close, kept, random};

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

    /// Rows q `[T, heads, width]`, each alone.
    fn attention<E: Element>(
        q: &[f32],
        heads: usize,
        store: Store<E>,
        scale: f32,
        seen: impl Fn(usize) -> Range<usize>,
        out: &mut [f32],
    ) {
        let size = heads / store.heads * store.width;
        let mut room = vec![0.0; GROUP * store.width];
        for (unit, (q, out)) in q.chunks(size).zip(out.chunks_mut(size)).enumerate() {
            let keys = store.head(unit % store.heads, scale);
            keys.attend(q, seen(unit / store.heads), &mut room, out);
        }
    }

    fn check_over_a_ring<E: Element>() {
        for (heads, kv_heads, width) in [(4, 2, 16), (5, 1, 7), (3, 3, 8), (8, 2, 12), (2, 1, 33)] {
            for (positions, window, capacity) in [(75, 40, 48), (7, 5, 8), (41, 41, 48)] {
                let row = kv_heads * width;
                let (k, v) = (random(positions * row, 1), random(positions * row, 2));
                let rings = Rings::<E>::new(&k, &v, [kv_heads, capacity, width]);
                let (k, v) = (kept::<E>(&k, width), kept::<E>(&v, width));
                let rows = 3;
                let q = random(rows * heads * width, 3);
                let seen = |row: usize| {
                    let end = positions - rows + row + 1;
                    end.saturating_sub(window)..end
                };
                let mut out = vec![0.0; q.len()];
                attention(&q, heads, rings.store(), 0.7, seen, &mut out);
                for (i, found) in out.chunks(width).enumerate() {
                    let kv_head = i % heads * kv_heads / heads;
                    let pick = |x: &[f32]| -> Vec<f32> {
                        let rows =
                            seen(i / heads).map(|p| &x[p * row + kv_head * width..][..width]);
                        rows.flatten().copied().collect()
                    };
                    let mut expected = vec![0.0; width];
                    wanted(&q[i * width..][..width], &pick(&k), &pick(&v), 0.7, &mut expected);
                    assert_close(found, &expected, 3e-6, "attention");
                }
            }
        }
    }

    #[test]
    fn matches_f64_over_a_ring() {
        check_over_a_ring::<f32>();
        check_over_a_ring::<Half>();
        check_over_a_ring::<i8>();
    }

    #[test]
    fn halves_give_what_their_floats_give() {
        let (heads, kv_heads, width, positions) = (8, 2, 12, 43);
        let sizes = [kv_heads, 48, width];
        let halves = |seed| kept::<Half>(&random(positions * kv_heads * width, seed), width);
        let (k, v, q) = (halves(1), halves(2), random(heads * width, 3));
        let mut found = vec![0.0; q.len()];
        let mut wanted = found.clone();
        let rings = Rings::<Half>::new(&k, &v, sizes);
        attention(&q, heads, rings.store(), 0.7, |_| 3..43, &mut found);
        let rings = Rings::<f32>::new(&k, &v, sizes);
        attention(&q, heads, rings.store(), 0.7, |_| 3..43, &mut wanted);
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_scale_that_is_no_number_reaches_who_sees_its_row() {
        let (width, positions) = (9, 11);
        let clean = random(positions * width, 1);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut dirty = clean.clone();
            dirty[5 * width] = bad;
            for (k, v) in [(&clean, &dirty), (&dirty, &clean)] {
                let rings = Rings::<i8>::new(k, v, [1, 16, width]);
                for (seen, is_number) in [(0..6, false), (5..9, false), (6..11, true), (0..5, true)]
                {
                    let mut out = vec![0.0; width];
                    attention(&clean[..width], 1, rings.store(), 1.0, |_| seen.clone(), &mut out);
                    assert!(out.iter().all(|x| x.is_finite() == is_number), "{bad}, {seen:?}");
                    assert!(is_number || out.iter().all(|x| x.is_nan()), "{bad}, {seen:?}");
                }
            }
        }
    }

    #[test]
    fn heads_computed_together_or_alone_agree() {
        fn check<E: Element>() {
            let (heads, width, keys) = (4, 10, 70);
            let (q, k, v) =
                (random(heads * width, 1), random(keys * width, 2), random(keys * width, 3));
            let rings = Rings::<E>::new(&k, &v, [1, 72, width]);
            let mut all = vec![0.0; q.len()];
            attention(&q, heads, rings.store(), 1.0, |_| 0..keys, &mut all);
            for (q, wanted) in q.chunks(width).zip(all.chunks(width)) {
                let mut alone = vec![0.0; width];
                attention(q, 1, rings.store(), 1.0, |_| 0..keys, &mut alone);
                assert_eq!(alone, wanted);
            }
        }
        check::<f32>();
        check::<i8>();
    }
}
