//! Where the quads of a weight lie: tile by tile, or in panels, where weights
//! of the same k of many outputs are neighbours, so that k whose activations
//! are zeros need not be read.
//!
//! A panel is [`PANEL_TILES`] tiles, the last one what is left. Each group of k
//! has the scales of its tiles, then for each piece of four k the quads of its
//! tiles.

use crate::quantized::{PIECES, Quad, WeightGroup};

/// Tiles of a panel: 512 bytes of four bits follow each other for a piece.
pub const PANEL_TILES: usize = 32;

/// The order of a weight's quads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[F / 8][groups]`, each group as a [`WeightGroup`].
    Tiles,
    /// `[panels][groups]`.
    Panels,
}

/// Finds the quads of a matrix of so many tiles, `groups` of each output.
#[derive(Clone, Copy)]
pub struct Places {
    pub layout: Layout,
    pub tiles: usize,
    pub groups: usize,
}

impl Places {
    /// The place of each quad of a group of a tile: the first, and how to go
    /// on from it.
    #[inline(always)]
    pub fn of<W: WeightGroup>(self, tile: usize, group: usize) -> impl Fn(usize) -> usize {
        let (first, width, number) = match self.layout {
            Layout::Tiles => (tile * self.groups + group, 1, 0),
            Layout::Panels => {
                let (panel, number) = (tile / PANEL_TILES * PANEL_TILES, tile % PANEL_TILES);
                let width = PANEL_TILES.min(self.tiles - panel);
                (panel * self.groups + group * width, width, number)
            }
        };
        move |quad| first * W::QUADS + place_in_panel::<W>(width, number, quad)
    }
}

/// The place of a quad of a tile's group among those of its panel's.
#[inline(always)]
fn place_in_panel<W: WeightGroup>(width: usize, tile: usize, quad: usize) -> usize {
    if quad == 0 {
        return tile;
    }
    let of_piece = (W::QUADS - 1) / PIECES;
    let (piece, part) = ((quad - 1) / of_piece, (quad - 1) % of_piece);
    width + (piece * width + tile) * of_piece + part
}

/// Brings a tile of a panel of `width` tiles together in `room`.
pub fn gather_tile<W: WeightGroup>(panel: &[Quad], width: usize, tile: usize, room: &mut [W]) {
    for (group, out) in panel.chunks_exact(width * W::QUADS).zip(room) {
        for (quad, out) in W::as_quads_mut(core::slice::from_mut(out)).iter_mut().enumerate() {
            *out = group[place_in_panel::<W>(width, tile, quad)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantized::{Q4Group, Q8Group};

    fn check<W: WeightGroup>() {
        for tiles in [1, 31, 32, 33, 70] {
            let places = Places { layout: Layout::Panels, tiles, groups: 3 };
            let mut seen = vec![false; tiles * 3 * W::QUADS];
            for tile in 0..tiles {
                for group in 0..3 {
                    let place = places.of::<W>(tile, group);
                    for quad in 0..W::QUADS {
                        assert!(!core::mem::replace(&mut seen[place(quad)], true));
                    }
                }
            }
            assert!(seen.iter().all(|seen| *seen));
        }
    }

    #[test]
    fn every_quad_has_a_place_of_its_own() {
        check::<Q4Group>();
        check::<Q8Group>();
    }
}
