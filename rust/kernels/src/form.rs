//! Ways to multiply bytes of activations with bytes of weights, all to the same
//! integers. Which are there and fast is the machine's choice, found by trying.

use crate::bits::Bits;

/// Products of sixteen bytes of activations, four of each group of k, with
/// weights in 32-bit lanes: one row, four k.
pub trait Form {
    /// Activations, made ready.
    type Quads: Copy;
    /// Makes sixteen activations ready.
    fn quads(x: Bits) -> Self::Quads;
    /// Sums before the first product, where `start` is what they start from.
    fn begin(start: Bits) -> Bits;
    /// Adds the products with the four activations in lane `I`.
    fn multiply_add<const I: usize>(sums: Bits, x: Self::Quads, w: Bits) -> Bits;
    /// Sums as 32-bit lanes.
    fn finish(sums: Bits, start: Bits) -> Bits;

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
    fn begin(start: Bits) -> Bits {
        start
    }

    #[inline(always)]
    fn multiply_add<const I: usize>(sums: Bits, [even, odd]: [Bits; 2], w: Bits) -> Bits {
        let sums = sums.add_i32(w.even_bytes().dot_i16(even.splat_lane::<I>()));
        sums.add_i32(w.odd_bytes().dot_i16(odd.splat_lane::<I>()))
    }

    #[inline(always)]
    fn finish(sums: Bits, _: Bits) -> Bits {
        sums
    }
}
