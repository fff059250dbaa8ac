//! Ways to multiply by relaxed SIMD.

use crate::bits::Bits;
use crate::form::Form;

/// By sums of 16 bits, for weights of four bits: a group of 32 has 16 products
/// in a lane, each at most 128 * 15.
pub struct Pairs;

impl Form for Pairs {
    type Quads = Bits;

    #[inline(always)]
    fn quads(x: Bits) -> Bits {
        x
    }

    #[inline(always)]
    fn begin(_: Bits) -> Bits {
        Bits::zero()
    }

    #[inline(always)]
    fn multiply_add<const I: usize>(sums: Bits, x: Bits, w: Bits) -> Bits {
        sums.add_i16(Bits::dot_i8(x.splat_lane::<I>(), w))
    }

    #[inline(always)]
    fn finish(sums: Bits, start: Bits) -> Bits {
        start.add_i32(sums.dot_i16(Bits::ones_i16()))
    }
}

/// By one instruction for four products, where the machine has one; any byte of
/// weights is good, taken with its sign when `S`.
pub struct Dots<const S: bool>;

impl<const S: bool> Form for Dots<S> {
    type Quads = Bits;

    #[inline(always)]
    fn quads(x: Bits) -> Bits {
        x
    }

    #[inline(always)]
    fn begin(start: Bits) -> Bits {
        start
    }

    #[inline(always)]
    fn multiply_add<const I: usize>(sums: Bits, x: Bits, w: Bits) -> Bits {
        Bits::dot_i8_add::<S>(x.splat_lane::<I>(), w, sums)
    }

    #[inline(always)]
    fn finish(sums: Bits, _: Bits) -> Bits {
        sums
    }

    #[inline(always)]
    fn byte(w: Bits) -> Bits {
        if S { w.flip_signs() } else { w }
    }

    #[inline(always)]
    fn byte_start(start: Bits) -> Bits {
        if S { Bits::zero() } else { start.times_16() }
    }
}
