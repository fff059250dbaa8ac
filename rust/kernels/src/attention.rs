//! Softmax attention over the rings of a store, a block of positions at a time
//! with a running maximum. Blocks start at multiples of [`BLOCK`], and heads
//! that share keys are computed together but summed alone, so a row's result
//! depends only on its position and on what it sees.

use crate::half::Element;
use crate::math::{exp, exp_scalar};
use crate::simd::{F32x4, LANES};
use crate::tile::{Sums, TILE, add, multiply_add, side_by_side, sum_block};
use core::ops::Range;

/// Positions whose scores are held at a time; a multiple of the tile.
const BLOCK: usize = 4 * TILE;
/// Query heads that meet a key together.
pub const GROUP: usize = 4;
/// Elements of a head summed on their own.
const SUM_BLOCK: usize = 16;

/// Keys `[heads, capacity / 8, width, 8]` and values `[heads, capacity, width]`
/// (of one head, as many rows as there are); position p in row p % capacity.
#[derive(Clone, Copy)]
pub struct Store<'a, E> {
    pub k: &'a [E],
    pub v: &'a [E],
    pub heads: usize,
    pub capacity: usize,
    pub width: usize,
}

/// Attention of units from `first` on: the query heads of a row that share a
/// head of keys, q `[units, heads / KV heads, width]`, over what `seen` says for
/// each row. `room` has space for [`GROUP`] heads.
pub fn attention<E: Element>(
    q: &[f32],
    [first, sharing]: [usize; 2],
    store: Store<E>,
    scale: f32,
    seen: impl Fn(usize) -> Range<usize>,
    room: &mut [f32],
    out: &mut [f32],
) {
    let Store { width, capacity, .. } = store;
    let units = q.chunks(sharing * width).zip(out.chunks_mut(sharing * width));
    for ((q, out), unit) in units.zip(first..) {
        let (row, kv_head) = (unit / store.heads, unit % store.heads);
        let first = kv_head * capacity * width;
        let keys = Keys {
            k: &store.k[first..first + capacity * width],
            v: &store.v[first..store.v.len().min(first + capacity * width)],
            capacity,
            width,
            scale,
        };
        for (q, out) in q.chunks(GROUP * width).zip(out.chunks_mut(GROUP * width)) {
            if q.len() == GROUP * width {
                keys.attend::<GROUP>(q, seen(row), room, out);
                continue;
            }
            for (q, out) in q.chunks(2 * width).zip(out.chunks_mut(2 * width)) {
                match q.len() / width {
                    1 => keys.attend::<1>(q, seen(row), room, out),
                    _ => keys.attend::<2>(q, seen(row), room, out),
                }
            }
        }
    }
}

/// Keys and values of one head.
struct Keys<'a, E> {
    k: &'a [E],
    v: &'a [E],
    capacity: usize,
    width: usize,
    scale: f32,
}

type Scores = [f32; BLOCK];

impl<E: Element> Keys<'_, E> {
    /// R queries over the same positions.
    #[inline(never)]
    fn attend<const R: usize>(
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
        let mut largest = [f32::NEG_INFINITY; R];
        let mut sums = [0.0; R];
        out.fill(0.0);
        let mut start = seen.start;
        while start < seen.end {
            let block = start / BLOCK * BLOCK;
            let end = seen.end.min(block + BLOCK);
            let mut weights = self.scores::<R>(queries, start..end);
            let mut kept = [0.0; R];
            for r in 0..R {
                let maximum = weights[r].iter().fold(largest[r], |m, s| m.max(*s));
                kept[r] = exp_scalar(largest[r] - maximum);
                largest[r] = maximum;
                sums[r] = sums[r] * kept[r] + exponentials(&mut weights[r], maximum);
            }
            self.add_values(&weights, start..end, kept, out);
            start = end;
        }
        for (row, sum) in out.chunks_exact_mut(self.width).zip(sums) {
            for x in row {
                *x /= sum;
            }
        }
    }

    /// Scaled scores of R queries for the block that holds `seen`, minus
    /// infinity where nothing is seen.
    #[inline(always)]
    fn scores<const R: usize>(&self, queries: &[[f32; R]], seen: Range<usize>) -> [Scores; R] {
        let mut scores = [[f32::NEG_INFINITY; BLOCK]; R];
        let block = seen.start / BLOCK * BLOCK;
        for first in (seen.start / TILE * TILE..seen.end).step_by(TILE) {
            let place = first % self.capacity * self.width;
            let tile = &self.k[place..place + TILE * self.width];
            let sums = tile_scores(queries, tile);
            for r in 0..R {
                let scores = &mut scores[r][first - block..][..TILE];
                let (lanes, _) = scores.as_chunks_mut::<LANES>();
                (sums[r][0] * F32x4::splat(self.scale)).store(&mut lanes[0]);
                (sums[r][1] * F32x4::splat(self.scale)).store(&mut lanes[1]);
            }
        }
        for row in &mut scores {
            row[..seen.start - block].fill(f32::NEG_INFINITY);
            row[seen.end - block..].fill(f32::NEG_INFINITY);
        }
        scores
    }

    /// `out[r] = out[r] * kept[r] + sum_s weights[r][s] v[s]`.
    #[inline(always)]
    fn add_values<const R: usize>(
        &self,
        weights: &[Scores; R],
        seen: Range<usize>,
        kept: [f32; R],
        out: &mut [f32],
    ) {
        let block = seen.start / BLOCK * BLOCK;
        let weights: [[f32; R]; BLOCK] =
            core::array::from_fn(|s| core::array::from_fn(|r| weights[r][s] * E::UNIT));
        let weights = &weights[seen.start - block..seen.end - block];
        // A block may lie around the end of the ring: at most two runs of rows.
        let place = seen.start % self.capacity;
        let before_end = seen.len().min(self.capacity - place);
        let (early, late) = weights.split_at(before_end);
        let (width, v) = (self.width, self.v);
        let early_values = &v[place * width..(place + before_end) * width];
        let late_values = &v[..(seen.len() - before_end) * width];
        for first in (0..width).step_by(TILE) {
            let mut sums = [[F32x4::zero(); 2]; R];
            add_rows(&mut sums, early, early_values, width, first);
            add_rows(&mut sums, late, late_values, width, first);
            for r in 0..R {
                let row = &mut out[r * width..(r + 1) * width];
                add_to(&mut row[first..], F32x4::splat(kept[r]), sums[r]);
            }
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
    use crate::append_kv::{append_keys, append_values};
    use crate::half::Half;
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
            let (positions, window, capacity) = (75, 40, 48);
            let row = kv_heads * width;
            let (k, v) = (random(positions * row, 1), random(positions * row, 2));
            let mut ring_k = vec![0.0; capacity * row];
            let mut ring_v = vec![0.0; capacity * row];
            append_keys(&k, kv_heads, width, 0, &mut ring_k);
            append_values(&v, kv_heads, width, 0, &mut ring_v);
            let (first, rows) = (72, 3);
            let q = random(rows * heads * width, 3);
            let store = Store { k: &ring_k, v: &ring_v, heads: kv_heads, capacity, width };
            let seen = |row: usize| first + row + 1 - window..first + row + 1;
            let mut out = vec![0.0; q.len()];
            attention(
                &q,
                [0, heads / kv_heads],
                store,
                0.7,
                seen,
                &mut vec![0.0; GROUP * width],
                &mut out,
            );
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
    fn halves_give_what_their_floats_give() {
        let (heads, kv_heads, width, positions) = (8, 2, 12, 43);
        let capacity = 48;
        let row = kv_heads * width;
        let halves = |seed| -> Vec<f32> {
            let x = random(positions * row, seed);
            x.iter().map(|x| half_to_f32(Half::from_f32(*x))).collect()
        };
        let (k, v, q) = (halves(1), halves(2), random(heads * width, 3));
        fn run<E: Element>(
            [q, k, v]: [&[f32]; 3],
            [heads, kv_heads, width, capacity]: [usize; 4],
        ) -> Vec<f32> {
            let mut rings = [0, 1].map(|_| vec![E::ZERO; capacity * kv_heads * width]);
            append_keys(k, kv_heads, width, 0, &mut rings[0]);
            append_values(v, kv_heads, width, 0, &mut rings[1]);
            let [k, v] = &rings;
            let store = Store { k, v, heads: kv_heads, capacity, width };
            let mut out = vec![0.0; q.len()];
            let room = &mut vec![0.0; GROUP * width];
            attention(q, [0, heads / kv_heads], store, 0.7, |_| 3..43, room, &mut out);
            out
        }
        let sizes = [heads, kv_heads, width, capacity];
        assert_eq!(run::<Half>([&q, &k, &v], sizes), run::<f32>([&q, &k, &v], sizes));
    }

    fn half_to_f32(half: Half) -> f32 {
        Half::load(&[half; TILE])[0].lanes()[0] * Half::UNIT
    }

    #[test]
    fn heads_computed_together_or_alone_agree() {
        let (heads, width, keys) = (4, 10, 70);
        let (q, k, v) =
            (random(heads * width, 1), random(keys * width, 2), random(keys * width, 3));
        let capacity = 72;
        let mut tiles = vec![f32::NAN; capacity * width];
        append_keys(&k, 1, width, 0, &mut tiles);
        let store = Store { k: &tiles, v: &v, heads: 1, capacity, width };
        let mut room = [0.0; GROUP * 10];
        let mut all = vec![0.0; q.len()];
        attention(&q, [0, heads], store, 1.0, |_| 0..keys, &mut room, &mut all);
        for (q, wanted) in q.chunks(width).zip(all.chunks(width)) {
            let mut alone = vec![0.0; width];
            attention(q, [0, 1], store, 1.0, |_| 0..keys, &mut room, &mut alone);
            assert_eq!(alone, wanted);
        }
    }
}
