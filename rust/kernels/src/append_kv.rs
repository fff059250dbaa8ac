//! Keys and values of a segment into the rings of its store. A ring has room
//! for a multiple of [`TILE`] positions; position p lives in row p % capacity,
//! so positions 8i .. 8i + 8 always share a tile.

use crate::half::Element;
use crate::tile::TILE;

/// Rows `[rows, heads, width]` of positions from `position` on into `ring`
/// `[heads, capacity, width]`.
pub fn append_values<E: Element>(
    rows: &[f32],
    heads: usize,
    width: usize,
    position: usize,
    ring: &mut [E],
) {
    let capacity = ring.len() / (heads * width);
    for (row, position) in rows.chunks_exact(heads * width).zip(position..) {
        for (head, x) in row.chunks_exact(width).enumerate() {
            let place = head * capacity + position % capacity;
            for (to, value) in ring[place * width..][..width].iter_mut().zip(x) {
                *to = E::from_f32(*value);
            }
        }
    }
}

/// As [`append_values`], into tiles `[heads, capacity / 8, width, 8]`: scores
/// of eight keys come out side by side.
pub fn append_keys<E: Element>(
    rows: &[f32],
    heads: usize,
    width: usize,
    position: usize,
    ring: &mut [E],
) {
    let capacity = ring.len() / (heads * width);
    for (row, position) in rows.chunks_exact(heads * width).zip(position..) {
        let (tile, lane) = (position % capacity / TILE, position % TILE);
        for (head, x) in row.chunks_exact(width).enumerate() {
            let first = (head * capacity / TILE + tile) * TILE * width;
            let tile = &mut ring[first..first + TILE * width];
            for (place, value) in tile.as_chunks_mut::<TILE>().0.iter_mut().zip(x) {
                place[lane] = E::from_f32(*value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn positions_wrap_around() {
        let (heads, width, capacity) = (2, 3, 16);
        let rows = random(20 * heads * width, 1);
        let mut values = vec![0.0; heads * capacity * width];
        let mut keys = values.clone();
        append_values(&rows, heads, width, 3, &mut values);
        append_keys(&rows, heads, width, 3, &mut keys);
        for position in 7..23 {
            for (head, d) in (0..heads).flat_map(|head| (0..width).map(move |d| (head, d))) {
                let wanted = rows[((position - 3) * heads + head) * width + d];
                let row = position % capacity;
                assert_eq!(values[(head * capacity + row) * width + d], wanted);
                let tile = (head * capacity + row) / TILE;
                assert_eq!(keys[(tile * width + d) * TILE + row % TILE], wanted);
            }
        }
    }
}
