//! Rows of a matrix in quantised tiles, as numbers, scaled.

use crate::panel::place_in_pairs;
use crate::quantized::{GROUP, WeightGroup};
use crate::scale::{SCALE_UNIT, scale_to_f32};
use crate::tile::TILE;

/// `out[t] = table[ids[t]] * factor`; out `[ids.len(), 32 groups]`.
pub fn embedding_quantized<W: WeightGroup>(
    table: &[W],
    ids: &[u32],
    groups: usize,
    factor: f32,
    out: &mut [f32],
) {
    for (id, row) in ids.iter().zip(out.chunks_exact_mut(groups * GROUP)) {
        let id = *id as usize;
        for (group, out) in row.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
            let w = &table[place_in_pairs(table.len() / groups, groups, id / TILE, group)];
            let scale = scale_to_f32(w.scale(id % TILE)) * SCALE_UNIT;
            for (i, x) in out.iter_mut().enumerate() {
                *x = scale * w.value(id % TILE, i) as f32 * factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack_quantized::{pack_q4, pack_q8};
    use crate::panel::Layout;
    use crate::quantized::{Q4Group, Q8Group};
    use crate::testing::random;

    #[test]
    fn picks_rows() {
        let (rows, groups) = (19, 2);
        let width = groups * GROUP;
        let table = random(rows * width, 1);
        let mut q8 = vec![Q8Group::default(); 3 * groups];
        let mut q4 = vec![Q4Group::default(); 3 * groups];
        assert!(
            pack_q8(&table, &mut q8, 0, groups, Layout::Tiles)
                && pack_q4(&table, &mut q4, 0, groups, Layout::Tiles)
        );
        let ids = [18, 0, 7, 8, 18];
        let mut out = [vec![0.0; ids.len() * width], vec![0.0; ids.len() * width]];
        embedding_quantized(&q8, &ids, groups, 2.0, &mut out[0]);
        embedding_quantized(&q4, &ids, groups, 2.0, &mut out[1]);
        for (out, tolerance) in out.iter().zip([0.01, 0.26]) {
            for (id, row) in ids.iter().zip(out.chunks(width)) {
                for (d, x) in row.iter().enumerate() {
                    let wanted = table[*id as usize * width + d] * 2.0;
                    assert!((x - wanted).abs() < tolerance, "{id}, {d}: {x}, wanted {wanted}");
                }
            }
        }
    }
}
