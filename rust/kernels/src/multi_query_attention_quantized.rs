//! Softmax attention of many queries to the same few keys, by quantised
//! products: keys are the outputs of the first, and columns of the values those
//! of the second, whose activations are the weights of the softmax.

use crate::math::exp;
use crate::matmul_quantized::Activations;
use crate::pack_quantized::pack_q8;
use crate::panel::Layout;
use crate::products::matmul_q8;
use crate::quantize_rows::quantize_block;
use crate::quantized::{BLOCK_QUADS, BLOCK_ROWS, GROUP, Q8Group, Quad};
use crate::rows::RowsMut;
use crate::simd::{F32x4, LANES};

/// Queries that meet the keys together.
pub const QUERIES: usize = 16;

/// Keys and values in tiles.
#[derive(Clone, Copy)]
pub struct KeysValues<'a> {
    /// `[S / 8][H / 32]`.
    pub keys: &'a [Q8Group],
    /// `[H / 8][S / 32]`, where S is filled up with zeros.
    pub values: &'a [Q8Group],
    /// What keys, and values, are multiples of.
    pub units: [f32; 2],
    /// S and H.
    pub count: usize,
    pub width: usize,
}

/// Packs keys and values `[S, H]`, and gives what they are multiples of: NaN
/// where a number is not finite. `room` has space for `[H, S]`, S filled up to
/// groups.
pub fn pack_keys_values(
    [k, v]: [&[f32]; 2],
    width: usize,
    room: &mut [f32],
    keys: &mut [Q8Group],
    values: &mut [Q8Group],
) -> [f32; 2] {
    let units = [unit_of(k), unit_of(v)];
    let inverse = units.map(|unit| 1.0 / unit);
    for (to, x) in room.iter_mut().zip(k) {
        *to = x * inverse[0];
    }
    let mut good = pack_q8(&room[..k.len()], keys, 0, width / GROUP, Layout::Tiles);
    let padded = (v.len() / width).next_multiple_of(GROUP);
    for (column, row) in room[..width * padded].chunks_exact_mut(padded).enumerate() {
        let numbers = v.chunks_exact(width).map(|v| v[column] * inverse[1]);
        for (to, x) in row.iter_mut().zip(numbers.chain(core::iter::repeat(0.0))) {
            *to = x;
        }
    }
    good &= pack_q8(&room[..width * padded], values, 0, padded / GROUP, Layout::Tiles);
    if good { units } else { [f32::NAN; 2] }
}

/// A power of two near the largest magnitude, so that scales of groups are
/// numbers that a half keeps well; NaN where a number is not finite.
fn unit_of(x: &[f32]) -> f32 {
    let (vectors, tail) = x.as_chunks::<LANES>();
    let (mut largest, mut sum) = (F32x4::load_partial(tail).abs(), F32x4::zero());
    for v in vectors {
        let v = F32x4::load(v).abs();
        largest = largest.max(v);
        sum = sum + v * F32x4::zero();
    }
    let largest = largest.lanes().iter().fold(f32::MIN_POSITIVE, |a, x| a.max(*x));
    let power = f32::from_bits(largest.to_bits() & 0x7f80_0000);
    let poison = tail.iter().fold(sum.horizontal_sum(), |sum, x| sum + x * 0.0);
    power + poison
}

/// Attention of queries `[R, H]`. `scores` has room for [`QUERIES`] rows of S,
/// filled up to groups, `quads` for blocks of as many rows of S or of H.
pub fn multi_query_attention_quantized(
    q: &[f32],
    kv: KeysValues,
    scale: f32,
    scores: &mut [f32],
    quads: &mut [Quad],
    out: &mut [f32],
) {
    let KeysValues { count, width, units, .. } = kv;
    let padded = count.next_multiple_of(GROUP);
    let scale = scale * units[0];
    for (q, out) in q.chunks(QUERIES * width).zip(out.chunks_mut(QUERIES * width)) {
        let rows = q.len() / width;
        let x = quantize(q, width, quads);
        let scores = &mut scores[..rows * padded];
        matmul_q8(x, width / GROUP, kv.keys, &mut columns(scores, padded, count));
        let mut sums = [0.0; QUERIES];
        for (row, sum) in scores.chunks_exact_mut(padded).zip(&mut sums) {
            *sum = weights(&mut row[..count], scale);
            row[count..].fill(0.0);
        }
        let x = quantize(scores, padded, quads);
        matmul_q8(x, padded / GROUP, kv.values, &mut columns(out, width, width));
        for (row, sum) in out.chunks_exact_mut(width).zip(sums) {
            let factor = units[1] / sum;
            for x in row {
                *x *= factor;
            }
        }
    }
}

fn quantize<'a>(x: &[f32], k: usize, quads: &'a mut [Quad]) -> Activations<'a> {
    let size = k / GROUP * BLOCK_QUADS;
    let blocks = &mut quads[..(x.len() / k).div_ceil(BLOCK_ROWS) * size];
    for (x, block) in x.chunks(BLOCK_ROWS * k).zip(blocks.chunks_exact_mut(size)) {
        quantize_block(x, k, block);
    }
    Activations { blocks, alone: &[] }
}

/// The first `width` columns.
fn columns(matrix: &mut [f32], stride: usize, width: usize) -> RowsMut<'_> {
    let rows = matrix.len() / stride;
    // SAFETY: they lie within the matrix, which is borrowed as long.
    unsafe { RowsMut::from_raw(matrix.as_mut_ptr(), rows, stride, width) }
}

/// Turns scores into weights, of which the largest is 1, and gives their sum.
fn weights(scores: &mut [f32], scale: f32) -> f32 {
    let scale = F32x4::splat(scale);
    let mut largest = F32x4::splat(f32::NEG_INFINITY);
    let (vectors, tail) = scores.as_chunks_mut::<LANES>();
    for v in vectors.iter_mut() {
        let scaled = F32x4::load(v) * scale;
        scaled.store(v);
        largest = largest.max(scaled);
    }
    let mut most = largest.lanes().into_iter().fold(f32::NEG_INFINITY, f32::max);
    for x in tail.iter_mut() {
        *x *= scale.lanes()[0];
        most = most.max(*x);
    }
    let most = F32x4::splat(most);
    let mut sum = F32x4::zero();
    for v in vectors {
        let weight = exp(F32x4::load(v) - most);
        weight.store(v);
        sum = sum + weight;
    }
    exp(F32x4::load_partial(tail) - most).store_partial(tail);
    tail.iter().fold(sum.horizontal_sum(), |sum, x| sum + x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gaussian;
    use crate::tile::TILE;

    fn run(q: &[f32], kv: [&[f32]; 2], width: usize, scale: f32) -> Vec<f32> {
        let count = kv[0].len() / width;
        let padded = count.next_multiple_of(GROUP);
        let mut room = vec![f32::NAN; width * padded];
        let mut keys = vec![[[255; 16]; 17]; count.div_ceil(TILE) * width / GROUP];
        let mut values = vec![[[255; 16]; 17]; width / TILE * padded / GROUP];
        let units = pack_keys_values(kv, width, &mut room, &mut keys, &mut values);
        let kv = KeysValues { keys: &keys, values: &values, units, count, width };
        let mut scores = vec![f32::NAN; QUERIES * padded];
        let widest = padded.max(width) / GROUP;
        let mut quads = vec![[255; 16]; QUERIES / BLOCK_ROWS * widest * BLOCK_QUADS];
        let mut out = vec![f32::NAN; q.len()];
        multi_query_attention_quantized(q, kv, scale, &mut scores, &mut quads, &mut out);
        out
    }

    fn exact(q: &[f32], [k, v]: [&[f32]; 2], width: usize, scale: f64) -> Vec<f64> {
        let mut out = Vec::new();
        for q in q.chunks(width) {
            let scores: Vec<f64> = k
                .chunks(width)
                .map(|k| scale * q.iter().zip(k).map(|(a, b)| f64::from(a * b)).sum::<f64>())
                .collect();
            let most = scores.iter().fold(f64::MIN, |a, b| a.max(*b));
            let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
            let sum: f64 = weights.iter().sum();
            out.extend((0..width).map(|i| {
                let rows = weights.iter().zip(v.chunks(width));
                rows.map(|(w, v)| w * f64::from(v[i])).sum::<f64>() / sum
            }));
        }
        out
    }

    /// Root of the mean square difference over that of the wanted values.
    fn relative_error(found: &[f32], wanted: &[f64]) -> f64 {
        let errors = found.iter().zip(wanted).map(|(f, w)| (f64::from(*f) - w).powi(2));
        (errors.sum::<f64>() / wanted.iter().map(|w| w * w).sum::<f64>()).sqrt()
    }

    const ERROR: f64 = 0.02;

    #[test]
    fn is_close_to_attention_with_numbers() {
        // Sizes of values far from 1 must not matter.
        for (width, count, rows, size) in
            [(64, 576, 24, 1.0), (96, 40, 5, 1e-6), (32, 7, 1, 1e7), (64, 33, 17, 1.0)]
        {
            let (q, k) = (gaussian(rows * width, 1), gaussian(count * width, 2));
            let v: Vec<f32> = gaussian(count * width, 3).iter().map(|x| x * size).collect();
            let scale = (width as f32).powf(-0.5);
            let found = run(&q, [&k, &v], width, scale);
            let wanted = exact(&q, [&k, &v], width, scale.into());
            let error = relative_error(&found, &wanted);
            assert!(error < ERROR, "{rows} x {count} x {width}: {error}");
        }
    }

    #[test]
    fn what_is_not_finite_reaches_the_result() {
        let (width, count) = (32, 9);
        let (q, k, v) =
            (gaussian(3 * width, 1), gaussian(count * width, 2), gaussian(count * width, 3));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let spoil = |x: &[f32], at: usize| {
                let mut x = x.to_vec();
                x[at] = bad;
                x
            };
            for out in [
                run(&q, [&spoil(&k, 5), &v], width, 0.2),
                run(&q, [&k, &spoil(&v, count * width - 1)], width, 0.2),
            ] {
                assert!(out.iter().all(|x| x.is_nan()), "{bad}");
            }
            let out = run(&spoil(&q, width), [&k, &v], width, 0.2);
            for (i, x) in out.iter().enumerate() {
                assert_eq!(x.is_nan(), i / width == 1, "{bad}: {i} is {x}");
            }
        }
    }
}
