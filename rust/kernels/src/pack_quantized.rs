//! Runs of groups of weights, row after row, to quantised tiles.

use crate::panel::{Layout, Places};
use crate::quantize_weights::{
    Quantized, bytes_of, of_q4_block, of_q8_block, quantize_q4, quantize_q8,
};
use crate::quantized::{GROUP, Q4Group, Q8Group, WeightGroup};
use crate::scale::scale_from_half;

/// Puts numbers into the tiles of a matrix, in the order of `layout`, from group
/// `first` of the matrix on, counted row by row. False when one is not finite or too large.
pub fn pack_q8(
    from: &[f32],
    tiles: &mut [Q8Group],
    first: usize,
    groups: usize,
    layout: Layout,
) -> bool {
    pack(from.as_chunks().0.iter().map(quantize_q8), tiles, first, Order::rows(groups, layout))
}

/// As [`pack_q8`], with four bits.
pub fn pack_q4(
    from: &[f32],
    tiles: &mut [Q4Group],
    first: usize,
    groups: usize,
    layout: Layout,
) -> bool {
    pack(from.as_chunks().0.iter().map(quantize_q4), tiles, first, Order::rows(groups, layout))
}

/// As [`pack_q8`], of filters `[F, C, taps]` whose groups are 32 channels of a
/// tap, into the order `[F, taps, C]`; `from` is whole runs of 32 channels.
pub fn pack_q8_filters(
    from: &[f32],
    tiles: &mut [Q8Group],
    first: usize,
    groups: usize,
    taps: usize,
) -> bool {
    let order = Order { groups, taps, layout: Layout::Tiles };
    pack(filter_groups(from, taps).map(|x| quantize_q8(&x)), tiles, first, order)
}

/// As [`pack_q8_filters`], with four bits.
pub fn pack_q4_filters(
    from: &[f32],
    tiles: &mut [Q4Group],
    first: usize,
    groups: usize,
    taps: usize,
) -> bool {
    let order = Order { groups, taps, layout: Layout::Tiles };
    pack(filter_groups(from, taps).map(|x| quantize_q4(&x)), tiles, first, order)
}

fn filter_groups(from: &[f32], taps: usize) -> impl Iterator<Item = [f32; GROUP]> {
    from.chunks_exact(GROUP * taps).flat_map(move |run| {
        (0..taps).map(move |tap| core::array::from_fn(|c| run[c * taps + tap]))
    })
}

/// As [`pack_q8`], from blocks of a file.
pub fn pack_q8_blocks(
    from: &[u8],
    tiles: &mut [Q8Group],
    first: usize,
    groups: usize,
    layout: Layout,
) -> bool {
    let blocks = from.as_chunks().0.iter().map(of_q8_block);
    pack(blocks, tiles, first, Order::rows(groups, layout))
}

/// As [`pack_q8_blocks`], with four bits: the first half of a group in the low
/// halves of the bytes, the second in the high ones.
pub fn pack_q4_blocks(
    from: &[u8],
    tiles: &mut [Q4Group],
    first: usize,
    groups: usize,
    layout: Layout,
) -> bool {
    let blocks = from.as_chunks().0.iter().map(of_q4_block);
    pack(blocks, tiles, first, Order::rows(groups, layout))
}

/// In which order groups come, and where they go.
#[derive(Clone, Copy)]
struct Order {
    /// Groups of an output.
    groups: usize,
    /// Places of a filter, each of which comes with 32 channels at a time and
    /// goes to where its other channels are.
    taps: usize,
    layout: Layout,
}

impl Order {
    fn rows(groups: usize, layout: Layout) -> Self {
        Self { groups, taps: 1, layout }
    }
}

#[inline(always)]
fn pack<W: WeightGroup>(
    blocks: impl Iterator<Item = Quantized>,
    tiles: &mut [W],
    first: usize,
    Order { groups, taps, layout }: Order,
) -> bool {
    let mut good = true;
    let places = Places { layout, tiles: tiles.len() / groups, groups };
    let quads = W::as_quads_mut(tiles);
    let (mut row, mut group) = (first / groups, first % groups);
    for (half, quantized) in blocks {
        let bytes = bytes_of(quantized);
        let scale = scale_from_half(half);
        good &= scale.is_some();
        let at = if taps == 1 { group } else { group % taps * (groups / taps) + group / taps };
        let (lane, place) = places.of::<W>(row, at);
        W::spread(lane, scale.unwrap_or(0), &bytes, |quad, lane, mask, bits| {
            let (lanes, _) = quads[place(quad)].as_chunks_mut();
            let kept = u32::from_le_bytes(lanes[lane]) & !mask;
            lanes[lane] = (kept | bits).to_le_bytes();
        });
        group += 1;
        if group == groups {
            (row, group) = (row + 1, 0);
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::place_in_pairs;
    use crate::quantize_weights::{Q4_BLOCK, Q8_BLOCK};
    use crate::scale::{SCALE_UNIT, half_from_f32, scale_to_f32};
    use crate::testing::gaussian;
    use crate::tile::TILE;

    const TILES: Layout = Layout::Tiles;

    fn values<W: WeightGroup>(tiles: &[W], outputs: usize, groups: usize) -> Vec<f32> {
        let mut out = Vec::new();
        for row in 0..outputs {
            for group in 0..groups {
                let tiles_of = tiles.len() / groups;
                let group = &tiles[place_in_pairs(tiles_of, groups, row / TILE, group)];
                let scale = scale_to_f32(group.scale(row % TILE)) * SCALE_UNIT;
                out.extend((0..GROUP).map(|i| scale * group.value(row % TILE, i) as f32));
            }
        }
        out
    }

    fn relative_error(found: &[f32], wanted: &[f32]) -> f32 {
        let errors: f32 = found.iter().zip(wanted).map(|(f, w)| (f - w).powi(2)).sum();
        (errors / wanted.iter().map(|w| w * w).sum::<f32>()).sqrt()
    }

    /// Of Gaussian weights, over their deviation.
    const Q8_ERROR: f32 = 0.01;
    const Q4_ERROR: f32 = 0.1;

    #[test]
    fn weights_are_close_whatever_the_runs() {
        let (outputs, groups) = (11, 3);
        let w = gaussian(outputs * groups * GROUP, 1);
        let (mut q8, mut q4) =
            (vec![Q8Group::default(); 2 * groups], vec![Q4Group::default(); 2 * groups]);
        for (run, first) in w.chunks(5 * GROUP).zip((0..).step_by(5)) {
            assert!(
                pack_q8(run, &mut q8, first, groups, TILES)
                    && pack_q4(run, &mut q4, first, groups, TILES)
            );
        }
        let errors = [
            relative_error(&values(&q8, outputs, groups), &w),
            relative_error(&values(&q4, outputs, groups), &w),
        ];
        assert!(errors[0] < Q8_ERROR && errors[1] < Q4_ERROR, "{errors:?}");
    }

    #[test]
    fn blocks_keep_their_values() {
        let mut q8 = [Q8Group::default(); 2];
        let mut block = [0; 2 * Q8_BLOCK];
        block[Q8_BLOCK..][..2].copy_from_slice(&half_from_f32(-0.25).to_le_bytes());
        for i in 0..GROUP {
            block[Q8_BLOCK + 2 + i] = (i * 8) as u8 ^ 128;
        }
        assert!(pack_q8_blocks(&block, &mut q8, 0, 2, TILES));
        let found = &values(&q8, 1, 2)[GROUP..];
        assert!(found.iter().zip(0..).all(|(x, i)| *x == (i as f32 * 8.0 - 128.0) * -0.25));

        let mut q4 = [Q4Group::default(); 2];
        let mut block = [0; Q4_BLOCK];
        block[..2].copy_from_slice(&half_from_f32(3e-7).to_le_bytes());
        block[2..]
            .copy_from_slice(&core::array::from_fn::<u8, 16, _>(|i| i as u8 | (15 - i as u8) << 4));
        assert!(pack_q4_blocks(&block, &mut q4, 3, 2, TILES));
        let found = &values(&q4, 2, 2)[3 * GROUP..];
        let scale = 5.0 / (1 << 24) as f32;
        for i in 0..16 {
            assert_eq!(found[i], (i as f32 - 8.0) * scale);
            assert_eq!(found[16 + i], (7.0 - i as f32) * scale);
        }
    }

    #[test]
    fn bad_numbers_are_told() {
        let groups = 1;
        for bad in [f32::NAN, f32::INFINITY, 1e30, 128.0 * 127.0] {
            let mut x = [0.5; GROUP];
            assert!(pack_q8(&x, &mut [Q8Group::default()], 0, groups, TILES));
            x[31] = bad;
            assert!(!pack_q8(&x, &mut [Q8Group::default()], 0, groups, TILES), "{bad}");
            assert!(!pack_q4(&x, &mut [Q4Group::default()], 0, groups, TILES), "{bad}");
        }
    }
}
