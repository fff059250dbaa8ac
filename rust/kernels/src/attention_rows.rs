//! Attention of several rows: a block of keys and values is brought to floats
//! once and meets all rows while it is in the cache. Each row is summed as if
//! it were alone.

use crate::attention::{GROUP, Running, add_values, scores, side_by_side_weights};
use crate::half::Element;
use crate::kv_store::{BLOCK, Factors, Keys};
use crate::rows::RowsMut;
use crate::simd::{F32x4, LANES};
use crate::tile::{TILE, side_by_side};
use core::ops::Range;

/// Rows that meet a block together.
pub const ROWS: usize = 8;

/// Elements of room for rows of heads of this width.
pub fn room_size(width: usize) -> usize {
    (ROWS * GROUP + 2 * BLOCK) * width
}

/// Query heads that share keys, of at most [`ROWS`] rows `[rows, stride]`: as
/// many columns from `first` on as `out` has. `seen` begins and ends no earlier
/// for later rows.
pub fn attention_rows<E: Element>(
    q: &[f32],
    [stride, first]: [usize; 2],
    keys: &Keys<E>,
    seen: impl Fn(usize) -> Range<usize>,
    room: &mut [f32],
    out: &mut RowsMut,
) {
    let size = GROUP * keys.width;
    let q = |row: usize, columns: &Range<usize>| {
        &q[row * stride + first + columns.start..][..columns.len()]
    };
    for start in (0..out.width()).step_by(size) {
        let columns = start..out.width().min(start + size);
        if columns.len() == size && out.rows() > 1 {
            attend_group(&|row| q(row, &columns), keys, &seen, room, columns.clone(), out);
            continue;
        }
        for row in 0..out.rows() {
            keys.attend(q(row, &columns), seen(row), room, &mut out.row(row)[columns.clone()]);
        }
    }
}

/// [`GROUP`] heads of each row.
#[inline(never)]
fn attend_group<'a, E: Element>(
    q: &dyn Fn(usize) -> &'a [f32],
    keys: &Keys<E>,
    seen: &impl Fn(usize) -> Range<usize>,
    room: &mut [f32],
    columns: Range<usize>,
    out: &mut RowsMut,
) {
    let (width, rows) = (keys.width, out.rows());
    let (all_queries, room) = room.split_at_mut(ROWS * GROUP * width);
    let (tiles, values) = room.split_at_mut(BLOCK * width);
    for (row, room) in (0..rows).zip(all_queries.chunks_exact_mut(GROUP * width)) {
        side_by_side::<GROUP>(q(row), width, room);
        out.row(row)[columns.clone()].fill(0.0);
    }
    let mut running = [Running::<GROUP>::new(); ROWS];
    let (start, end) = (seen(0).start, seen(rows - 1).end);
    for block in (start / BLOCK * BLOCK..end).step_by(BLOCK) {
        let within = |seen: Range<usize>| seen.start.max(block)..seen.end.min(block + BLOCK);
        let here = within(start..end);
        for first in (here.start / TILE * TILE..here.end).step_by(TILE) {
            unpack(keys.tile(first), &mut tiles[(first - block) * width..]);
        }
        let [early, late] = keys.runs(here.clone());
        let at = (here.start - block) * width;
        unpack(early, &mut values[at..]);
        unpack(late, &mut values[at + early.len()..]);
        let factors = keys.factors(here, 1.0);
        let queries = all_queries.as_chunks::<GROUP>().0.chunks_exact(width);
        for ((row, queries), running) in (0..rows).zip(queries).zip(&mut running) {
            let seen = within(seen(row));
            if !seen.is_empty() {
                let seen = seen.start - block..seen.end - block;
                let floats = [&tiles[..], &values[..]];
                add_block(
                    queries,
                    floats,
                    seen,
                    &factors,
                    running,
                    &mut out.row(row)[columns.clone()],
                );
            }
        }
    }
    for (row, running) in (0..rows).zip(&running) {
        running.divide(&mut out.row(row)[columns.clone()]);
    }
}

/// A row's heads with the positions `seen` of a block of keys and values.
#[inline(never)]
fn add_block(
    queries: &[[f32; GROUP]],
    [tiles, values]: [&[f32]; 2],
    seen: Range<usize>,
    factors: &Factors,
    running: &mut Running<GROUP>,
    out: &mut [f32],
) {
    let width = queries.len();
    let tile = |first: usize| &tiles[first * width..][..TILE * width];
    let mut weights = scores(queries, seen.clone(), factors, tile);
    let kept = running.add(&mut weights);
    let values = &values[seen.start * width..seen.end * width];
    let weights = side_by_side_weights(&weights, seen.clone(), factors);
    add_values(weights.split(seen.len()), [values, &[]], kept, out);
}

/// Elements as floats.
fn unpack<E: Element>(from: &[E], to: &mut [f32]) {
    let (eights, tail) = from.as_chunks::<TILE>();
    let (whole, rest) = to.split_at_mut(eights.len() * TILE);
    for (from, to) in eights.iter().zip(whole.as_chunks_mut::<TILE>().0) {
        *to = floats(from);
    }
    let mut last = [E::ZERO; TILE];
    last[..tail.len()].copy_from_slice(tail);
    rest[..tail.len()].copy_from_slice(&floats(&last)[..tail.len()]);
}

#[inline(always)]
fn floats<E: Element>(from: &[E; TILE]) -> [f32; TILE] {
    let mut floats = [0.0; TILE];
    for (to, x) in floats.as_chunks_mut::<LANES>().0.iter_mut().zip(E::load(from)) {
        (x * F32x4::splat(E::UNIT)).store(to);
    }
    floats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::half::Half;
    use crate::testing::{Rings, random};

    fn check<E: Element>() {
        for (heads, kv_heads, width) in [(8, 2, 16), (10, 2, 7), (4, 1, 12), (3, 3, 8)] {
            let (positions, window, capacity) = (75, 40, 48);
            let row = kv_heads * width;
            let [k, v] = [1, 2].map(|seed| random(positions * row, seed));
            let rings = Rings::<E>::new(&k, &v, [kv_heads, capacity, width]);
            let store = rings.store();
            let size = heads / kv_heads * width;
            let stride = heads * width;
            for rows in [1, 2, 5, 8] {
                let q = random(rows * stride, 3);
                let seen = |row: usize| {
                    let end = positions - rows + row + 1;
                    end - window..end
                };
                let mut found = vec![f32::NAN; q.len()];
                let mut room = vec![f32::NAN; room_size(width)];
                for head in 0..kv_heads {
                    let keys = store.head(head, 0.7);
                    let mut out = RowsMut::new(&mut found, stride, head * size, size);
                    let place = [stride, head * size];
                    attention_rows(&q, place, &keys, seen, &mut room, &mut out);
                }
                let mut wanted = vec![f32::NAN; q.len()];
                for (unit, (q, out)) in q.chunks(size).zip(wanted.chunks_mut(size)).enumerate() {
                    let keys = store.head(unit % kv_heads, 0.7);
                    keys.attend(q, seen(unit / kv_heads), &mut room, out);
                }
                assert_eq!(found, wanted, "{rows} rows of {heads} heads of {width}");
            }
        }
    }

    #[test]
    fn rows_together_have_the_bits_of_rows_alone() {
        check::<f32>();
        check::<Half>();
        check::<i8>();
    }
}
