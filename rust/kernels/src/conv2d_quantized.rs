//! Convolution with quantised weights: the places of the picture are quantised
//! once, each for itself, and the windows over them are gathered as bytes, four
//! side by side, as the matrix product wants its rows.

use crate::matmul_quantized::Activations;
use crate::picture::Windows;
use crate::quantized::{BLOCK_QUADS, BLOCK_ROWS, Quad, ROW_QUADS, blocks_of};
use crate::rows::RowsMut;

/// Places of the result from `first` on, `[places, F]`. A place of the picture
/// is `[C / 32]` groups of a row alone; `tiles` is the weight with k in the
/// order KY, KX, C. `room` has space for four windows, `[4, row]` quads, and for
/// blocks of all.
pub fn conv2d_quantized<W>(
    windows: &Windows<Quad>,
    tiles: &[W],
    first: usize,
    room: &mut [Quad],
    matmul: fn(Activations, usize, &[W], &mut RowsMut),
    out: &mut RowsMut,
) {
    let row = windows.kernel[0] * windows.kernel[1] * windows.channels;
    let groups = row / ROW_QUADS;
    let rows = out.rows();
    let (full, is_alone) = blocks_of(rows);
    let (gathered, blocks) = room.split_at_mut(BLOCK_ROWS * row);
    let blocks = &mut blocks[..full * groups * BLOCK_QUADS];
    for (block, start) in
        blocks.chunks_exact_mut(groups * BLOCK_QUADS).zip((0..).step_by(BLOCK_ROWS))
    {
        let count = BLOCK_ROWS.min(rows - start);
        for (to, index) in gathered.chunks_exact_mut(row).zip(0..BLOCK_ROWS) {
            if index < count {
                windows.copy_window(first + start + index, to);
            } else {
                to.fill(Quad::default());
            }
        }
        side_by_side(gathered, row, block);
    }
    let alone = &mut gathered[..usize::from(is_alone) * row];
    if is_alone {
        windows.copy_window(first + rows - 1, alone);
    }
    matmul(Activations { blocks, alone }, groups, tiles, out);
}

/// Quads for the windows of `rows` places, `row` quads each.
#[cfg(test)]
pub fn room_quads(rows: usize, row: usize) -> usize {
    BLOCK_ROWS * row + rows.div_ceil(BLOCK_ROWS) * (row / ROW_QUADS) * BLOCK_QUADS
}

/// Four rows alone, of `row` quads, as a block.
fn side_by_side(rows: &[Quad], row: usize, block: &mut [Quad]) {
    for (r, row) in rows.chunks_exact(row).enumerate() {
        let groups = row.as_chunks::<ROW_QUADS>().0;
        for ([head, bytes @ ..], out) in groups.iter().zip(block.as_chunks_mut().0) {
            let [scales, starts, quads @ ..]: &mut [Quad; BLOCK_QUADS] = out;
            let [scale, start, ..] = lanes(head);
            scales.as_chunks_mut().0[r] = *scale;
            starts.as_chunks_mut().0[r] = *start;
            let pieces = bytes.iter().flat_map(lanes);
            for (quad, piece) in quads.iter_mut().zip(pieces) {
                quad.as_chunks_mut().0[r] = *piece;
            }
        }
    }
}

#[inline(always)]
fn lanes(quad: &Quad) -> &[[u8; 4]; 4] {
    quad.as_chunks().0.first_chunk().expect("a quad is four lanes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv2d::conv2d;
    use crate::pack::pack_tiles;
    use crate::pack_quantized::pack_q8_filters;
    use crate::products::matmul_q8;
    use crate::quantize_rows::quantize_row;
    use crate::quantized::{GROUP, Q8Group};
    use crate::testing::{gaussian, random};
    use crate::tile::TILE;

    /// Root of the mean square difference over that of the wanted values.
    fn relative_error(found: &[f32], wanted: &[f32]) -> f32 {
        let errors: f32 = found.iter().zip(wanted).map(|(f, w)| (f - w).powi(2)).sum();
        (errors / wanted.iter().map(|w| w * w).sum::<f32>()).sqrt()
    }

    fn quantized_places(picture: &[f32], channels: usize) -> Vec<Quad> {
        let row = channels / GROUP * ROW_QUADS;
        let mut places = vec![[0; 16]; picture.len() / channels * row];
        for (x, out) in picture.chunks(channels).zip(places.chunks_mut(row)) {
            quantize_row(x, out);
        }
        places
    }

    /// Of weights and activations together.
    const ERROR: f32 = 0.015;

    #[test]
    fn is_close_to_the_convolution_of_numbers() {
        let (size, channels, outputs) = ([7, 6], 64, 11);
        for (kernel, stride, padding) in
            [([3, 3], [1, 1], [1, 1]), ([3, 3], [2, 2], [1, 0]), ([1, 1], [2, 1], [0, 0])]
        {
            let taps = kernel[0] * kernel[1];
            let k = channels * taps;
            let picture = gaussian(size[0] * size[1] * channels, 1);
            let w = random(outputs * k, 2);
            let result: [usize; 2] =
                core::array::from_fn(|a| (size[a] + 2 * padding[a] - kernel[a]) / stride[a] + 1);
            let windows = Windows {
                x: &picture[..],
                size,
                channels,
                kernel,
                stride,
                padding,
                columns: result[1],
            };
            let places = result[0] * result[1];
            let mut tiles = vec![0.0; outputs.div_ceil(TILE) * TILE * k];
            pack_tiles(&w, &mut tiles, 0, k, taps);
            let mut wanted = vec![0.0; places * outputs];
            let mut room = vec![0.0; places * k];
            conv2d(
                &windows,
                &tiles,
                0,
                &mut room,
                &mut RowsMut::new(&mut wanted, outputs, 0, outputs),
            );

            let groups = k / GROUP;
            let mut tiles = vec![Q8Group::default(); outputs.div_ceil(TILE) * groups];
            assert!(pack_q8_filters(&w, &mut tiles, 0, groups, taps));
            let quads = quantized_places(&picture, channels);
            let windows = Windows {
                x: &quads[..],
                size,
                channels: channels / GROUP * ROW_QUADS,
                kernel,
                stride,
                padding,
                columns: result[1],
            };
            // Blocks of every length, and what they leave over.
            for chunk in [1, 5, 8, places] {
                let mut found = vec![f32::NAN; places * outputs];
                let mut room = vec![[255; 16]; room_quads(chunk, groups * ROW_QUADS)];
                for (out, i) in found.chunks_mut(chunk * outputs).zip(0..) {
                    let mut out = RowsMut::new(out, outputs, 0, outputs);
                    let first = i * chunk;
                    conv2d_quantized(&windows, &tiles, first, &mut room, matmul_q8, &mut out);
                }
                let error = relative_error(&found, &wanted);
                assert!(error < ERROR, "{kernel:?} in chunks of {chunk}: {error}");
            }
        }
    }
}
