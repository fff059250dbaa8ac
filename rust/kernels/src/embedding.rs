//! Rows of a matrix packed in tiles of eight rows, `[V / 8][D][8]`, scaled.

use crate::tile::TILE;

/// `out[t] = table[ids[t]] * scale`; out `[ids.len(), width]`.
pub fn embedding(table: &[f32], ids: &[u32], width: usize, scale: f32, out: &mut [f32]) {
    for (id, row) in ids.iter().zip(out.chunks_exact_mut(width)) {
        let id = *id as usize;
        let tile = &table[id / TILE * TILE * width..][..TILE * width];
        let (columns, _) = tile.as_chunks::<TILE>();
        for (x, column) in row.iter_mut().zip(columns) {
            *x = column[id % TILE] * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::pack_tiles;
    use crate::testing::random;

    #[test]
    fn picks_rows() {
        let (rows, width) = (19, 5);
        let table = random(rows * width, 1);
        let mut tiles = vec![0.0; 3 * TILE * width];
        pack_tiles(&table, &mut tiles, 0, width, 1);
        let ids = [18, 0, 7, 8, 18];
        let mut out = vec![0.0; ids.len() * width];
        embedding(&tiles, &ids, width, 2.0, &mut out);
        for (id, row) in ids.iter().zip(out.chunks(width)) {
            for (d, x) in row.iter().enumerate() {
                assert_eq!(*x, table[*id as usize * width + d] * 2.0);
            }
        }
    }
}
