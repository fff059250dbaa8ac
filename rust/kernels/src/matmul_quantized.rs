//! `out = x w^T` with quantised weights and activations: exact sums of bytes
//! within a group, scaled and added in float32 in the order of the groups. So
//! a row's result depends neither on its neighbours nor on the form of the
//! products.

use crate::bits::Bits;
use crate::form::Form;
use crate::quantized::{BLOCK_QUADS, BLOCK_ROWS, Quad, ROW_QUADS, WeightGroup};
use crate::rows::RowsMut;
use crate::simd::{F32x4, LANES};
use crate::tile::{Sums, TILE};

/// Pieces that meet sixteen bytes of a row.
const ROUND: usize = 4;
/// Rounds of a group.
const ROUNDS: usize = 2;

/// Rows of activations, cut as [`blocks_of`] says.
#[derive(Clone, Copy)]
pub struct Activations<'a> {
    pub blocks: &'a [Quad],
    /// The row alone, or none.
    pub alone: &'a [Quad],
}

/// Multiplies by consecutive tiles, `groups` of each output, in pairs as
/// [`crate::panel::Layout::Tiles`] has them.
#[inline(never)]
pub fn multiply<F: Form, W: WeightGroup>(
    x: Activations,
    groups: usize,
    tiles: &[W],
    out: &mut RowsMut,
) {
    for (tiles, column) in tiles.chunks(2 * groups).zip((0..).step_by(2 * TILE)) {
        if tiles.len() > groups {
            multiply_tiles::<F, W, 2>(x, tiles.as_chunks().0, column, out);
        } else {
            multiply_tiles::<F, W, 1>(x, tiles.as_chunks().0, column, out);
        }
    }
}

/// Multiplies by T tiles, a group of each in turn.
#[inline(always)]
fn multiply_tiles<F: Form, W: WeightGroup, const T: usize>(
    x: Activations,
    tiles: &[[W; T]],
    column: usize,
    out: &mut RowsMut,
) {
    // Unrolled, a loop over the rounds would have more values on their way than
    // there are registers: their number must look unknown.
    let rounds = core::hint::black_box(ROUNDS).min(ROUNDS);
    let rows = out.rows();
    let columns = |tile| column + tile * TILE;
    // One tile after another: a pair may be more than the first cache holds.
    for tile in 0..T {
        let blocks = x.blocks.chunks_exact(tiles.len() * BLOCK_QUADS);
        for (block, first) in blocks.zip((0..).step_by(BLOCK_ROWS)) {
            let sums = four_rows::<F, W, T>(block.as_chunks().0, tiles, tile, rounds);
            for (sums, row) in sums.iter().zip(first..rows) {
                store(sums, &mut out.row(row)[columns(tile)..]);
            }
        }
    }
    if !x.alone.is_empty() {
        let sums = one_row::<F, W, T>(x.alone.as_chunks().0, tiles);
        for (tile, sums) in sums.iter().enumerate() {
            store(sums, &mut out.row(rows - 1)[columns(tile)..]);
        }
    }
}

/// One row with T tiles: an activation that is made ready meets all of them.
#[inline(always)]
fn one_row<F: Form, W: WeightGroup, const T: usize>(
    x: &[[Quad; ROW_QUADS]],
    tiles: &[[W; T]],
) -> [Sums; T] {
    // Products of several pieces at a time would have more values on their way
    // than there are registers. A branch that is never taken but looks as if it
    // were keeps them apart.
    let last = core::hint::black_box(usize::MAX);
    let mut totals = [[F32x4::zero(); 2]; T];
    for ([head, bytes @ ..], tiles) in x.iter().zip(tiles) {
        let head = Bits::load(head);
        let start = W::start::<F>(F::row_start(head));
        let mut sums = [[start; 2]; T];
        let tiles = tiles.each_ref().map(W::split);
        for (round, x) in bytes.iter().enumerate() {
            let x = F::quads(Bits::load(x));
            let pieces = tiles.map(|(_, pieces)| &pieces.as_chunks::<ROUND>().0[round]);
            add_pieces::<F, W, T, 0>(&mut sums, x, pieces);
            if last == 4 * round {
                break;
            }
            add_pieces::<F, W, T, 1>(&mut sums, x, pieces);
            if last == 4 * round + 1 {
                break;
            }
            add_pieces::<F, W, T, 2>(&mut sums, x, pieces);
            if last == 4 * round + 2 {
                break;
            }
            add_pieces::<F, W, T, 3>(&mut sums, x, pieces);
            if last == 4 * round + 3 {
                break;
            }
        }
        let scale = head.as_f32().splat_lane::<0>();
        for ((totals, sums), (scales, _)) in totals.iter_mut().zip(sums).zip(tiles) {
            scale_add::<F>(totals, sums, Bits::load(scales).to_scales(), scale);
        }
    }
    totals
}

/// Adds piece I of each tile.
#[inline(always)]
fn add_pieces<F: Form, W: WeightGroup, const T: usize, const I: usize>(
    sums: &mut [[Bits; 2]; T],
    x: F::Quads,
    pieces: [&[W::Piece; ROUND]; T],
) {
    for (sums, pieces) in sums.iter_mut().zip(pieces) {
        *sums = multiply_add::<F, I>(*sums, x, W::piece::<F>(&pieces[I]));
    }
}

#[inline(always)]
fn multiply_add<F: Form, const I: usize>(
    sums: [Bits; 2],
    x: F::Quads,
    w: [F::Weights; 2],
) -> [Bits; 2] {
    let x = F::splat::<I>(x);
    [F::multiply_add(sums[0], x, w[0]), F::multiply_add(sums[1], x, w[1])]
}

/// Adds sums of a group of k with their scales.
#[inline(always)]
pub fn scale_add<F: Form>(totals: &mut Sums, sums: [Bits; 2], w: [F32x4; 2], x: F32x4) {
    for ((total, sum), w) in totals.iter_mut().zip(sums).zip(w) {
        *total = *total + F::finish(sum).to_f32() * (w * x);
    }
}

/// Four rows with one of T tiles; a group of `x` is four scales, four starts,
/// then four bytes of each row in turn.
#[inline(always)]
fn four_rows<F: Form, W: WeightGroup, const T: usize>(
    x: &[[Quad; BLOCK_QUADS]],
    tiles: &[[W; T]],
    tile: usize,
    rounds: usize,
) -> [Sums; BLOCK_ROWS] {
    let mut totals = [[F32x4::zero(); 2]; BLOCK_ROWS];
    for ([x_scales, starts, quads @ ..], tiles) in x.iter().zip(tiles) {
        let (scales, pieces) = tiles[tile].split();
        let starts = by_row(W::start::<F>(F::block_start(Bits::load(starts))));
        let mut sums = starts.map(|start| [start; 2]);
        let steps = 2 * rounds;
        let quads = &quads.as_chunks::<2>().0[..steps];
        for (x, [a, b]) in quads.iter().zip(pieces.as_chunks::<2>().0) {
            add_quad::<F>(&mut sums, &x[0], W::piece::<F>(a));
            add_quad::<F>(&mut sums, &x[1], W::piece::<F>(b));
        }
        let scales = Bits::load(scales).to_scales();
        let x_scales = by_row(Bits::load(x_scales));
        for r in 0..BLOCK_ROWS {
            scale_add::<F>(&mut totals[r], sums[r], scales, x_scales[r].as_f32());
        }
    }
    totals
}

#[inline(always)]
fn by_row(x: Bits) -> [Bits; BLOCK_ROWS] {
    [x.splat_lane::<0>(), x.splat_lane::<1>(), x.splat_lane::<2>(), x.splat_lane::<3>()]
}

/// Four k of four rows.
#[inline(always)]
fn add_quad<F: Form>(sums: &mut [[Bits; 2]; BLOCK_ROWS], x: &Quad, w: [F::Weights; 2]) {
    let x = F::quads(Bits::load(x));
    sums[0] = multiply_add::<F, 0>(sums[0], x, w);
    sums[1] = multiply_add::<F, 1>(sums[1], x, w);
    sums[2] = multiply_add::<F, 2>(sums[2], x, w);
    sums[3] = multiply_add::<F, 3>(sums[3], x, w);
}

/// Writes as many sums as the row has places, at most eight.
#[inline(always)]
pub fn store(sums: &Sums, row: &mut [f32]) {
    let (low, high) = row.split_at_mut(row.len().min(LANES));
    sums[0].store_partial(low);
    sums[1].store_partial(high);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Wide;
    use crate::form_relaxed::{Dots, Pairs};
    use crate::pack_quantized::{pack_q4, pack_q8};
    use crate::panel::{Layout, place_in_pairs};
    use crate::quantize_rows::{quantize_block, quantize_row};
    use crate::quantized::{GROUP, Q4Group, Q8Group, blocks_of};
    use crate::scale::{SCALE_UNIT, scale_to_f32};
    use crate::testing::{gaussian, random};

    /// Rows as the queue quantises them.
    struct Quantized {
        blocks: Vec<Quad>,
        alone: Vec<Quad>,
    }

    fn quantized(x: &[f32], k: usize) -> Quantized {
        let (groups, rows) = (k / GROUP, x.len() / k);
        let (full, is_alone) = blocks_of(rows);
        let mut blocks = vec![[0; 16]; full * groups * BLOCK_QUADS];
        let chunks = blocks.chunks_mut(groups * BLOCK_QUADS);
        for (x, out) in x.chunks(BLOCK_ROWS * k).zip(chunks) {
            quantize_block(x, k, out);
        }
        let mut alone = vec![[0; 16]; usize::from(is_alone) * groups * ROW_QUADS];
        quantize_row(&x[x.len() - usize::from(is_alone) * k..], &mut alone);
        Quantized { blocks, alone }
    }

    fn tiles<W: WeightGroup>(w: &[f32], k: usize, pack: Pack<W>) -> Vec<W> {
        let (groups, outputs) = (k / GROUP, w.len() / k);
        let mut tiles = vec![W::default(); outputs.div_ceil(TILE) * groups];
        assert!(pack(w, &mut tiles, 0, groups, Layout::Tiles));
        tiles
    }

    type Run<W> = fn(&[f32], usize, &[W], usize) -> Vec<f32>;
    type Pack<W> = fn(&[f32], &mut [W], usize, usize, Layout) -> bool;

    fn run<F: Form, W: WeightGroup>(x: &[f32], k: usize, tiles: &[W], outputs: usize) -> Vec<f32> {
        let Quantized { blocks, alone } = quantized(x, k);
        let mut out = vec![f32::NAN; x.len() / k * outputs];
        let x = Activations { blocks: &blocks, alone: &alone };
        multiply::<F, W>(x, k / GROUP, tiles, &mut RowsMut::new(&mut out, outputs, 0, outputs));
        out
    }

    /// The group of the tile of an output.
    fn of_output<W>(tiles: &[W], groups: usize, output: usize, group: usize) -> &W {
        &tiles[place_in_pairs(tiles.len() / groups, groups, output / TILE, group)]
    }

    /// The sums written down, from the same quantised values.
    fn scalar<W: WeightGroup>(x: &[f32], k: usize, tiles: &[W], outputs: usize) -> Vec<f32> {
        let mut out = Vec::new();
        for row in x.chunks(k) {
            let groups = k / GROUP;
            let mut x = vec![[0; 16]; groups * ROW_QUADS];
            quantize_row(row, &mut x);
            for output in 0..outputs {
                let mut total = 0.0f32;
                let x = x.as_chunks::<ROW_QUADS>().0;
                for ([head, x @ ..], group) in x.iter().zip(0..) {
                    let w = of_output(tiles, groups, output, group);
                    let bytes = x.as_flattened();
                    let x_scale = Bits::load(head).as_f32().lanes()[0];
                    let sum: i32 = (0..GROUP)
                        .map(|i| i32::from(bytes[i] as i8) * w.value(output % TILE, i))
                        .sum();
                    let scale = scale_to_f32(w.scale(output % TILE));
                    total += sum as f32 * (scale * x_scale);
                }
                out.push(total);
            }
        }
        out
    }

    fn check<W: WeightGroup>(pack: Pack<W>, forms: &[Run<W>]) {
        for k in [32, 64, 96, 2048] {
            for (rows, outputs) in
                [(1, 1), (1, 24), (2, 4), (3, 5), (4, 8), (5, 11), (9, 9), (1, 29)]
            {
                let (x, w) = (random(rows * k, 1), random(outputs * k, 2));
                let tiles = tiles(&w, k, pack);
                let wanted = scalar(&x, k, &tiles, outputs);
                for form in forms {
                    assert_eq!(form(&x, k, &tiles, outputs), wanted, "{rows}x{k}x{outputs}");
                }
            }
        }
    }

    #[test]
    fn every_form_gives_the_same_as_scalar_sums_of_four_bits() {
        check(pack_q4, &[run::<Wide, _>, run::<Pairs, Q4Group>, run::<Dots<false>, _>]);
    }

    #[test]
    fn every_form_gives_the_same_as_scalar_sums_of_eight_bits() {
        check(pack_q8, &[run::<Wide, _>, run::<Dots<false>, Q8Group>, run::<Dots<true>, _>]);
    }

    #[test]
    fn extreme_bytes_do_not_overflow() {
        let k = 2048;
        let x: Vec<f32> = (0..5 * k).map(|i| if i % 3 == 0 { -1.0 } else { 1.0 }).collect();
        let w = vec![1.0; 8 * k];
        let tiles = tiles::<Q4Group>(&w, k, pack_q4);
        assert_eq!(run::<Pairs, _>(&x, k, &tiles, 8), scalar(&x, k, &tiles, 8));
    }

    #[test]
    fn nan_and_infinity_reach_the_result() {
        let k = 64;
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = random(5 * k, 1);
            x[2 * k + 40] = bad;
            x[4 * k] = bad;
            let tiles = tiles::<Q8Group>(&random(8 * k, 2), k, pack_q8);
            let out = run::<Wide, _>(&x, k, &tiles, 8);
            for (i, x) in out.iter().enumerate() {
                assert_eq!(x.is_nan(), [2, 4].contains(&(i / 8)), "{bad}, {i}: {x}");
            }
        }
    }

    /// Root of the mean square difference over that of the wanted values.
    fn relative_error(found: &[f32], wanted: &[f64]) -> f64 {
        let errors = found.iter().zip(wanted).map(|(f, w)| (f64::from(*f) - w).powi(2));
        (errors.sum::<f64>() / wanted.iter().map(|w| w * w).sum::<f64>()).sqrt()
    }

    /// Most that quantising activations may cost a product.
    const PRODUCT_ERROR: f64 = 0.015;

    fn product_error<W: WeightGroup>(pack: Pack<W>) -> f64 {
        let (k, outputs) = (2048, 8192);
        let (x, w) = (gaussian(k, 1), gaussian(outputs * k, 2));
        let tiles = tiles(&w, k, pack);
        let wanted: Vec<f64> = (0..outputs)
            .map(|output| {
                (0..k)
                    .map(|i| {
                        let lane = output % TILE;
                        let group = of_output(&tiles, k / GROUP, output, i / GROUP);
                        let scale = scale_to_f32(group.scale(lane)) * SCALE_UNIT;
                        f64::from(x[i]) * f64::from(scale) * f64::from(group.value(lane, i % GROUP))
                    })
                    .sum()
            })
            .collect();
        relative_error(&run::<Wide, W>(&x, k, &tiles, outputs), &wanted)
    }

    #[test]
    fn products_of_gaussian_numbers_are_close_to_exact_ones() {
        let errors = [product_error(pack_q8), product_error(pack_q4)];
        assert!(errors.iter().all(|error| *error < PRODUCT_ERROR), "{errors:?}");
    }
}
