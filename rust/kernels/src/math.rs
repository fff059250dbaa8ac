//! exp, tanh and the activations made of them, four at a time, each within a
//! few units in the last place.

use crate::simd::{F32x4, I32x4, constant};

/// e to the power of `x`. Overflows to infinity, underflows through the
/// subnormal numbers to zero.
#[inline(always)]
pub fn exp(x: F32x4) -> F32x4 {
    // ln 2 in two parts, the first short enough that its product with n is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Beyond these the result is 0 or infinity anyway; n stays within -152 .. 128.
    let x = x.max(constant!(-105.0)).min(constant!(89.0));
    // Of numbers this large the last bit is worth 1: the sum is rounded, and
    // its bits are those of ROUNDER plus n.
    const ROUNDER: f32 = 12_582_912.0;
    let rounded = x * constant!(core::f32::consts::LOG2_E) + constant!(ROUNDER);
    let n = rounded - constant!(ROUNDER);
    let r = (x - n * constant!(LN2_HIGH)) - n * constant!(LN2_LOW);
    // exp(r) = 1 + r + r^2 p(r) for |r| <= ln(2) / 2. In pairs: a chain would
    // wait for each of its sums.
    let square = r * r;
    let high = constant!(1.987_569_1e-4) * r + constant!(1.398_199_9e-3);
    let middle = constant!(8.333_452e-3) * r + constant!(4.166_579_6e-2);
    let low = constant!(1.666_666_6e-1) * r + constant!(0.5);
    let p = (high * square + middle) * square + low;
    let y = constant!(1.0) + (r + square * p);
    // Two factors, because 2^n alone may not be a normal number.
    let n = rounded.bits() - I32x4::constant::<{ ROUNDER.to_bits() }>();
    let half = n.half();
    y * half.exp2() * (n - half).exp2()
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: F32x4) -> F32x4 {
    const SMALL: f32 = 0.625;
    let one = constant!(1.0);
    let magnitude = x.abs();
    let square = x * x;
    let high = constant!(-5.704_988_7e-3) * square + constant!(2.063_909e-2);
    let middle = constant!(-5.373_971_4e-2) * square + constant!(1.333_144_2e-1);
    let p = (high * (square * square) + middle) * square + constant!(-3.333_328e-1);
    let small = x + x * square * p;
    // Nearly all logits are, where they are capped.
    if magnitude.all_lt(constant!(SMALL)) {
        return small;
    }
    let e = exp(magnitude + magnitude);
    let large = (one - constant!(2.0) / (e + one)).copysign(x);
    magnitude.select_lt(constant!(SMALL), small, large)
}

/// 1 / (1 + exp(-x)).
#[inline(always)]
pub fn sigmoid(x: F32x4) -> F32x4 {
    let one = constant!(1.0);
    one / (one + exp(F32x4::zero() - x))
}

/// GELU in its tanh form, x * sigmoid(2 y) where tanh takes y.
#[inline(always)]
pub fn gelu(x: F32x4) -> F32x4 {
    const MINUS_SQRT_8_OVER_PI: f32 = -1.595_769;
    let cubic = x * x * x * constant!(0.044_715);
    let e = exp((x + cubic) * constant!(MINUS_SQRT_8_OVER_PI));
    x / (constant!(1.0) + e)
}

/// x * sigmoid(x).
#[inline(always)]
pub fn silu(x: F32x4) -> F32x4 {
    x / (constant!(1.0) + exp(F32x4::zero() - x))
}

/// [`exp`] of one number.
#[inline(always)]
pub fn exp_scalar(x: f32) -> f32 {
    exp(F32x4::splat(x)).lanes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn max_ulps(f: fn(F32x4) -> F32x4, exact: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let steps = 200_000;
        let mut worst: f64 = 0.0;
        for i in 0..=steps {
            let x = from + (to - from) * (i as f32 / steps as f32);
            let found = f64::from(f(F32x4::splat(x)).lanes()[2]);
            let wanted = exact(f64::from(x));
            let ulp = f64::from((wanted as f32).abs().next_up() - (wanted as f32).abs());
            worst = worst.max((found - wanted).abs() / ulp);
        }
        worst
    }

    #[test]
    fn exp_is_within_two_ulps() {
        assert!(max_ulps(exp, f64::exp, -103.0, 88.7) < 2.0);
        assert_eq!(exp(F32x4::splat(0.0)).lanes(), [1.0; 4]);
    }

    #[test]
    fn exp_saturates_and_keeps_nan() {
        assert_eq!(exp_scalar(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp_scalar(89.5), f32::INFINITY);
        assert_eq!(exp_scalar(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_scalar(-200.0), 0.0);
        assert!(exp_scalar(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_three_ulps() {
        assert!(max_ulps(tanh, f64::tanh, -12.0, 12.0) < 3.0);
        assert!(max_ulps(tanh, f64::tanh, -0.7, 0.7) < 3.0);
        assert!(max_ulps(tanh, f64::tanh, 1e-20, 1e-3) < 3.0);
        assert_eq!(tanh(F32x4::splat(50.0)).lanes()[0], 1.0);
        assert_eq!(tanh(F32x4::splat(-500.0)).lanes()[0], -1.0);
    }

    #[test]
    fn tanh_of_a_lane_does_not_depend_on_the_others() {
        let x = [0.1, -0.624, 0.626, -5.0, f32::NAN, 0.0, 0.3, -0.0];
        for first in 0..x.len() {
            let lanes: [f32; 4] = core::array::from_fn(|i| x[(first + i) % x.len()]);
            let found = tanh(F32x4::load(&lanes)).lanes();
            for (x, y) in lanes.into_iter().zip(found) {
                assert_eq!(y.to_bits(), tanh(F32x4::splat(x)).lanes()[0].to_bits());
                assert!((y - x.tanh()).abs() < 1e-6 || x.is_nan() && y.is_nan());
            }
        }
    }

    #[test]
    fn sigmoid_and_silu_are_within_four_ulps() {
        assert!(max_ulps(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -80.0, 80.0) < 4.0);
        assert!(max_ulps(silu, |x| x / (1.0 + (-x).exp()), 1e-3, 80.0) < 4.0);
        assert_eq!(silu(F32x4::splat(-1000.0)).lanes()[0], 0.0);
    }

    #[test]
    fn gelu_is_close_for_positive_and_absolute_for_negative() {
        fn exact(x: f64) -> f64 {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        assert!(max_ulps(gelu, exact, 1e-3, 20.0) < 4.0);
        // 1 + tanh cancels below zero: an absolute error of the size of x / 2^24.
        for i in 0..2000 {
            let x = -(i as f32) * 0.005;
            let error = f64::from(gelu(F32x4::splat(x)).lanes()[1]) - exact(f64::from(x));
            assert!(error.abs() <= f64::from(x.abs()) * 1.5e-7 + 1e-12, "at {x}: {error}");
        }
    }
}
