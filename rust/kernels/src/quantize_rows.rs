//! Rows of activations to signed bytes, a scale for each group of 32:
//! scale = largest / 127, bytes rounded to the nearest, ties to even.

use crate::quantized::{BLOCK_ROWS, BlockGroup, GROUP, RowGroup};
use crate::scale::SCALE_UNIT;
use crate::simd::{F32x4, LANES};

/// Largest byte.
const LARGEST: f32 = 127.0;

/// One group, quantised.
struct Group {
    scale: f32,
    start: i32,
    bytes: [u8; GROUP],
}

/// One to four rows `x` `[rows, k]` side by side, with zeros for rows missing.
pub fn quantize_block(x: &[f32], k: usize, out: &mut [BlockGroup]) {
    let (empty, rows) = (x.len() / k..BLOCK_ROWS, x.chunks_exact(k));
    for row in empty {
        for group in out.iter_mut() {
            set(group, row, &Group { scale: 0.0, start: 0, bytes: [0; GROUP] });
        }
    }
    for (r, row) in rows.enumerate() {
        for (x, group) in row.as_chunks::<GROUP>().0.iter().zip(out.iter_mut()) {
            set(group, r, &quantize(x));
        }
    }
}

fn set(group: &mut BlockGroup, row: usize, values: &Group) {
    group.scales[row] = values.scale;
    group.starts[row] = values.start;
    for (quad, bytes) in group.quads.iter_mut().zip(values.bytes.as_chunks::<4>().0) {
        quad[4 * row..][..4].copy_from_slice(bytes);
    }
}

/// One row.
pub fn quantize_row(x: &[f32], out: &mut [RowGroup]) {
    for (x, group) in x.as_chunks::<GROUP>().0.iter().zip(out) {
        let Group { scale, start, bytes } = quantize(x);
        let (quads, _) = bytes.as_chunks();
        *group = RowGroup { scale, start, quads: [quads[0], quads[1]] };
    }
}

#[inline(always)]
fn quantize(x: &[f32; GROUP]) -> Group {
    let (vectors, _) = x.as_chunks::<LANES>();
    let (mut largest, mut sum) = (F32x4::zero(), F32x4::zero());
    for v in vectors {
        let v = F32x4::load(v).abs();
        largest = largest.max(v);
        sum = sum + v;
    }
    let largest = largest.lanes().iter().fold(0.0f32, |a, b| a.max(*b));
    // NaN is no larger than anything: the sum brings it, and infinity, here.
    let poison = sum.horizontal_sum() * 0.0;
    let inverse = F32x4::splat(if largest == 0.0 { 0.0 } else { LARGEST / largest });
    let mut bytes = [0; GROUP];
    let mut start = 0;
    for (bytes, v) in bytes.as_chunks_mut::<LANES>().0.iter_mut().zip(vectors) {
        let rounded = (F32x4::load(v) * inverse).round().lanes();
        for (byte, x) in bytes.iter_mut().zip(rounded) {
            // Beyond 127 only where the inverse overflowed.
            let q = x as i32;
            *byte = q as u8;
            start -= 8 * i32::from(q as i8);
        }
    }
    Group { scale: (largest / LARGEST + poison) * SCALE_UNIT, start, bytes }
}
