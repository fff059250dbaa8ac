//! Where the quads of a weight lie: in pairs of tiles, which a row of
//! activations meets together, or in panels, where weights of the same k of
//! many outputs are neighbours, so that k whose activations are zeros need not
//! be read, or output by output, so that outputs that nobody wants need not.
//!
//! A panel is [`PANEL_TILES`] tiles, the last one what is left. Each group of k
//! has the scales of its tiles, then for each piece of four k the quads of its
//! tiles.

use crate::quantized::{PIECES, Quad, WeightGroup};
use crate::tile::TILE;

/// Tiles of a panel: 2 KB of four bits follow each other for a piece, long enough
/// that processors see a stream and fetch ahead.
pub const PANEL_TILES: usize = 128;

/// The order of a weight's quads. In rows, the lanes of a [`WeightGroup`] are
/// eight groups of k of one output instead of one group of eight outputs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[F / 16][groups][2]`, each group as a [`WeightGroup`]; the last tile
    /// alone when it would be alone in a pair.
    Tiles,
    /// `[panels][groups]`.
    Panels,
    /// `[F][groups / 8]`, rounded up.
    Rows,
}

/// Finds the quads of a matrix of so many tiles, `groups` of each output.
#[derive(Clone, Copy)]
pub struct Places {
    pub layout: Layout,
    pub tiles: usize,
    pub groups: usize,
}

impl Places {
    /// Where a group of an output lies: its lane, and the place of each quad.
    #[inline(always)]
    pub fn of<W: WeightGroup>(
        self,
        output: usize,
        group: usize,
    ) -> (usize, impl Fn(usize) -> usize) {
        let (tile, mut lane) = (output / TILE, output % TILE);
        let (first, width, number) = match self.layout {
            Layout::Tiles => (place_in_pairs(self.tiles, self.groups, tile, group), 1, 0),
            Layout::Panels => {
                let (panel, number) = (tile / PANEL_TILES * PANEL_TILES, tile % PANEL_TILES);
                let width = PANEL_TILES.min(self.tiles - panel);
                (panel * self.groups + group * width, width, number)
            }
            Layout::Rows => {
                lane = group % TILE;
                (output * self.groups.div_ceil(TILE) + group / TILE, 1, 0)
            }
        };
        (lane, move |quad| first * W::QUADS + place_in_panel::<W>(width, number, quad))
    }
}

/// The place of a group of one of so many tiles in pairs.
#[inline(always)]
pub fn place_in_pairs(tiles: usize, groups: usize, tile: usize, group: usize) -> usize {
    let first = tile / 2 * 2;
    let width = (tiles - first).min(2);
    first * groups + group * width + tile % 2
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
        let counts = [1, 2, 127, 128, 129, 270];
        for (tiles, layout) in
            counts.iter().flat_map(|n| [(*n, Layout::Tiles), (*n, Layout::Panels)])
        {
            let places = Places { layout, tiles, groups: 3 };
            let mut seen = vec![false; tiles * 3 * W::QUADS];
            for tile in 0..tiles {
                for group in 0..3 {
                    let (lane, place) = places.of::<W>(tile * TILE, group);
                    assert_eq!(lane, 0);
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
