//! The innermost products: a few rows, laid side by side, with tiles of eight
//! columns, `[k, 8]`. Matrix products and attention are made of them.

use crate::half::Element;
use crate::simd::{F32x4, LANES};

/// Columns of a tile: outputs of a matrix, or keys.
pub const TILE: usize = 8;

/// Sums of the eight columns of a tile.
pub type Sums = [F32x4; TILE / LANES];

/// Adds sums of R rows.
#[inline(always)]
pub fn add<const R: usize>(totals: &mut [Sums; R], sums: &[Sums; R]) {
    for (total, sum) in totals.iter_mut().zip(sums) {
        *total = [total[0] + sum[0], total[1] + sum[1]];
    }
}

/// Sums of R rows over one block of k; `w` holds the eight columns of each k.
///
/// One step of k at a time: unrolled, the products of several steps wait for
/// their sums in more registers than there are.
#[inline(always)]
pub fn sum_block<const R: usize, E: Element>(x: &[[f32; R]], w: &[E]) -> [Sums; R] {
    let mut sums = [[F32x4::zero(); 2]; R];
    for (x, w) in x.iter().zip(w.as_chunks::<TILE>().0) {
        multiply_add(&mut sums, x.map(F32x4::splat), w);
    }
    sums
}

/// Adds R numbers times eight columns over their unit.
#[inline(always)]
pub fn multiply_add<const R: usize, E: Element>(
    sums: &mut [Sums; R],
    x: [F32x4; R],
    w: &[E; TILE],
) {
    let [low, high] = E::load(w);
    for (sum, x) in sums.iter_mut().zip(x) {
        *sum = [sum[0] + x * low, sum[1] + x * high];
    }
}

/// Rows `[R, width]` side by side, `[width, R]`, in `room`.
pub fn side_by_side<'a, const R: usize>(
    rows: &[f32],
    width: usize,
    room: &'a mut [f32],
) -> &'a mut [[f32; R]] {
    let (columns, _) = room[..R * width].as_chunks_mut::<R>();
    for (r, row) in rows.chunks_exact(width).enumerate() {
        for (column, x) in columns.iter_mut().zip(row) {
            column[r] = *x;
        }
    }
    columns
}
