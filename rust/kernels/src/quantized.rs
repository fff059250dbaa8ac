//! Layouts of quantised weights and activations: groups of 32 along k.
//!
//! A tile of weights is eight outputs, all its groups one after another; the
//! value of a weight is scale * (byte - zero). Activations are
//! signed bytes; rows come in blocks of four, the last one alone when it would
//! be alone in a block.

use crate::bits::{BYTES, Bits};
use crate::form::Form;
use crate::simd::F32x4;

/// Elements of a group.
pub const GROUP: usize = 32;
/// Rows of a block of activations.
pub const BLOCK_ROWS: usize = 4;

/// Sixteen bytes: four outputs or rows, four k each.
pub type Quad = [u8; BYTES];

/// Steps of eight k in a group.
pub const STEPS: usize = GROUP / 8;
/// Quads of a group of a row alone: one that begins with a scale (f32, times
/// [`crate::scale::SCALE_UNIT`]) and -8 times the sum (i32), two of bytes.
pub const ROW_QUADS: usize = 3;
/// Quads of a group of four rows: their scales, -8 times their sums, then
/// eight of four bytes for each row.
pub const BLOCK_QUADS: usize = 10;

/// A group of k of a tile: eight scales, then quads.
pub trait WeightGroup: Copy + Default {
    /// The byte that stands for zero.
    const ZERO: i32;

    /// Weights of eight k.
    type Step;

    /// Consecutive groups as quads.
    fn as_quads(groups: &[Self]) -> &[Quad];

    /// Takes a group of `steps` steps off the front: its eight scales over
    /// [`crate::scale::SCALE_UNIT`], and its steps.
    fn split_group<'a>(tile: &mut &'a [Quad], steps: usize) -> ([F32x4; 2], &'a [Self::Step]);

    /// Two quads for each half of the outputs, `[quad][half]`.
    fn quads<F: Form>(step: &Self::Step) -> [[Bits; 2]; 2];

    /// What sums start from so that the zero cancels, where `start` is -8 times
    /// the sum of the activations.
    fn start<F: Form>(start: Bits) -> Bits;

    /// The scale of output `lane`.
    fn scale(&self, lane: usize) -> u16;

    /// Weight `i` of output `lane` over its scale.
    fn value(&self, lane: usize, i: usize) -> i32;

    /// Sets output `lane`: a scale and bytes.
    fn set(&mut self, lane: usize, scale: u16, bytes: &[u8; GROUP]);
}

/// Weights of four bits, zero at 8: after the scales two quads a step, the
/// first four k in the low halves of their bytes.
pub type Q4Group = [Quad; 9];

/// Weights of eight bits, zero at 128: after the scales four quads a step.
pub type Q8Group = [Quad; 17];

impl WeightGroup for Q4Group {
    const ZERO: i32 = 8;

    type Step = [Quad; 2];

    #[inline(always)]
    fn as_quads(groups: &[Self]) -> &[Quad] {
        groups.as_flattened()
    }

    #[inline(always)]
    fn split_group<'a>(tile: &mut &'a [Quad], steps: usize) -> ([F32x4; 2], &'a [[Quad; 2]]) {
        let (scales, quads) = split(tile, 2 * steps);
        (scales, quads.as_chunks().0)
    }

    #[inline(always)]
    fn quads<F: Form>([a, b]: &[Quad; 2]) -> [[Bits; 2]; 2] {
        let (a, b) = (Bits::load(a), Bits::load(b));
        [[a.low_nibbles(), b.low_nibbles()], [a.high_nibbles(), b.high_nibbles()]]
    }

    #[inline(always)]
    fn start<F: Form>(start: Bits) -> Bits {
        start
    }

    fn scale(&self, lane: usize) -> u16 {
        u16::from_le_bytes([self[0][2 * lane], self[0][2 * lane + 1]])
    }

    fn value(&self, lane: usize, i: usize) -> i32 {
        let byte = self[1 + i / 8 * 2 + lane / 4][lane % 4 * 4 + i % 4];
        i32::from(if i % 8 < 4 { byte & 15 } else { byte >> 4 }) - Self::ZERO
    }

    fn set(&mut self, lane: usize, scale: u16, bytes: &[u8; GROUP]) {
        self[0][2 * lane..][..2].copy_from_slice(&scale.to_le_bytes());
        let (steps, _) = bytes.as_chunks::<8>();
        for (step, bytes) in self[1..].as_chunks_mut::<2>().0.iter_mut().zip(steps) {
            for j in 0..4 {
                step[lane / 4][lane % 4 * 4 + j] = bytes[j] | bytes[4 + j] << 4;
            }
        }
    }
}

impl WeightGroup for Q8Group {
    const ZERO: i32 = 128;

    type Step = [Quad; 4];

    #[inline(always)]
    fn as_quads(groups: &[Self]) -> &[Quad] {
        groups.as_flattened()
    }

    #[inline(always)]
    fn split_group<'a>(tile: &mut &'a [Quad], steps: usize) -> ([F32x4; 2], &'a [[Quad; 4]]) {
        let (scales, quads) = split(tile, 4 * steps);
        (scales, quads.as_chunks().0)
    }

    #[inline(always)]
    fn quads<F: Form>(step: &[Quad; 4]) -> [[Bits; 2]; 2] {
        let [a, b, c, d] = step.each_ref().map(|quad| F::byte(Bits::load(quad)));
        [[a, b], [c, d]]
    }

    #[inline(always)]
    fn start<F: Form>(start: Bits) -> Bits {
        F::byte_start(start)
    }

    fn scale(&self, lane: usize) -> u16 {
        u16::from_le_bytes([self[0][2 * lane], self[0][2 * lane + 1]])
    }

    fn value(&self, lane: usize, i: usize) -> i32 {
        i32::from(self[1 + i / 4 * 2 + lane / 4][lane % 4 * 4 + i % 4]) - Self::ZERO
    }

    fn set(&mut self, lane: usize, scale: u16, bytes: &[u8; GROUP]) {
        self[0][2 * lane..][..2].copy_from_slice(&scale.to_le_bytes());
        let (quads, _) = bytes.as_chunks::<4>();
        for (quad, bytes) in self[1..].as_chunks_mut::<2>().0.iter_mut().zip(quads) {
            quad[lane / 4][lane % 4 * 4..][..4].copy_from_slice(bytes);
        }
    }
}

#[inline(always)]
fn split<'a>(tile: &mut &'a [Quad], quads: usize) -> ([F32x4; 2], &'a [Quad]) {
    let (head, rest) = tile.split_at(1);
    let (quads, rest) = rest.split_at(quads);
    *tile = rest;
    (Bits::load(&head[0]).to_scales(), quads)
}

/// How rows are cut: full blocks and those with some rows missing, then maybe
/// a row alone.
pub fn blocks_of(rows: usize) -> (usize, bool) {
    let alone = rows % BLOCK_ROWS == 1;
    (rows.div_ceil(BLOCK_ROWS) - usize::from(alone), alone)
}
