//! Ways to multiply bytes of activations with bytes of weights, all to the same
//! integers. Which are there and fast is the machine's choice, found by trying.

use crate::bits::Bits;

/// Products of sixteen bytes of activations with as many of weights: four k in
/// each 32-bit lane.
pub trait Form {
    /// Activations, made ready.
    type Quads: Copy;
    /// Makes sixteen activations ready.
    fn quads(x: Bits) -> Self::Quads;
    /// All lanes set to the four activations in lane `I`.
    fn splat<const I: usize>(x: Self::Quads) -> Self::Quads;
    /// Weights, made ready.
    type Weights: Copy;
    /// Makes weights ready, once for all rows that meet them.
    fn weights(w: Bits) -> Self::Weights;
    /// Adds the products, lane by lane.
    fn multiply_add(sums: Bits, x: Self::Quads, w: Self::Weights) -> Bits;
    /// Sums as 32-bit lanes.
    fn finish(sums: Bits) -> Bits;

    /// What sums of a row alone start from, -8 times the sum of its
    /// activations, where `head` is the first quad of its group.
    #[inline(always)]
    fn row_start(head: Bits) -> Bits {
        head.splat_lane::<1>()
    }

    /// As [`Self::row_start`] of four rows, from -8 times their sums.
    #[inline(always)]
    fn block_start(starts: Bits) -> Bits {
        starts
    }

    /// Makes bytes of weights ready whose zero is 128.
    #[inline(always)]
    fn byte(w: Bits) -> Bits {
        w
    }

    /// What sums of their products start from, where `start` is -8 times the
    /// sum of the activations.
    #[inline(always)]
    fn byte_start(start: Bits) -> Bits {
        start.times_16()
    }
}

/// By products of 16-bit lanes, for every machine and any byte.
pub struct Wide;

impl Form for Wide {
    type Quads = [Bits; 2];

    #[inline(always)]
    fn quads(x: Bits) -> [Bits; 2] {
        [x.even_bytes_signed(), x.odd_bytes_signed()]
    }

    #[inline(always)]
    fn splat<const I: usize>(x: [Bits; 2]) -> [Bits; 2] {
        x.map(Bits::splat_lane::<I>)
    }

    type Weights = [Bits; 2];

    #[inline(always)]
    fn weights(w: Bits) -> [Bits; 2] {
        [w.even_bytes(), w.odd_bytes()]
    }

    #[inline(always)]
    fn multiply_add(sums: Bits, x: [Bits; 2], w: [Bits; 2]) -> Bits {
        sums.add_i32(w[0].dot_i16(x[0])).add_i32(w[1].dot_i16(x[1]))
    }

    #[inline(always)]
    fn finish(sums: Bits) -> Bits {
        sums
    }
}
