//! `out = x w^T` with quantised weights and activations: exact sums of bytes
//! within a group, scaled and added in float32 in the order of the groups. So
//! a row's result depends neither on its neighbours nor on the form of the
//! products.

use crate::bits::Bits;
use crate::form::Form;
use crate::quantized::{BLOCK_ROWS, BlockGroup, Quad, RowGroup, WeightGroup, blocks_of};
use crate::rows::RowsMut;
use crate::simd::{F32x4, LANES};
use crate::tile::{Sums, TILE};

/// Rows of activations, cut as [`blocks_of`] says.
#[derive(Clone, Copy)]
pub struct Activations<'a> {
    pub blocks: &'a [BlockGroup],
    /// The row alone, or none.
    pub alone: &'a [RowGroup],
}

/// Multiplies by consecutive tiles, `groups` of each output.
#[inline(never)]
pub fn multiply<F: Form, W: WeightGroup>(
    x: Activations,
    groups: usize,
    tiles: &[W],
    out: &mut RowsMut,
) {
    let rows = out.rows();
    let (_, is_alone) = blocks_of(rows);
    for (tile, column) in tiles.chunks_exact(groups).zip((0..).step_by(TILE)) {
        for (block, first) in x.blocks.chunks_exact(groups).zip((0..).step_by(BLOCK_ROWS)) {
            let sums = four_rows::<F, W>(block, tile);
            for (sums, row) in sums.iter().zip(first..rows) {
                store(sums, &mut out.row(row)[column..]);
            }
        }
        if is_alone {
            store(&one_row::<F, W>(x.alone, tile), &mut out.row(rows - 1)[column..]);
        }
    }
}

#[inline(always)]
fn one_row<F: Form, W: WeightGroup>(x: &[RowGroup], tile: &[W]) -> Sums {
    let mut totals = [F32x4::zero(); 2];
    for (x, w) in x.iter().zip(tile) {
        let start = W::start::<F>(Bits::splat(x.start));
        let mut sums = [F::begin(start); 2];
        for (half, quads) in x.quads.iter().enumerate() {
            let quads = F::quads(Bits::load(quads));
            let [a, b] = w.quads::<F>(2 * half);
            sums = multiply_add::<F, 0>(sums, quads, a);
            sums = multiply_add::<F, 1>(sums, quads, b);
            let [a, b] = w.quads::<F>(2 * half + 1);
            sums = multiply_add::<F, 2>(sums, quads, a);
            sums = multiply_add::<F, 3>(sums, quads, b);
        }
        scale_add::<F>(&mut totals, sums, start, w.scales(), x.scale);
    }
    totals
}

#[inline(always)]
fn multiply_add<F: Form, const I: usize>(sums: [Bits; 2], x: F::Quads, w: [Bits; 2]) -> [Bits; 2] {
    [F::multiply_add::<I>(sums[0], x, w[0]), F::multiply_add::<I>(sums[1], x, w[1])]
}

#[inline(always)]
fn scale_add<F: Form>(totals: &mut Sums, sums: [Bits; 2], start: Bits, w: [F32x4; 2], x: f32) {
    let x = F32x4::splat(x);
    for ((total, sum), w) in totals.iter_mut().zip(sums).zip(w) {
        *total = *total + F::finish(sum, start).to_f32() * (w * x);
    }
}

#[inline(always)]
fn four_rows<F: Form, W: WeightGroup>(x: &[BlockGroup], tile: &[W]) -> [Sums; BLOCK_ROWS] {
    let mut totals = [[F32x4::zero(); 2]; BLOCK_ROWS];
    for (x, w) in x.iter().zip(tile) {
        let starts = x.starts.map(|start| W::start::<F>(Bits::splat(start)));
        let mut sums = starts.map(|start| [F::begin(start); 2]);
        for (step, quads) in x.quads.as_chunks::<2>().0.iter().enumerate() {
            let [a, b] = w.quads::<F>(step);
            add_quad::<F>(&mut sums, &quads[0], a);
            add_quad::<F>(&mut sums, &quads[1], b);
        }
        let scales = w.scales();
        for r in 0..BLOCK_ROWS {
            scale_add::<F>(&mut totals[r], sums[r], starts[r], scales, x.scales[r]);
        }
    }
    totals
}

/// Four k of four rows.
#[inline(always)]
fn add_quad<F: Form>(sums: &mut [[Bits; 2]; BLOCK_ROWS], x: &Quad, w: [Bits; 2]) {
    let x = F::quads(Bits::load(x));
    sums[0] = multiply_add::<F, 0>(sums[0], x, w);
    sums[1] = multiply_add::<F, 1>(sums[1], x, w);
    sums[2] = multiply_add::<F, 2>(sums[2], x, w);
    sums[3] = multiply_add::<F, 3>(sums[3], x, w);
}

#[inline(always)]
fn store(sums: &Sums, row: &mut [f32]) {
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
    use crate::quantize_rows::{quantize_block, quantize_row};
    use crate::quantized::{GROUP, Q4Group, Q8Group};
    use crate::scale::SCALE_UNIT;
    use crate::testing::{gaussian, random};

    /// Rows as the queue quantises them.
    struct Quantized {
        blocks: Vec<BlockGroup>,
        alone: Vec<RowGroup>,
    }

    fn quantized(x: &[f32], k: usize) -> Quantized {
        let (groups, rows) = (k / GROUP, x.len() / k);
        let (full, is_alone) = blocks_of(rows);
        let mut blocks = vec![BlockGroup::zero(); full * groups];
        for (x, out) in x.chunks(BLOCK_ROWS * k).zip(blocks.chunks_mut(groups)) {
            quantize_block(x, k, out);
        }
        let mut alone = vec![RowGroup::zero(); if is_alone { groups } else { 0 }];
        quantize_row(&x[x.len() - alone.len() * GROUP..], &mut alone);
        Quantized { blocks, alone }
    }

    fn tiles<W: WeightGroup>(w: &[f32], k: usize, pack: Pack<W>) -> Vec<W> {
        let (groups, outputs) = (k / GROUP, w.len() / k);
        let mut tiles = vec![W::zero(); outputs.div_ceil(TILE) * groups];
        assert!(pack(w, &mut tiles, 0, groups));
        tiles
    }

    type Run<W> = fn(&[f32], usize, &[W], usize) -> Vec<f32>;
    type Pack<W> = fn(&[f32], &mut [W], usize, usize) -> bool;

    fn run<F: Form, W: WeightGroup>(x: &[f32], k: usize, tiles: &[W], outputs: usize) -> Vec<f32> {
        let Quantized { blocks, alone } = quantized(x, k);
        let mut out = vec![f32::NAN; x.len() / k * outputs];
        let x = Activations { blocks: &blocks, alone: &alone };
        multiply::<F, W>(x, k / GROUP, tiles, &mut RowsMut::new(&mut out, outputs, 0, outputs));
        out
    }

    /// The sums written down, from the same quantised values.
    fn scalar<W: WeightGroup>(x: &[f32], k: usize, tiles: &[W], outputs: usize) -> Vec<f32> {
        let mut out = Vec::new();
        for row in x.chunks(k) {
            let mut groups = vec![RowGroup::zero(); k / GROUP];
            quantize_row(row, &mut groups);
            for output in 0..outputs {
                let tile = &tiles[output / TILE * groups.len()..][..groups.len()];
                let mut total = 0.0f32;
                for (x, w) in groups.iter().zip(tile) {
                    let bytes = x.quads.as_flattened();
                    let sum: i32 = (0..GROUP)
                        .map(|i| i32::from(bytes[i] as i8) * w.value(output % TILE, i))
                        .sum();
                    let scales: [f32; TILE] =
                        core::array::from_fn(|lane| w.scales()[lane / LANES].lanes()[lane % LANES]);
                    total += sum as f32 * (scales[output % TILE] * x.scale);
                }
                out.push(total);
            }
        }
        out
    }

    fn check<W: WeightGroup>(pack: Pack<W>, forms: &[Run<W>]) {
        for k in [32, 64, 96, 2048] {
            for (rows, outputs) in [(1, 1), (1, 24), (2, 4), (3, 5), (4, 8), (5, 11), (9, 9)] {
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
                let tile = &tiles[output / TILE * (k / GROUP)..][..k / GROUP];
                (0..k)
                    .map(|i| {
                        let (group, lane) = (&tile[i / GROUP], output % TILE);
                        let scale = group.scales()[lane / LANES].lanes()[lane % LANES] * SCALE_UNIT;
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
