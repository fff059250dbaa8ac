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
/// Bytes of a row's activations in a group.
pub const ROW_GROUP_BYTES: usize = 40;

/// Sixteen bytes: four outputs or rows, four k each.
pub type Quad = [u8; BYTES];

/// A group of k of a tile.
pub trait WeightGroup: Copy {
    /// The byte that stands for zero.
    const ZERO: i32;

    /// The eight scales over [`crate::scale::SCALE_UNIT`].
    fn scales(&self) -> [F32x4; 2];

    /// Weights 8 `step` to 8 `step + 1` of k: two quads for each half of the
    /// outputs, `[quad][half]`.
    fn quads<F: Form>(&self, step: usize) -> [[Bits; 2]; 2];

    /// What sums start from so that the zero cancels, where `start` is -8 times
    /// the sum of the activations.
    fn start<F: Form>(start: Bits) -> Bits;

    /// The scale of output `lane`.
    fn scale(&self, lane: usize) -> u16;

    /// Weight `i` of output `lane` over its scale.
    fn value(&self, lane: usize, i: usize) -> i32;

    /// A group of zeros.
    #[cfg(test)]
    fn zero() -> Self;

    /// Sets output `lane`: a scale and bytes.
    fn set(&mut self, lane: usize, scale: u16, bytes: &[u8; GROUP]);
}

/// Weights of four bits, zero at 8. Quad 2s is the low halves of step s, quad
/// 2s + 1 the high ones.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Q4Group {
    scales: Quad,
    steps: [[Quad; 2]; 4],
}

/// Weights of eight bits, zero at 128.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Q8Group {
    scales: Quad,
    quads: [[Quad; 2]; 8],
}

impl WeightGroup for Q4Group {
    const ZERO: i32 = 8;

    #[cfg(test)]
    fn zero() -> Self {
        Self { scales: [0; BYTES], steps: [[[0; BYTES]; 2]; 4] }
    }

    #[inline(always)]
    fn scales(&self) -> [F32x4; 2] {
        Bits::load(&self.scales).to_scales()
    }

    #[inline(always)]
    fn quads<F: Form>(&self, step: usize) -> [[Bits; 2]; 2] {
        let [a, b] = &self.steps[step];
        let (a, b) = (Bits::load(a), Bits::load(b));
        [[a.low_nibbles(), b.low_nibbles()], [a.high_nibbles(), b.high_nibbles()]]
    }

    #[inline(always)]
    fn start<F: Form>(start: Bits) -> Bits {
        start
    }

    fn scale(&self, lane: usize) -> u16 {
        u16::from_le_bytes([self.scales[2 * lane], self.scales[2 * lane + 1]])
    }

    fn value(&self, lane: usize, i: usize) -> i32 {
        let byte = self.steps[i / 8][lane / 4][lane % 4 * 4 + i % 4];
        i32::from(if i % 8 < 4 { byte & 15 } else { byte >> 4 }) - Self::ZERO
    }

    fn set(&mut self, lane: usize, scale: u16, bytes: &[u8; GROUP]) {
        self.scales[2 * lane..][..2].copy_from_slice(&scale.to_le_bytes());
        let (steps, _) = bytes.as_chunks::<8>();
        for (step, bytes) in self.steps.iter_mut().zip(steps) {
            for j in 0..4 {
                step[lane / 4][lane % 4 * 4 + j] = bytes[j] | bytes[4 + j] << 4;
            }
        }
    }
}

impl WeightGroup for Q8Group {
    const ZERO: i32 = 128;

    #[cfg(test)]
    fn zero() -> Self {
        Self { scales: [0; BYTES], quads: [[[0; BYTES]; 2]; 8] }
    }

    #[inline(always)]
    fn scales(&self) -> [F32x4; 2] {
        Bits::load(&self.scales).to_scales()
    }

    #[inline(always)]
    fn quads<F: Form>(&self, step: usize) -> [[Bits; 2]; 2] {
        let load = |quad: &Quad| F::byte(Bits::load(quad));
        let [even, odd] = [&self.quads[2 * step], &self.quads[2 * step + 1]];
        [[load(&even[0]), load(&even[1])], [load(&odd[0]), load(&odd[1])]]
    }

    #[inline(always)]
    fn start<F: Form>(start: Bits) -> Bits {
        F::byte_start(start)
    }

    fn scale(&self, lane: usize) -> u16 {
        u16::from_le_bytes([self.scales[2 * lane], self.scales[2 * lane + 1]])
    }

    fn value(&self, lane: usize, i: usize) -> i32 {
        i32::from(self.quads[i / 4][lane / 4][lane % 4 * 4 + i % 4]) - Self::ZERO
    }

    fn set(&mut self, lane: usize, scale: u16, bytes: &[u8; GROUP]) {
        self.scales[2 * lane..][..2].copy_from_slice(&scale.to_le_bytes());
        let (quads, _) = bytes.as_chunks::<4>();
        for (quad, bytes) in self.quads.iter_mut().zip(quads) {
            quad[lane / 4][lane % 4 * 4..][..4].copy_from_slice(bytes);
        }
    }
}

/// Activations of a group of one row.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RowGroup {
    /// Times [`crate::scale::SCALE_UNIT`].
    pub scale: f32,
    /// -8 times the sum.
    pub start: i32,
    pub quads: [Quad; 2],
}

/// Activations of a group of four rows, side by side.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BlockGroup {
    /// Times [`crate::scale::SCALE_UNIT`].
    pub scales: [f32; BLOCK_ROWS],
    /// -8 times the sums.
    pub starts: [i32; BLOCK_ROWS],
    pub quads: [Quad; 8],
}

/// How rows are cut: full blocks and those with some rows missing, then maybe
/// a row alone.
pub fn blocks_of(rows: usize) -> (usize, bool) {
    let alone = rows % BLOCK_ROWS == 1;
    (rows.div_ceil(BLOCK_ROWS) - usize::from(alone), alone)
}

#[cfg(test)]
impl RowGroup {
    pub fn zero() -> Self {
        Self { scale: 0.0, start: 0, quads: [[0; BYTES]; 2] }
    }
}

#[cfg(test)]
impl BlockGroup {
    pub fn zero() -> Self {
        Self { scales: [0.0; 4], starts: [0; 4], quads: [[0; BYTES]; 8] }
    }
}
