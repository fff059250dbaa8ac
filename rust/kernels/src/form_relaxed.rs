//! Ways to multiply by relaxed SIMD.

use crate::bits::Bits;
use crate::form::Form;

/// By sums of 16 bits, for weights of four bits. A lane has 16 products of a
/// group, and starts from half of the group's start: from -30480 to 30480 in
/// all. On the way there it may wrap.
pub struct Pairs;

impl Form for Pairs {
    type Quads = Bits;

    #[inline(always)]
    fn quads(x: Bits) -> Bits {
        x
    }

    #[inline(always)]
    fn splat<const I: usize>(x: Bits) -> Bits {
        x.splat_lane::<I>()
    }

    type Weights = Bits;

    #[inline(always)]
    fn weights(w: Bits) -> Bits {
        w
    }

    #[inline(always)]
    fn multiply_add(sums: Bits, x: Bits, w: Bits) -> Bits {
        sums.add_i16(Bits::dot_i8(x, w))
    }

    #[inline(always)]
    fn finish(sums: Bits) -> Bits {
        sums.dot_i16(Bits::ones_i16())
    }

    #[inline(always)]
    fn row_start(head: Bits) -> Bits {
        head.splat_lane::<3>()
    }

    #[inline(always)]
    fn block_start(starts: Bits) -> Bits {
        starts.halves_i16()
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
    fn splat<const I: usize>(x: Bits) -> Bits {
        x.splat_lane::<I>()
    }

    type Weights = Bits;

    #[inline(always)]
    fn weights(w: Bits) -> Bits {
        w
    }

    #[inline(always)]
    fn multiply_add(sums: Bits, x: Bits, w: Bits) -> Bits {
        Bits::dot_i8_add::<S>(x, w, sums)
    }

    #[inline(always)]
    fn finish(sums: Bits) -> Bits {
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
