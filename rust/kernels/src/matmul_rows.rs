//! `out = x w^T` for one row and chosen outputs, whose weights lie output by
//! output with groups of k as lanes. Groups are added in the order of
//! [`crate::matmul_quantized`], so the result is the same, bit for bit.

use crate::bits::Bits;
use crate::form::Form;
use crate::quantized::{BLOCK_QUADS, PIECES, Quad, ROW_QUADS, WeightGroup};
use crate::simd::{F32x4, LANES};
use crate::tile::TILE;

/// Outputs that meet the activations together.
pub const OUTPUTS: usize = 4;

/// Groups of a row side by side: as four rows, with groups instead of rows.
pub type LaneGroups = [Quad; BLOCK_QUADS];

/// Puts the groups of a row alone side by side; `out` has two for each
/// [`WeightGroup`] of an output, zeros where groups are missing.
pub fn groups_as_lanes(x: &[[Quad; ROW_QUADS]], out: &mut [LaneGroups]) {
    for (i, out) in out.iter_mut().enumerate() {
        let groups: [_; LANES] =
            core::array::from_fn(|lane| x.get(LANES * i + lane).unwrap_or(&[[0; 16]; ROW_QUADS]));
        let [scales, starts, _, _] = Bits::transpose(groups.map(|group| Bits::load(&group[0])));
        scales.store(&mut out[0]);
        starts.store(&mut out[1]);
        let halves =
            [1, 2].map(|half| Bits::transpose(groups.map(|group| Bits::load(&group[half]))));
        for (quad, bytes) in out[2..].iter_mut().zip(halves.as_flattened()) {
            bytes.store(quad);
        }
    }
}

/// Multiplies by the groups of each output.
#[inline(never)]
pub fn multiply_rows<F: Form, W: WeightGroup>(
    x: &[LaneGroups],
    w: [&[W]; OUTPUTS],
) -> [f32; OUTPUTS] {
    // Unrolled, there would be more values than registers: the number of pieces
    // must look unknown.
    let count = core::hint::black_box(PIECES).min(PIECES);
    let mut totals = F32x4::zero();
    for (i, x) in x.as_chunks::<2>().0.iter().enumerate() {
        let w = w.map(|w| w[i].split());
        let starts = x.each_ref().map(|x| W::start::<F>(F::block_start(Bits::load(&x[1]))));
        let mut sums = [starts; OUTPUTS];
        for piece in 0..count {
            let x = x.each_ref().map(|x| F::quads(Bits::load(&x[2 + piece])));
            for (sums, (_, pieces)) in sums.iter_mut().zip(w) {
                let w = W::piece::<F>(&pieces[piece]);
                *sums =
                    [F::multiply_add(sums[0], x[0], w[0]), F::multiply_add(sums[1], x[1], w[1])];
            }
        }
        let scales = w.map(|(scales, _)| Bits::load(scales).to_scales());
        for half in 0..TILE / LANES {
            let x_scales = Bits::load(&x[half][0]).as_f32();
            let products = core::array::from_fn(|output| {
                F::finish(sums[output][half]).to_f32() * (scales[output][half] * x_scales)
            });
            for group in F32x4::transpose(products) {
                totals = totals + group;
            }
        }
    }
    totals.lanes()
}

/// Brings a tile of eight outputs together in `room`, whose groups are whole
/// lanes; `rows` has as many groups for each output that is there.
pub fn gather_rows_tile<W: WeightGroup>(rows: &[W], blocks: usize, room: &mut [W]) {
    let missing = W::default();
    for (i, out) in room.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
        let groups = core::array::from_fn(|row| rows.get(row * blocks + i).unwrap_or(&missing));
        *out = W::transpose(groups);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Wide;
    use crate::form_relaxed::{Dots, Pairs};
    use crate::matmul_quantized::{Activations, multiply};
    use crate::pack_quantized::{pack_q4, pack_q8};
    use crate::panel::{Layout, place_in_pairs};
    use crate::quantize_rows::quantize_row;
    use crate::quantized::{GROUP, Q4Group, Q8Group};
    use crate::rows::RowsMut;
    use crate::testing::random;

    type Pack<W> = fn(&[f32], &mut [W], usize, usize, Layout) -> bool;
    type Run<W> = fn(&[LaneGroups], [&[W]; OUTPUTS]) -> [f32; OUTPUTS];

    fn check<W: WeightGroup + PartialEq + core::fmt::Debug>(pack: Pack<W>, forms: &[Run<W>]) {
        for (k, outputs) in [(32, 1), (96, 13), (256, 8), (1024, 21), (320, 16)] {
            let (w, row) = (random(outputs * k, 2), random(k, 3));
            let groups = k / GROUP;
            let (count, blocks) = (outputs.div_ceil(TILE), groups.div_ceil(TILE));
            let mut tiles = vec![W::default(); count * groups];
            let mut rows = vec![W::default(); outputs * blocks];
            assert!(pack(&w, &mut tiles, 0, groups, Layout::Tiles));
            assert!(pack(&w, &mut rows, 0, groups, Layout::Rows));
            for (tile, rows) in rows.chunks(TILE * blocks).enumerate() {
                let mut room = vec![W::default(); blocks * TILE];
                gather_rows_tile(rows, blocks, &mut room);
                for (group, found) in room[..groups].iter().enumerate() {
                    let wanted = &tiles[place_in_pairs(count, groups, tile, group)];
                    assert_eq!(found, wanted, "tile {tile} of {k}x{outputs}");
                }
            }
            let mut x = vec![[0; 16]; groups * ROW_QUADS];
            quantize_row(&row, &mut x);
            let mut wanted = vec![f32::NAN; outputs];
            let one = Activations { blocks: &[], alone: &x };
            multiply::<Wide, W>(one, groups, &tiles, &mut RowsMut::of_row(&mut wanted));
            let mut lanes = vec![[[0; 16]; BLOCK_QUADS]; 2 * blocks];
            groups_as_lanes(x.as_chunks().0, &mut lanes);
            for form in forms {
                for output in 0..outputs {
                    let picked = [output, 0, outputs / 2, outputs - 1];
                    let found = form(&lanes, picked.map(|i| &rows[i * blocks..][..blocks]));
                    assert_eq!(found, picked.map(|i| wanted[i]), "{k}x{outputs}");
                }
            }
        }
    }

    #[test]
    fn chosen_outputs_have_the_same_bits_with_four_bits() {
        check::<Q4Group>(
            pack_q4,
            &[multiply_rows::<Wide, _>, multiply_rows::<Pairs, _>, multiply_rows::<Dots<false>, _>],
        );
    }

    #[test]
    fn chosen_outputs_have_the_same_bits_with_eight_bits() {
        check::<Q8Group>(
            pack_q8,
            &[
                multiply_rows::<Wide, _>,
                multiply_rows::<Dots<false>, _>,
                multiply_rows::<Dots<true>, _>,
            ],
        );
    }
}
