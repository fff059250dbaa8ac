//! `out = x w^T` with w packed in tiles of eight outputs, `[F / 8][K][8]`.
//!
//! Every output is summed in one order whatever the number of rows: k in
//! blocks of [`BLOCK`], in order within a block, then the blocks in order. So
//! a row's result does not depend on its neighbours, and the error grows with
//! the square root of BLOCK + K / BLOCK rather than of K.

use crate::rows::RowsMut;
use crate::simd::{F32x4, LANES};

/// Outputs of a tile.
pub const TILE: usize = 8;
/// Elements of k summed on their own.
const BLOCK: usize = 64;
/// Elements of k for which all rows meet a tile while it is in the first cache.
const PANEL: usize = 8 * BLOCK;

/// Sums of eight outputs.
type Sums = [F32x4; 2];

/// Multiplies rows `x` `[rows, k]` by consecutive tiles into the columns of `out`.
pub fn matmul(x: &[f32], k: usize, tiles: &[f32], out: &mut RowsMut) {
    let rows = out.rows();
    // A few rows meet each weight once anyway: stream through whole tiles.
    let panel = if rows <= 4 { k } else { PANEL };
    let mut start = 0;
    while start < k {
        let end = k.min(start + panel);
        for (tile, column) in tiles.chunks_exact(k * TILE).zip((0..).step_by(TILE)) {
            let w = &tile[start * TILE..end * TILE];
            let mut row = 0;
            while row < rows {
                let part = Part { x, k, row, start, w, column };
                row += match rows - row {
                    1 => part.one_row(out),
                    2 => part.rows::<2>(out),
                    3 => part.rows::<3>(out),
                    _ => part.rows::<4>(out),
                };
            }
        }
        start = end;
    }
}

/// One tile, one panel of k, a few rows from `row` on.
struct Part<'a> {
    x: &'a [f32],
    k: usize,
    row: usize,
    start: usize,
    w: &'a [f32],
    column: usize,
}

impl<'a> Part<'a> {
    #[inline(always)]
    fn x_row(&self, index: usize) -> &'a [f32] {
        let first = (self.row + index) * self.k + self.start;
        &self.x[first..first + self.w.len() / TILE]
    }

    #[inline(never)]
    fn rows<const R: usize>(&self, out: &mut RowsMut) -> usize {
        let x: [&[f32]; R] = core::array::from_fn(|r| self.x_row(r));
        let mut totals: [Sums; R] = core::array::from_fn(|r| self.load(r, out));
        let mut done = 0;
        for w in self.w.chunks(BLOCK * TILE) {
            let n = w.len() / TILE;
            let sums = sum_block(x.map(|row| &row[done..done + n]), w);
            add(&mut totals, &sums);
            done += n;
        }
        for (r, total) in totals.iter().enumerate() {
            self.store(r, total, out);
        }
        R
    }

    /// As `rows::<1>`, with two blocks under way at a time: one alone would
    /// wait for its own additions.
    #[inline(never)]
    fn one_row(&self, out: &mut RowsMut) -> usize {
        let x = self.x_row(0);
        let mut total = [self.load(0, out)];
        let mut pairs = self.w.chunks_exact(2 * BLOCK * TILE);
        let mut x_pairs = x.chunks_exact(2 * BLOCK);
        for (w, x) in pairs.by_ref().zip(x_pairs.by_ref()) {
            let (w0, w1) = w.split_at(BLOCK * TILE);
            let (x0, x1) = x.split_at(BLOCK);
            let [a, b] = sum_two_blocks([x0, x1], [w0, w1]);
            add(&mut total, &[a]);
            add(&mut total, &[b]);
        }
        let rest = x_pairs.remainder().chunks(BLOCK);
        for (w, x) in pairs.remainder().chunks(BLOCK * TILE).zip(rest) {
            add(&mut total, &sum_block([x], w));
        }
        self.store(0, &total[0], out);
        1
    }

    /// The sums of the panels before this one.
    #[inline(always)]
    fn load(&self, r: usize, out: &mut RowsMut) -> Sums {
        if self.start == 0 {
            return [F32x4::zero(); 2];
        }
        let row = &out.row(self.row + r)[self.column..];
        if let Some(whole) = row.first_chunk::<TILE>() {
            let (lanes, _) = whole.as_chunks::<LANES>();
            return [F32x4::load(&lanes[0]), F32x4::load(&lanes[1])];
        }
        let (low, high) = row.split_at(row.len().min(LANES));
        [F32x4::load_partial(low), F32x4::load_partial(high)]
    }

    #[inline(always)]
    fn store(&self, r: usize, sums: &Sums, out: &mut RowsMut) {
        let row = &mut out.row(self.row + r)[self.column..];
        if let Some(whole) = row.first_chunk_mut::<TILE>() {
            let (lanes, _) = whole.as_chunks_mut::<LANES>();
            sums[0].store(&mut lanes[0]);
            sums[1].store(&mut lanes[1]);
            return;
        }
        let (low, high) = row.split_at_mut(row.len().min(LANES));
        sums[0].store_partial(low);
        sums[1].store_partial(high);
    }
}

#[inline(always)]
fn add<const R: usize>(totals: &mut [Sums; R], sums: &[Sums; R]) {
    for (total, sum) in totals.iter_mut().zip(sums) {
        *total = [total[0] + sum[0], total[1] + sum[1]];
    }
}

/// Sums of R rows over one block of k; `w` holds eight weights for each k.
#[inline(always)]
fn sum_block<const R: usize>(x: [&[f32]; R], w: &[f32]) -> [Sums; R] {
    let (steps, tail) = w.as_chunks::<{ LANES * TILE }>();
    let quads: [&[[f32; LANES]]; R] = x.map(|row| &row.as_chunks().0[..steps.len()]);
    let mut sums = [[F32x4::zero(); 2]; R];
    for (i, step) in steps.iter().enumerate() {
        let (w, _) = step.as_chunks::<LANES>();
        let v: [F32x4; R] = core::array::from_fn(|r| F32x4::load(&quads[r][i]));
        multiply_add(&mut sums, v.map(|v| v.splat_lane::<0>()), &w[0], &w[1]);
        multiply_add(&mut sums, v.map(|v| v.splat_lane::<1>()), &w[2], &w[3]);
        multiply_add(&mut sums, v.map(|v| v.splat_lane::<2>()), &w[4], &w[5]);
        multiply_add(&mut sums, v.map(|v| v.splat_lane::<3>()), &w[6], &w[7]);
    }
    let first = steps.len() * LANES;
    for (i, w) in tail.as_chunks::<LANES>().0.chunks_exact(2).enumerate() {
        let v = x.map(|row| F32x4::splat(row[first + i]));
        multiply_add(&mut sums, v, &w[0], &w[1]);
    }
    sums
}

/// Sums of one row over two whole blocks of k.
#[inline(always)]
fn sum_two_blocks(x: [&[f32]; 2], w: [&[f32]; 2]) -> [Sums; 2] {
    let x = x.map(|x| &x.as_chunks::<LANES>().0[..BLOCK / LANES]);
    let w = w.map(|w| &w.as_chunks::<{ LANES * TILE }>().0[..BLOCK / LANES]);
    let mut sums = [[F32x4::zero(); 2]; 2];
    for i in 0..BLOCK / LANES {
        for b in 0..2 {
            let (w, _) = w[b][i].as_chunks::<LANES>();
            let v = F32x4::load(&x[b][i]);
            let sum = core::slice::from_mut(&mut sums[b]).first_chunk_mut::<1>();
            let Some(sum) = sum else { continue };
            multiply_add(sum, [v.splat_lane::<0>()], &w[0], &w[1]);
            multiply_add(sum, [v.splat_lane::<1>()], &w[2], &w[3]);
            multiply_add(sum, [v.splat_lane::<2>()], &w[4], &w[5]);
            multiply_add(sum, [v.splat_lane::<3>()], &w[6], &w[7]);
        }
    }
    sums
}

#[inline(always)]
fn multiply_add<const R: usize>(
    sums: &mut [Sums; R],
    x: [F32x4; R],
    low: &[f32; LANES],
    high: &[f32; LANES],
) {
    let (low, high) = (F32x4::load(low), F32x4::load(high));
    for (sum, x) in sums.iter_mut().zip(x) {
        *sum = [sum[0] + x * low, sum[1] + x * high];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::pack_tiles;
    use crate::testing::random;

    fn packed(w: &[f32], k: usize) -> Vec<f32> {
        let outputs = w.len() / k;
        let mut tiles = vec![0.0; outputs.div_ceil(TILE) * TILE * k];
        pack_tiles(w, &mut tiles, 0, k, 1);
        tiles
    }

    fn run(x: &[f32], k: usize, tiles: &[f32], outputs: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.len() / k * outputs];
        matmul(x, k, tiles, &mut RowsMut::new(&mut out, outputs, 0, outputs));
        out
    }

    /// Allowed error for each unit of the sum of the terms' magnitudes.
    const TOLERANCE: f64 = 5e-7;

    fn check(rows: usize, k: usize, outputs: usize) {
        let (x, w) = (random(rows * k, 1), random(outputs * k, 2));
        let found = run(&x, k, &packed(&w, k), outputs);
        for (i, found) in found.iter().enumerate() {
            let (x, w) = (&x[i / outputs * k..][..k], &w[i % outputs * k..][..k]);
            let terms = || x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w));
            let (sum, size) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
            let error = (f64::from(*found) - sum).abs();
            assert!(error <= TOLERANCE * size, "{rows}x{k}x{outputs}: {found}, wanted {sum}");
        }
    }

    #[test]
    fn matches_f64_at_odd_sizes() {
        for k in [1, 3, 4, 7, 63, 64, 65, 128, 513, 1030] {
            for (rows, outputs) in [(1, 1), (1, 24), (2, 4), (3, 5), (4, 8), (5, 11), (9, 9)] {
                check(rows, k, outputs);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        let (k, outputs, rows) = (1291, 19, 11);
        let (x, w) = (random(rows * k, 3), random(outputs * k, 4));
        let tiles = packed(&w, k);
        let all = run(&x, k, &tiles, outputs);
        for r in 0..rows {
            let alone = run(&x[r * k..(r + 1) * k], k, &tiles, outputs);
            assert_eq!(alone, all[r * outputs..(r + 1) * outputs]);
        }
    }
}
