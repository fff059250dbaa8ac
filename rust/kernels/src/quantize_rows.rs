//! Rows of activations to signed bytes, a scale for each group of 32:
//! scale = largest / 127, bytes rounded to the nearest, ties to even.

use crate::bits::{BYTES, Bits};
use crate::quantized::{BLOCK_QUADS, BLOCK_ROWS, GROUP, Quad, ROW_QUADS};
use crate::scale::SCALE_UNIT;
use crate::simd::{F32x4, LANES};

/// Largest byte.
const LARGEST: f32 = 127.0;

/// One group, quantised.
struct Group {
    scale: f32,
    start: i32,
    bytes: [Bits; 2],
}

/// One to four rows `x` `[rows, k]` side by side, with zeros for rows missing.
pub fn quantize_block(x: &[f32], k: usize, out: &mut [Quad]) {
    let missing = x.len() / k..BLOCK_ROWS;
    let (groups, _) = out.as_chunks_mut::<BLOCK_QUADS>();
    for row in missing {
        for group in groups.iter_mut() {
            set(group, row, &Group { scale: 0.0, start: 0, bytes: [Bits::splat(0); 2] });
        }
    }
    for (r, row) in x.chunks_exact(k).enumerate() {
        for (x, group) in row.as_chunks().0.iter().zip(groups.iter_mut()) {
            set(group, r, &quantize(x));
        }
    }
}

/// A bit for each piece that is not all zeros; all bits where the scale is no
/// number, which must reach the result.
#[inline(always)]
fn active_pieces(scale: f32, [low, high]: [Bits; 2]) -> u32 {
    if !scale.is_finite() {
        return u32::MAX;
    }
    low.nonzero_lanes() | high.nonzero_lanes() << 4
}

#[inline(always)]
fn set(group: &mut [Quad; BLOCK_QUADS], row: usize, values: &Group) {
    let [scales, starts, quads @ ..] = group;
    put(scales, row, values.scale.to_le_bytes());
    put(starts, row, values.start.to_le_bytes());
    let mut bytes = [[0; BYTES]; 2];
    store(values.bytes, &mut bytes);
    for (quad, bytes) in quads.iter_mut().zip(bytes.as_flattened().as_chunks().0) {
        put(quad, row, *bytes);
    }
}

#[inline(always)]
fn put(quad: &mut Quad, lane: usize, bytes: [u8; 4]) {
    quad.as_chunks_mut().0[lane] = bytes;
}

#[inline(always)]
fn store([low, high]: [Bits; 2], to: &mut [Quad; 2]) {
    low.store(&mut to[0]);
    high.store(&mut to[1]);
}

/// One row.
pub fn quantize_row(x: &[f32], out: &mut [Quad]) {
    for (x, group) in x.as_chunks().0.iter().zip(out.as_chunks_mut::<ROW_QUADS>().0) {
        let Group { scale, start, bytes } = quantize(x);
        let [head, quads @ ..] = group;
        put(head, 0, scale.to_le_bytes());
        put(head, 1, start.to_le_bytes());
        put(head, 2, active_pieces(scale, bytes).to_le_bytes());
        // The sum of 32 bytes times four has 15 bits and a sign.
        let half = (start / 2) as u16;
        put(head, 3, (u32::from(half) << 16 | u32::from(half)).to_le_bytes());
        store(bytes, quads);
    }
}

#[inline(always)]
fn quantize(x: &[f32; GROUP]) -> Group {
    let x: [F32x4; GROUP / LANES] =
        core::array::from_fn(|i| F32x4::load(&x.as_chunks::<LANES>().0[i]));
    let (mut largest, mut sum) = (F32x4::zero(), F32x4::zero());
    for v in x {
        largest = largest.max(v.abs());
        sum = sum + v.abs();
    }
    // In vectors throughout, of which the first lane counts: engines make branches
    // of choices between numbers, and nobody foresees which is larger.
    let [_, b, c, d] = lanes(largest);
    let largest = largest.max(b).max(c.max(d));
    let [_, b, c, d] = lanes(sum);
    // NaN is no larger than anything: the sum brings it, and infinity, here.
    let poison = ((sum + c) + (b + d)) * F32x4::zero();
    let scale = (largest / F32x4::splat(LARGEST) + poison) * F32x4::splat(SCALE_UNIT);
    // Numbers too small for it are zeros.
    let inverse = F32x4::splat(LARGEST) / largest;
    let inverse = inverse.abs().select_lt(F32x4::splat(f32::INFINITY), inverse, F32x4::zero());
    let inverse = inverse.splat_lane::<0>();
    let whole = x.map(|v| Bits::from_f32((v * inverse).round()));
    let [a, b, c, d, e, f, g, h] = whole;
    let bytes = [Bits::narrow([a, b, c, d]), Bits::narrow([e, f, g, h])];
    let sum = whole.iter().fold(Bits::splat(0), |a, b| a.add_i32(*b)).horizontal_sum();
    Group { scale: scale.lanes()[0], start: -8 * sum, bytes }
}

/// Each lane in all places.
#[inline(always)]
fn lanes(v: F32x4) -> [F32x4; LANES] {
    [v.splat_lane::<0>(), v.splat_lane::<1>(), v.splat_lane::<2>(), v.splat_lane::<3>()]
}
