//! Layouts of quantised weights and activations: groups of 32 along k.
//!
//! A tile of weights is eight outputs, all its groups one after another; the
//! value of a weight is scale * (byte - zero). Activations are
//! signed bytes; rows come in blocks of four, the last one alone when it would
//! be alone in a block.

use crate::bits::{BYTES, Bits};
use crate::form::Form;
use crate::tile::TILE;

/// Elements of a group.
pub const GROUP: usize = 32;
/// Rows of a block of activations.
pub const BLOCK_ROWS: usize = 4;

/// Sixteen bytes: four outputs or rows, four k each.
pub type Quad = [u8; BYTES];

/// Pieces of four k in a group.
pub const PIECES: usize = GROUP / 4;
/// Quads of a group of a row alone: one that begins with a scale (f32, times
/// [`crate::scale::SCALE_UNIT`]), -8 times the sum (i32), a bit for each piece
/// that is not all zeros (u32) and half of -8 times the sum (twice an i16), two
/// of bytes.
pub const ROW_QUADS: usize = 3;
/// Quads of a group of four rows: their scales, -8 times their sums, then
/// eight of four bytes for each row.
pub const BLOCK_QUADS: usize = 10;

/// A group of k of a tile: eight scales, then quads.
pub trait WeightGroup: Copy + Default {
    /// The byte that stands for zero.
    const ZERO: i32;

    /// Quads of a group.
    const QUADS: usize;

    /// Weights of four k.
    type Piece;

    /// Consecutive groups as quads.
    fn as_quads(groups: &[Self]) -> &[Quad];

    /// As [`Self::as_quads`], to write.
    fn as_quads_mut(groups: &mut [Self]) -> &mut [Quad];

    /// Quads without scales as pieces.
    fn as_pieces(quads: &[Quad]) -> &[Self::Piece];

    /// The quad of the eight scales, and the pieces.
    fn split(&self) -> (&Quad, &[Self::Piece]);

    /// A piece, `[half of the outputs]`.
    fn piece<F: Form>(piece: &Self::Piece) -> [F::Weights; 2];

    /// What sums start from so that the zero cancels, where `start` is -8 times
    /// the sum of the activations.
    fn start<F: Form>(start: Bits) -> Bits;

    /// Lane i of group j to lane j of group i.
    fn transpose(groups: [&Self; TILE]) -> [Self; TILE];

    /// The scale of output `lane`.
    fn scale(&self, lane: usize) -> u16;

    /// Weight `i` of output `lane` over its scale.
    fn value(&self, lane: usize, i: usize) -> i32;

    /// Where output `lane` lies: calls `put` with a quad, the 32 bits in it,
    /// which of those are meant, and what they are.
    fn spread(
        lane: usize,
        scale: u16,
        bytes: &[u8; GROUP],
        put: impl FnMut(usize, usize, u32, u32),
    );
}

/// Weights of four bits, zero at 8: after the scales a quad a piece, the first
/// four outputs in the low halves of its bytes.
pub type Q4Group = [Quad; 9];

/// Weights of eight bits, zero at 128: after the scales two quads a piece, one
/// for each half of the outputs.
pub type Q8Group = [Quad; 17];

impl WeightGroup for Q4Group {
    const ZERO: i32 = 8;
    const QUADS: usize = 9;

    type Piece = Quad;

    #[inline(always)]
    fn as_quads(groups: &[Self]) -> &[Quad] {
        groups.as_flattened()
    }

    fn as_quads_mut(groups: &mut [Self]) -> &mut [Quad] {
        groups.as_flattened_mut()
    }

    #[inline(always)]
    fn as_pieces(quads: &[Quad]) -> &[Quad] {
        quads
    }

    #[inline(always)]
    fn split(&self) -> (&Quad, &[Quad]) {
        let [scales, pieces @ ..] = self;
        (scales, pieces)
    }

    #[inline(always)]
    fn piece<F: Form>(piece: &Quad) -> [F::Weights; 2] {
        let piece = Bits::load(piece);
        [piece.low_nibbles(), piece.high_nibbles()].map(F::weights)
    }

    #[inline(always)]
    fn start<F: Form>(start: Bits) -> Bits {
        start
    }

    fn transpose(groups: [&Self; TILE]) -> [Self; TILE] {
        let mut out = [Self::default(); TILE];
        transpose_scales(groups.map(|group| &group[0]), |i, scales| out[i][0] = scales);
        (1..=PIECES).for_each(|quad| {
            let [low, high] = transpose_quads(groups, quad);
            for i in 0..TILE / 2 {
                let nibbles = Bits::join_nibbles(low[i].low_nibbles(), high[i].low_nibbles());
                nibbles.store(&mut out[i][quad]);
                let nibbles = Bits::join_nibbles(low[i].high_nibbles(), high[i].high_nibbles());
                nibbles.store(&mut out[TILE / 2 + i][quad]);
            }
        });
        out
    }

    fn scale(&self, lane: usize) -> u16 {
        u16::from_le_bytes([self[0][2 * lane], self[0][2 * lane + 1]])
    }

    fn value(&self, lane: usize, i: usize) -> i32 {
        let byte = self[1 + i / 4][lane % 4 * 4 + i % 4];
        i32::from(byte >> (lane / 4 * 4) & 15) - Self::ZERO
    }

    #[inline(always)]
    fn spread(
        lane: usize,
        scale: u16,
        bytes: &[u8; GROUP],
        mut put: impl FnMut(usize, usize, u32, u32),
    ) {
        spread_scale(lane, scale, &mut put);
        let shift = lane / 4 * 4;
        for (quad, bytes) in (1..).zip(bytes.as_chunks().0) {
            put(quad, lane % 4, 0x0f0f_0f0f << shift, u32::from_le_bytes(*bytes) << shift);
        }
    }
}

impl WeightGroup for Q8Group {
    const ZERO: i32 = 128;
    const QUADS: usize = 17;

    type Piece = [Quad; 2];

    #[inline(always)]
    fn as_quads(groups: &[Self]) -> &[Quad] {
        groups.as_flattened()
    }

    fn as_quads_mut(groups: &mut [Self]) -> &mut [Quad] {
        groups.as_flattened_mut()
    }

    #[inline(always)]
    fn as_pieces(quads: &[Quad]) -> &[[Quad; 2]] {
        quads.as_chunks().0
    }

    #[inline(always)]
    fn split(&self) -> (&Quad, &[[Quad; 2]]) {
        let [scales, quads @ ..] = self;
        (scales, quads.as_chunks().0)
    }

    #[inline(always)]
    fn piece<F: Form>(piece: &[Quad; 2]) -> [F::Weights; 2] {
        piece.each_ref().map(|quad| F::weights(F::byte(Bits::load(quad))))
    }

    #[inline(always)]
    fn start<F: Form>(start: Bits) -> Bits {
        F::byte_start(start)
    }

    fn transpose(groups: [&Self; TILE]) -> [Self; TILE] {
        let mut out = [Self::default(); TILE];
        transpose_scales(groups.map(|group| &group[0]), |i, scales| out[i][0] = scales);
        for quad in 1..=2 * PIECES {
            // The second quad of a piece has the last four lanes.
            let (first, half) = (quad - (quad - 1) % 2, (quad - 1) % 2);
            for (part, lanes) in transpose_quads(groups, quad).iter().enumerate() {
                for (i, lanes) in lanes.iter().enumerate() {
                    lanes.store(&mut out[half * TILE / 2 + i][first + part]);
                }
            }
        }
        out
    }

    fn scale(&self, lane: usize) -> u16 {
        u16::from_le_bytes([self[0][2 * lane], self[0][2 * lane + 1]])
    }

    fn value(&self, lane: usize, i: usize) -> i32 {
        i32::from(self[1 + i / 4 * 2 + lane / 4][lane % 4 * 4 + i % 4]) - Self::ZERO
    }

    #[inline(always)]
    fn spread(
        lane: usize,
        scale: u16,
        bytes: &[u8; GROUP],
        mut put: impl FnMut(usize, usize, u32, u32),
    ) {
        spread_scale(lane, scale, &mut put);
        for (quad, bytes) in (1 + lane / 4..).step_by(2).zip(bytes.as_chunks().0) {
            put(quad, lane % 4, u32::MAX, u32::from_le_bytes(*bytes));
        }
    }
}

#[inline(always)]
fn spread_scale(lane: usize, scale: u16, put: &mut impl FnMut(usize, usize, u32, u32)) {
    let shift = lane % 2 * 16;
    put(0, lane / 2, 0xffff << shift, u32::from(scale) << shift);
}

/// Gives `put` the scales of each lane of eight groups.
#[inline(always)]
fn transpose_scales(scales: [&Quad; TILE], mut put: impl FnMut(usize, Quad)) {
    for lane in 0..TILE {
        put(lane, core::array::from_fn(|i| scales[i / 2][2 * lane + i % 2]));
    }
}

/// The lanes of a quad of the first four of eight groups, then of the others.
#[inline(always)]
fn transpose_quads<const N: usize>(groups: [&[Quad; N]; TILE], quad: usize) -> [[Bits; 4]; 2] {
    let load = |first: usize| [0, 1, 2, 3].map(|i| Bits::load(&groups[first + i][quad]));
    [Bits::transpose(load(0)), Bits::transpose(load(4))]
}

/// How rows are cut: full blocks and those with some rows missing, then maybe
/// a row alone.
pub fn blocks_of(rows: usize) -> (usize, bool) {
    let alone = rows % BLOCK_ROWS == 1;
    (rows.div_ceil(BLOCK_ROWS) - usize::from(alone), alone)
}
