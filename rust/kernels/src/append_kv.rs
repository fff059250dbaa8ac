//! Keys or values of a segment into the ring of its store.

/// Rows `[rows, heads, width]` of positions from `position` on into `ring`
/// `[heads, capacity, width]`, where position p lives in row p % capacity.
pub fn append_kv(rows: &[f32], heads: usize, width: usize, position: usize, ring: &mut [f32]) {
    let capacity = ring.len() / (heads * width);
    for (row, position) in rows.chunks_exact(heads * width).zip(position..) {
        for (head, x) in row.chunks_exact(width).enumerate() {
            let place = head * capacity + position % capacity;
            ring[place * width..][..width].copy_from_slice(x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn positions_wrap_around() {
        let (heads, width, capacity) = (2, 3, 4);
        let rows = random(6 * heads * width, 1);
        let mut ring = vec![0.0; heads * capacity * width];
        append_kv(&rows, heads, width, 3, &mut ring);
        for position in 5..9 {
            for head in 0..heads {
                let place = (head * capacity + position % capacity) * width;
                let row = ((position - 3) * heads + head) * width;
                assert_eq!(ring[place..place + width], rows[row..row + width]);
            }
        }
    }
}
