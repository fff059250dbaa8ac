//! Keys and values of a segment into the rings of its store. A ring has room
//! for a multiple of [`TILE`] positions; position p lives in row p % capacity,
//! so positions 8i .. 8i + 8 always share a tile.

use crate::half::{Element, RowScale};
use crate::tile::TILE;

/// Keys or values of a store.
pub struct Ring<'a, E> {
    pub elements: &'a mut [E],
    /// `[heads, capacity]` where elements are scaled, else none.
    pub scales: &'a mut [f32],
}

impl<E: Element> Ring<'_, E> {
    /// Keeps the scale of a row, and gives its inverse.
    fn scale_row(&mut self, row: usize, x: &[f32]) -> f32 {
        let RowScale { scale, inverse } = E::row_scale(x);
        if E::SCALED {
            self.scales[row] = scale;
        }
        inverse
    }
}

/// Rows `[rows, heads, width]` of positions from `position` on into elements
/// `[heads, capacity, width]`.
pub fn append_values<E: Element>(
    rows: &[f32],
    heads: usize,
    width: usize,
    position: usize,
    mut ring: Ring<E>,
) {
    let capacity = ring.elements.len() / (heads * width);
    for (row, position) in rows.chunks_exact(heads * width).zip(position..) {
        for (head, x) in row.chunks_exact(width).enumerate() {
            let place = head * capacity + position % capacity;
            let inverse = ring.scale_row(place, x);
            for (to, value) in ring.elements[place * width..][..width].iter_mut().zip(x) {
                *to = E::from_f32(*value * inverse);
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
    mut ring: Ring<E>,
) {
    let capacity = ring.elements.len() / (heads * width);
    for (row, position) in rows.chunks_exact(heads * width).zip(position..) {
        let (tile, lane) = (position % capacity / TILE, position % TILE);
        for (head, x) in row.chunks_exact(width).enumerate() {
            let inverse = ring.scale_row(head * capacity + position % capacity, x);
            let first = (head * capacity / TILE + tile) * TILE * width;
            let tile = &mut ring.elements[first..first + TILE * width];
            for (place, value) in tile.as_chunks_mut::<TILE>().0.iter_mut().zip(x) {
                place[lane] = E::from_f32(*value * inverse);
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
        fn ring(elements: &mut [f32]) -> Ring<'_, f32> {
            Ring { elements, scales: &mut [] }
        }
        append_values(&rows, heads, width, 3, ring(&mut values));
        append_keys(&rows, heads, width, 3, ring(&mut keys));
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

    #[test]
    fn scales_wrap_around_with_their_rows() {
        let (heads, width, capacity) = (2, 5, 8);
        let rows = random(13 * heads * width, 1);
        let mut elements = [[0i8; 80]; 2];
        let mut scales = [[f32::NAN; 16]; 2];
        let [keys, values] = &mut elements;
        let [key_scales, value_scales] = &mut scales;
        let keys = Ring { elements: keys, scales: key_scales };
        append_keys(&rows, heads, width, 2, keys);
        append_values(&rows, heads, width, 2, Ring { elements: values, scales: value_scales });
        assert_eq!(scales[0], scales[1]);
        for (position, head) in (7..15).flat_map(|p| [(p, 0), (p, 1)]) {
            let x = &rows[((position - 2) * heads + head) * width..][..width];
            let place = head * capacity + position % capacity;
            let RowScale { scale, inverse } = i8::row_scale(x);
            assert_eq!(scales[1][place], scale);
            for (d, x) in x.iter().enumerate() {
                let wanted = i8::from_f32(x * inverse);
                assert_eq!(elements[1][place * width + d], wanted);
                let tile = place / TILE;
                assert_eq!(elements[0][(tile * width + d) * TILE + place % TILE], wanted);
            }
        }
    }
}
