//! `out = x w^T` with weights in panels. For one row, pieces of four k whose
//! activations are zeros are left out: they would add zero to exact sums. So
//! the result is that of [`crate::matmul_quantized`], bit for bit.

use crate::bits::Bits;
use crate::form::Form;
use crate::matmul_quantized::{scale_add, store};
use crate::panel::PANEL_TILES;
use crate::quantized::{PIECES, Quad, ROW_QUADS, WeightGroup};
use crate::simd::F32x4;
use crate::tile::{Sums, TILE};

/// A panel of `tiles` tiles, of which those from `first` on are wanted.
#[derive(Clone, Copy)]
pub struct PanelPart<'a> {
    pub quads: &'a [Quad],
    pub tiles: usize,
    pub first: usize,
}

/// One row with as many outputs of a panel as `out` has.
#[inline(never)]
pub fn multiply_panel<F: Form, W: WeightGroup>(
    x: &[Quad],
    PanelPart { quads, tiles, first }: PanelPart,
    out: &mut [f32],
) {
    let count = out.len().div_ceil(TILE);
    let mut totals = [[F32x4::zero(); 2]; PANEL_TILES];
    let totals = &mut totals[..count];
    let groups = quads.chunks_exact(tiles * W::QUADS);
    for (weights, [head, bytes @ ..]) in groups.zip(x.as_chunks::<ROW_QUADS>().0) {
        let mask = u32::from_le_bytes(head.as_chunks().0[2]) & ((1 << PIECES) - 1);
        let (scales, pieces) = weights.split_at(tiles);
        let scales = &scales[first..][..count];
        let pieces = &W::as_pieces(pieces)[first..];
        let group = PanelGroup::<W> { mask, head, bytes, scales, pieces, tiles };
        match mask.count_ones() {
            0 => {}
            1 => group.add::<F, 1>(totals),
            2 => group.add::<F, 2>(totals),
            3 | 4 => group.add::<F, 4>(totals),
            _ => group.add::<F, PIECES>(totals),
        }
    }
    for (sums, out) in totals.iter().zip(out.chunks_mut(TILE)) {
        store(sums, out);
    }
}

/// A group of k whose activations are not all zeros: they, and the weights of
/// the wanted tiles.
struct PanelGroup<'a, W: WeightGroup> {
    /// A bit for each piece that is not all zeros.
    mask: u32,
    head: &'a Quad,
    bytes: &'a [Quad; 2],
    scales: &'a [Quad],
    /// Those of a piece are `tiles` after those of the one before.
    pieces: &'a [W::Piece],
    tiles: usize,
}

impl<W: WeightGroup> PanelGroup<'_, W> {
    /// Adds the products of the pieces in the mask, at most N.
    #[inline(always)]
    fn add<F: Form, const N: usize>(&self, totals: &mut [Sums]) {
        let (all, _) = self.bytes.as_flattened().as_chunks();
        let head = Bits::load(self.head);
        let start = W::start::<F>(F::row_start(head));
        let scale = head.as_f32().splat_lane::<0>();
        // Where there are fewer than N, zeros meet the first piece.
        let mut x = [F::quads(Bits::splat(0)); N];
        let mut pieces = [self.pieces; N];
        let mut rest = self.mask;
        for (x, piece) in x.iter_mut().zip(&mut pieces) {
            if rest == 0 {
                break;
            }
            let i = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            *x = F::quads(Bits::splat(i32::from_le_bytes(all[i])));
            *piece = &self.pieces[i * self.tiles..];
        }
        let pieces = pieces.map(|piece| &piece[..totals.len()]);
        for (tile, (totals, scales)) in totals.iter_mut().zip(self.scales).enumerate() {
            let mut sums = [start; 2];
            for (x, piece) in x.iter().zip(pieces) {
                let [low, high] = W::piece::<F>(&piece[tile]);
                sums = [F::multiply_add(sums[0], *x, low), F::multiply_add(sums[1], *x, high)];
            }
            scale_add::<F>(totals, sums, Bits::load(scales).to_scales(), scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Wide;
    use crate::form_relaxed::{Dots, Pairs};
    use crate::matmul_quantized::{Activations, multiply};
    use crate::pack_quantized::{pack_q4, pack_q8};
    use crate::panel::{Layout, gather_tile, place_in_pairs};
    use crate::quantize_rows::quantize_row;
    use crate::quantized::{GROUP, Q4Group, Q8Group};
    use crate::rows::RowsMut;
    use crate::testing::random;

    type Pack<W> = fn(&[f32], &mut [W], usize, usize, Layout) -> bool;
    type Run = fn(&[Quad], PanelPart, &mut [f32]);

    /// Numbers of which `active` in a thousand are not zero.
    fn sparse(n: usize, active: u32) -> Vec<f32> {
        let kept = |x: &f32| (x + 1.0) * 500.0 < active as f32;
        random(n, 3)
            .iter()
            .zip(random(n, 4))
            .map(|(x, k)| if kept(&k) { *x } else { 0.0 })
            .collect()
    }

    fn packed<W: WeightGroup>(w: &[f32], k: usize, layout: Layout, pack: Pack<W>) -> Vec<W> {
        let groups = k / GROUP;
        let mut tiles = vec![W::default(); (w.len() / k).div_ceil(TILE) * groups];
        // In two parts, as a file may come.
        let (early, late) = w.split_at(w.len() / k / 2 * k);
        assert!(pack(early, &mut tiles, 0, groups, layout));
        assert!(pack(late, &mut tiles, early.len() / GROUP, groups, layout));
        tiles
    }

    fn check<W: WeightGroup + PartialEq + core::fmt::Debug>(pack: Pack<W>, forms: &[Run]) {
        for (k, outputs) in [(32, 1), (64, 8), (96, 127), (256, 1030), (64, 2300), (1024, 70)] {
            let w = random(outputs * k, 2);
            let groups = k / GROUP;
            let tiles = packed(&w, k, Layout::Tiles, pack);
            let panels = packed(&w, k, Layout::Panels, pack);
            let width = PANEL_TILES * groups;
            for (tiles, panel) in tiles.chunks(width).zip(panels.chunks(width)) {
                let count = tiles.len() / groups;
                let mut room = vec![W::default(); groups];
                for tile in 0..count {
                    gather_tile(W::as_quads(panel), count, tile, &mut room);
                    for (group, found) in room.iter().enumerate() {
                        let wanted = &tiles[place_in_pairs(count, groups, tile, group)];
                        assert_eq!(found, wanted, "tile {tile} of {k}x{outputs}");
                    }
                }
            }
            for active in [0, 20, 50, 200, 1000] {
                let mut x = vec![[0; 16]; groups * ROW_QUADS];
                quantize_row(&sparse(k, active), &mut x);
                let mut wanted = vec![f32::NAN; outputs];
                let rows = &mut RowsMut::new(&mut wanted, outputs, 0, outputs);
                let one = Activations { blocks: &[], alone: &x };
                multiply::<Wide, W>(one, groups, &tiles, rows);
                for (form, part) in forms.iter().flat_map(|f| [(f, 3), (f, PANEL_TILES)]) {
                    let mut found = vec![f32::NAN; outputs];
                    let outs = found.chunks_mut(PANEL_TILES * TILE);
                    for (out, panel) in outs.zip(panels.chunks(width)) {
                        let (quads, tiles) = (W::as_quads(panel), panel.len() / groups);
                        let firsts = (0..).step_by(part);
                        for (out, first) in out.chunks_mut(part * TILE).zip(firsts) {
                            form(&x, PanelPart { quads, tiles, first }, out);
                        }
                    }
                    assert_eq!(found, wanted, "{k}x{outputs}, {active}");
                }
            }
        }
    }

    #[test]
    fn leaving_out_zeros_changes_no_bit_of_products_with_four_bits() {
        check::<Q4Group>(
            pack_q4,
            &[
                multiply_panel::<Wide, Q4Group>,
                multiply_panel::<Pairs, Q4Group>,
                multiply_panel::<Dots<false>, Q4Group>,
            ],
        );
    }

    #[test]
    fn leaving_out_zeros_changes_no_bit_of_products_with_eight_bits() {
        check::<Q8Group>(
            pack_q8,
            &[
                multiply_panel::<Wide, Q8Group>,
                multiply_panel::<Dots<false>, Q8Group>,
                multiply_panel::<Dots<true>, Q8Group>,
            ],
        );
    }

    #[test]
    fn nan_reaches_the_result() {
        let mut tiles = vec![Q4Group::default(); 2];
        assert!(pack_q4(&random(64, 1), &mut tiles, 0, 2, Layout::Panels));
        let mut row = [0.0; 64];
        row[40] = f32::NAN;
        let mut x = [[0; 16]; 2 * ROW_QUADS];
        quantize_row(&row, &mut x);
        let mut out = [0.0];
        let panel = PanelPart { quads: Q4Group::as_quads(&tiles), tiles: 1, first: 0 };
        multiply_panel::<Wide, Q4Group>(&x, panel, &mut out);
        assert!(out[0].is_nan());
    }
}
