//! `out = gelu(gate) * (x w^T)` for one row with quantised weights in rows;
//! outputs whose gates are zero are not read.

use crate::elementwise::zip;
use crate::math::gelu;
use crate::matmul_rows::{LaneGroups, OUTPUTS};

/// Products with the weights of some outputs.
pub type MultiplyRows<W> = fn(&[LaneGroups], [&[W]; OUTPUTS]) -> [f32; OUTPUTS];

/// Outputs of as many gates, `blocks` groups of each in `rows`.
pub fn gated_matmul<W>(
    x: &[LaneGroups],
    blocks: usize,
    rows: &[W],
    gate: &[f32],
    multiply: MultiplyRows<W>,
    out: &mut [f32],
) {
    out.fill(0.0);
    // NaN is not zero.
    let mut open = gate.iter().enumerate().filter(|(_, x)| **x != 0.0);
    while let Some((first, x0)) = open.next() {
        // Where there are fewer, the first stands in for the others.
        let (mut places, mut gates) = ([first; OUTPUTS], [*x0; OUTPUTS]);
        for (i, (place, x)) in (1..OUTPUTS).zip(open.by_ref()) {
            (places[i], gates[i]) = (place, *x);
        }
        let up = multiply(x, places.map(|i| &rows[i * blocks..][..blocks]));
        let mut gated = [0.0; OUTPUTS];
        zip(&gates, &up, &mut gated, |gate, up| gelu(gate) * up);
        for (i, x) in places.into_iter().zip(gated) {
            out[i] = x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matmul_quantized::{Activations, multiply};
    use crate::matmul_rows::groups_as_lanes;
    use crate::pack_quantized::pack_q4;
    use crate::panel::Layout;
    use crate::products::rows_q4;
    use crate::quantize_rows::quantize_row;
    use crate::quantized::{BLOCK_QUADS, GROUP, Q4Group, ROW_QUADS};
    use crate::rows::RowsMut;
    use crate::testing::random;

    #[test]
    fn gives_the_product_where_a_gate_is_open() {
        let (k, outputs) = (64, 29);
        let groups = k / GROUP;
        let mut tiles = vec![Q4Group::default(); 4 * groups];
        let mut rows = vec![Q4Group::default(); outputs];
        let w = random(outputs * k, 1);
        assert!(pack_q4(&w, &mut tiles, 0, groups, Layout::Tiles));
        assert!(pack_q4(&w, &mut rows, 0, groups, Layout::Rows));
        let mut x = vec![[0; 16]; groups * ROW_QUADS];
        quantize_row(&random(k, 2), &mut x);
        let mut up = vec![0.0; outputs];
        let one = Activations { blocks: &[], alone: &x };
        multiply::<crate::form::Wide, _>(one, groups, &tiles, &mut RowsMut::of_row(&mut up));
        let mut lanes = vec![[[0; 16]; BLOCK_QUADS]; 2];
        groups_as_lanes(x.as_chunks().0, &mut lanes);
        let mut gate = vec![0.0; outputs];
        for open in [vec![], vec![0], vec![7, 8, 28], vec![16, 17, 18, 19, 20], vec![0, 1, 2, 3]] {
            gate.fill(0.0);
            open.iter().for_each(|i| gate[*i] = 0.5 + *i as f32);
            let mut wanted = vec![0.0; outputs];
            zip(&gate, &up, &mut wanted, |gate, up| gelu(gate) * up);
            let mut found = vec![f32::NAN; outputs];
            gated_matmul(&lanes, 1, &rows, &gate, rows_q4, &mut found);
            assert_eq!(found, wanted);
        }
        let mut found = vec![0.0; outputs];
        gate.fill(f32::NAN);
        gated_matmul(&lanes, 1, &rows, &gate, rows_q4, &mut found);
        assert!(found.iter().all(|x| x.is_nan()));
    }
}
