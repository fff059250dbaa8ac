//! `out = gelu(gate) * (x w^T)` for one row with quantised weights; tiles whose
//! gates are all zero are not read.

use crate::elementwise::zip;
use crate::math::gelu;
use crate::matmul_quantized::Activations;
use crate::rows::RowsMut;
use crate::tile::TILE;

/// Consecutive tiles, `groups` of each output, with the gates of as many
/// outputs as `out` has.
pub fn gated_matmul<W>(
    x: Activations,
    groups: usize,
    tiles: &[W],
    gate: &[f32],
    matmul: fn(Activations, usize, &[W], &mut RowsMut),
    out: &mut [f32],
) {
    let parts = gate.chunks(TILE).zip(out.chunks_mut(TILE));
    for (tile, (gate, out)) in tiles.chunks_exact(groups).zip(parts) {
        // NaN is not zero.
        if gate.iter().all(|x| *x == 0.0) {
            out.fill(0.0);
            continue;
        }
        let mut up = [0.0; TILE];
        let up = &mut up[..out.len()];
        matmul(x, groups, tile, &mut RowsMut::of_row(up));
        zip(gate, up, out, |gate, up| gelu(gate) * up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack_quantized::pack_q4;
    use crate::panel::Layout;
    use crate::products::matmul_q4;
    use crate::quantize_rows::quantize_row;
    use crate::quantized::{GROUP, Q4Group, ROW_QUADS};
    use crate::testing::random;

    #[test]
    fn gives_the_product_where_a_gate_is_open() {
        let (k, outputs) = (64, 29);
        let groups = k / GROUP;
        let mut tiles = vec![Q4Group::default(); 4 * groups];
        assert!(pack_q4(&random(outputs * k, 1), &mut tiles, 0, groups, Layout::Tiles));
        let mut x = vec![[0; 16]; groups * ROW_QUADS];
        quantize_row(&random(k, 2), &mut x);
        let x = Activations { blocks: &[], alone: &x };
        let mut up = vec![0.0; outputs];
        matmul_q4(x, groups, &tiles, &mut RowsMut::of_row(&mut up));
        let mut gate = vec![0.0; outputs];
        for open in [vec![], vec![0], vec![7, 8, 28], vec![16, 17]] {
            gate.fill(0.0);
            open.iter().for_each(|i| gate[*i] = 0.5 + *i as f32);
            let mut wanted = vec![0.0; outputs];
            zip(&gate, &up, &mut wanted, |gate, up| gelu(gate) * up);
            let mut found = vec![f32::NAN; outputs];
            gated_matmul(x, groups, &tiles, &gate, matmul_q4, &mut found);
            assert_eq!(found, wanted);
        }
        let mut found = vec![0.0; outputs];
        gate.fill(f32::NAN);
        gated_matmul(x, groups, &tiles, &gate, matmul_q4, &mut found);
        assert!(found.iter().all(|x| x.is_nan()));
    }
}
