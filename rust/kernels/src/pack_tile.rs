//! Whole tiles of quantised weights: eight rows at a time, so that each quad is
//! written once.

use crate::bits::Bits;
use crate::panel::{Layout, Places};
use crate::quantize_weights::Quantized;
use crate::quantized::{Q4Group, Q8Group, Quad, WeightGroup};
use crate::scale::scale_from_half;
use crate::tile::TILE;

/// Outputs of half a tile.
const HALF: usize = TILE / 2;

/// The tile to write, and how its matrix lies.
#[derive(Clone, Copy)]
pub struct To {
    pub tile: usize,
    /// Groups of each output.
    pub groups: usize,
    pub layout: Layout,
}

/// Packs a tile of what `group` gives for each row and group. False when a
/// scale is too large or no number.
#[inline(always)]
pub fn pack_q8_tile(
    group: impl Fn(usize, usize) -> Quantized,
    tiles: &mut [Q8Group],
    to: To,
) -> bool {
    pack_tile(group, tiles, to, |rows| {
        let mut quads = [Bits::splat(0); 16];
        for half in 0..2 {
            for outputs in 0..2 {
                let bytes = core::array::from_fn(|r| rows[HALF * outputs + r][half]);
                for (piece, bits) in Bits::transpose(bytes).into_iter().enumerate() {
                    quads[2 * (4 * half + piece) + outputs] = bits;
                }
            }
        }
        quads
    })
}

/// As [`pack_q8_tile`], with four bits.
#[inline(always)]
pub fn pack_q4_tile(
    group: impl Fn(usize, usize) -> Quantized,
    tiles: &mut [Q4Group],
    to: To,
) -> bool {
    pack_tile(group, tiles, to, |rows| {
        let mut quads = [Bits::splat(0); 8];
        for half in 0..2 {
            let bytes =
                core::array::from_fn(|r| Bits::join_nibbles(rows[r][half], rows[HALF + r][half]));
            quads[4 * half..][..4].copy_from_slice(&Bits::transpose(bytes));
        }
        quads
    })
}

#[inline(always)]
fn pack_tile<W: WeightGroup, const QUADS: usize>(
    group: impl Fn(usize, usize) -> Quantized,
    tiles: &mut [W],
    To { tile, groups, layout }: To,
    quads_of: impl Fn([[Bits; 2]; TILE]) -> [Bits; QUADS],
) -> bool {
    let places = Places { layout, tiles: tiles.len() / groups, groups };
    let to = W::as_quads_mut(tiles);
    let mut good = true;
    // In rows a lane is a group of the same output.
    let (outputs, step) = if layout == Layout::Rows { (TILE, TILE) } else { (1, 1) };
    for row in 0..outputs {
        for k in (0..groups).step_by(step) {
            let lanes: [Quantized; TILE] = core::array::from_fn(|lane| {
                let (row, k) = if step == 1 { (lane, k) } else { (row, k + lane) };
                if k < groups { group(row, k) } else { (0, [Bits::splat(0); 2]) }
            });
            let (_, place) = places.of::<W>(tile * TILE + row, k);
            let mut scales = Quad::default();
            for (scale, (half, _)) in scales.as_chunks_mut().0.iter_mut().zip(&lanes) {
                let found = scale_from_half(*half);
                good &= found.is_some();
                *scale = found.unwrap_or(0).to_le_bytes();
            }
            to[place(0)] = scales;
            for (quad, bits) in (1..).zip(quads_of(lanes.map(|(_, bits)| bits))) {
                bits.store(&mut to[place(quad)]);
            }
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack_quantized::{pack_q4_blocks, pack_q8_blocks};
    use crate::quantize_weights::{Q4_BLOCK, Q8_BLOCK, of_q4_block, of_q8_block};
    use crate::testing::random;

    /// Rows of blocks with any bytes and scales that are numbers.
    fn blocks(size: usize, count: usize, seed: u64) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            random(size * count, seed).iter().map(|x| (x * 1e6) as i32 as u8).collect();
        for (i, block) in bytes.chunks_mut(size).enumerate() {
            block[..2].copy_from_slice(&(0x2000 + i as u16).to_le_bytes());
        }
        bytes
    }

    #[test]
    fn tiles_are_those_of_row_after_row() {
        let groups = 3;
        for layout in [Layout::Tiles, Layout::Panels, Layout::Rows] {
            let size = if layout == Layout::Rows { 3 * TILE } else { 3 * groups };
            let count = 3 * TILE * groups;
            let (q8, q4) = (blocks(Q8_BLOCK, count, 1), blocks(Q4_BLOCK, count, 2));
            let mut wanted = (vec![Q8Group::default(); size], vec![Q4Group::default(); size]);
            assert!(pack_q8_blocks(&q8, &mut wanted.0, 0, groups, layout));
            assert!(pack_q4_blocks(&q4, &mut wanted.1, 0, groups, layout));
            let mut found = (vec![[[255; 16]; 17]; size], vec![[[255; 16]; 9]; size]);
            for tile in [2, 0, 1] {
                let to = To { tile, groups, layout };
                let block = |row, group| (tile * TILE + row) * groups + group;
                let (q8, q4) = (q8.as_chunks().0, q4.as_chunks().0);
                let row = |row, group| of_q8_block(&q8[block(row, group)]);
                assert!(pack_q8_tile(row, &mut found.0, to));
                let row = |row, group| of_q4_block(&q4[block(row, group)]);
                assert!(pack_q4_tile(row, &mut found.1, to));
            }
            assert!(found == wanted);
        }
    }

    #[test]
    fn a_scale_that_is_no_number_is_told() {
        let mut rows = blocks(Q4_BLOCK, TILE, 3);
        let mut tile = [Q4Group::default()];
        let to = To { tile: 0, groups: 1, layout: Layout::Tiles };
        for good in [true, false] {
            let blocks = rows.as_chunks().0;
            assert_eq!(pack_q4_tile(|row, _| of_q4_block(&blocks[row]), &mut tile, to), good);
            rows[5 * Q4_BLOCK..][..2].copy_from_slice(&0x7e00u16.to_le_bytes());
        }
    }
}
