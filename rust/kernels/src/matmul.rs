//! `out = x w^T` with w packed in tiles of eight outputs, `[F / 8][K][8]`.
//!
//! Every output is summed in one order whatever the number of rows: k in
//! blocks of [`BLOCK`], in order within a block, then the blocks in order. So
//! a row's result does not depend on its neighbours, and the error grows with
//! the square root of BLOCK + K / BLOCK rather than of K.

use crate::rows::RowsMut;
use crate::simd::{F32x4, LANES};
use crate::tile::{Sums, TILE, add, multiply_add, sum_block};

/// Elements of k summed on their own.
const BLOCK: usize = 64;
/// Elements of k for which all rows meet a tile while it is in the first cache.
const PANEL: usize = 8 * BLOCK;

/// Multiplies rows `x` `[rows, k]` by consecutive tiles into the columns of `out`.
pub fn matmul(x: &[f32], k: usize, tiles: &[f32], out: &mut RowsMut) {
    let rows = out.rows();
    // One row meets each weight once anyway: stream through whole tiles.
    let panel = if rows == 1 { k } else { PANEL };
    let mut start = 0;
    while start < k {
        let panel = Panel { x, k, tiles, start, end: k.min(start + panel) };
        let mut row = 0;
        while row < rows {
            row += match rows - row {
                1 => panel.one_row(row, out),
                2 => panel.rows::<2>(row, out),
                3 => panel.rows::<3>(row, out),
                _ => panel.rows::<4>(row, out),
            };
        }
        start = panel.end;
    }
}

/// Elements `start .. end` of k.
struct Panel<'a> {
    x: &'a [f32],
    k: usize,
    tiles: &'a [f32],
    start: usize,
    end: usize,
}

impl<'a> Panel<'a> {
    #[inline(always)]
    fn x_row(&self, row: usize) -> &'a [f32] {
        &self.x[row * self.k + self.start..row * self.k + self.end]
    }

    /// The weights of each tile and the first column it makes.
    #[inline(always)]
    fn weights(&self) -> impl Iterator<Item = (&'a [f32], usize)> {
        let (start, end) = (self.start * TILE, self.end * TILE);
        let tiles = self.tiles.chunks_exact(self.k * TILE);
        tiles.map(move |tile| &tile[start..end]).zip((0..).step_by(TILE))
    }

    /// R rows from `row` on.
    #[inline(never)]
    fn rows<const R: usize>(&self, row: usize, out: &mut RowsMut) -> usize {
        // The rows side by side, so that one address leads to all of them.
        let mut x = [[0.0; R]; PANEL];
        let rows: [&[f32]; R] = core::array::from_fn(|r| self.x_row(row + r));
        let n = rows[0].len();
        let rows = rows.map(|row| &row[..n]);
        for (i, x) in x[..n].iter_mut().enumerate() {
            *x = rows.map(|row| row[i]);
        }
        for (w, column) in self.weights() {
            let mut totals: [Sums; R] =
                core::array::from_fn(|r| self.load(out.row(row + r), column));
            let blocks = x.chunks(BLOCK).zip(w.chunks(BLOCK * TILE));
            for (x, w) in blocks {
                add(&mut totals, &sum_block(x, w));
            }
            for (r, total) in totals.iter().enumerate() {
                store(total, &mut out.row(row + r)[column..]);
            }
        }
        R
    }

    /// As `rows::<1>`, with two blocks under way at a time: one alone would
    /// wait for its own additions.
    #[inline(never)]
    fn one_row(&self, row: usize, out: &mut RowsMut) -> usize {
        let x = self.x_row(row);
        for (w, column) in self.weights() {
            let mut total = [self.load(out.row(row), column)];
            let mut pairs = w.chunks_exact(2 * BLOCK * TILE);
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
                add(&mut total, &sum_block(x.as_chunks::<1>().0, w));
            }
            store(&total[0], &mut out.row(row)[column..]);
        }
        1
    }

    /// The sums of the panels before this one.
    #[inline(always)]
    fn load(&self, row: &[f32], column: usize) -> Sums {
        if self.start == 0 {
            return [F32x4::zero(); 2];
        }
        let row = &row[column..];
        if let Some(whole) = row.first_chunk::<TILE>() {
            let (lanes, _) = whole.as_chunks::<LANES>();
            return [F32x4::load(&lanes[0]), F32x4::load(&lanes[1])];
        }
        let (low, high) = row.split_at(row.len().min(LANES));
        [F32x4::load_partial(low), F32x4::load_partial(high)]
    }
}

#[inline(always)]
fn store(sums: &Sums, row: &mut [f32]) {
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

/// Sums of one row over two whole blocks of k.
#[inline(always)]
fn sum_two_blocks(x: [&[f32]; 2], w: [&[f32]; 2]) -> [Sums; 2] {
    let x = x.map(|x| &x.as_chunks::<LANES>().0[..BLOCK / LANES]);
    let w = w.map(|w| &w.as_chunks::<{ LANES * TILE }>().0[..BLOCK / LANES]);
    let [mut a, mut b] = [[[F32x4::zero(); 2]]; 2];
    for i in 0..BLOCK / LANES {
        multiply_add_quad(&mut a, F32x4::load(&x[0][i]), &w[0][i]);
        multiply_add_quad(&mut b, F32x4::load(&x[1][i]), &w[1][i]);
    }
    [a[0], b[0]]
}

#[inline(always)]
fn multiply_add_quad(sums: &mut [Sums; 1], x: F32x4, w: &[f32; LANES * TILE]) {
    let (steps, _) = w.as_chunks::<TILE>();
    multiply_add(sums, [x.splat_lane::<0>()], &steps[0]);
    multiply_add(sums, [x.splat_lane::<1>()], &steps[1]);
    multiply_add(sums, [x.splat_lane::<2>()], &steps[2]);
    multiply_add(sums, [x.splat_lane::<3>()], &steps[3]);
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
