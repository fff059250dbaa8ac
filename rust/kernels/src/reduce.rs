//! Sums over a row: lanes within blocks of [`BLOCK`], the blocks in f64, so
//! that the error does not grow with the row.

use crate::simd::{F32x4, LANES};

/// Elements summed in f32 before they are added in f64.
const BLOCK: usize = 64;

/// Sum of `f` over the elements. `f` must map zero to zero: tails are padded.
#[inline(always)]
fn sum_of(x: &[f32], f: impl Fn(F32x4) -> F32x4) -> f64 {
    let mut total = 0.0;
    for block in x.chunks(BLOCK) {
        let (vectors, tail) = block.as_chunks::<LANES>();
        let mut sum = F32x4::zero();
        for v in vectors {
            sum = sum + f(F32x4::load(v));
        }
        if !tail.is_empty() {
            sum = sum + f(F32x4::load_partial(tail));
        }
        total += f64::from(sum.horizontal_sum());
    }
    total
}

/// Sum of the elements.
pub fn sum(x: &[f32]) -> f64 {
    sum_of(x, |v| v)
}

/// Sum of the squares of the elements.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    sum_of(x, |v| v * v)
}

/// Mean, and sum of the squared distances from it, of a row that is not empty.
pub fn mean_and_squared_distances(x: &[f32]) -> (f64, f64) {
    let mean = sum(x) / x.len() as f64;
    let centre = F32x4::splat(mean as f32);
    let (whole, tail) = x.split_at(x.len() - x.len() % LANES);
    let mut squares = sum_of(whole, |v| (v - centre) * (v - centre));
    for v in tail {
        let distance = f64::from(*v) - f64::from(mean as f32);
        squares += distance * distance;
    }
    // The centre was rounded to f32: take the square of what it is off back out.
    let off = mean - f64::from(mean as f32);
    (mean, squares - x.len() as f64 * off * off)
}

/// Dot product: four lanes of running sums, then across them.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (va, tail_a) = a.as_chunks::<LANES>();
    let (vb, tail_b) = b.as_chunks::<LANES>();
    let mut sum = F32x4::zero();
    for (x, y) in va.iter().zip(vb) {
        sum = sum + F32x4::load(x) * F32x4::load(y);
    }
    if !tail_a.is_empty() {
        sum = sum + F32x4::load_partial(tail_a) * F32x4::load_partial(tail_b);
    }
    sum.horizontal_sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LENGTHS, random};

    #[test]
    fn sums_match_f64() {
        for n in LENGTHS {
            let x = random(n, 3);
            let exact: f64 = x.iter().map(|v| f64::from(*v)).sum();
            let squares: f64 = x.iter().map(|v| f64::from(*v).powi(2)).sum();
            assert!((sum(&x) - exact).abs() < 2e-6 * (n as f64).sqrt().max(1.0));
            assert!((sum_of_squares(&x) - squares).abs() < 1e-6 * squares.max(1.0));
        }
    }

    #[test]
    fn distances_do_not_cancel_far_from_zero() {
        for n in LENGTHS.into_iter().filter(|n| *n > 0) {
            let x: Vec<f32> = random(n, 5).iter().map(|v| v + 1000.0).collect();
            let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
            let exact: f64 = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
            let (found, squares) = mean_and_squared_distances(&x);
            assert!((found - mean).abs() < 1e-4);
            assert!((squares - exact).abs() < 1e-4 * exact + 1e-3, "{n}: {squares} {exact}");
        }
    }

    #[test]
    fn dot_matches_f64() {
        for n in LENGTHS {
            let (a, b) = (random(n, 7), random(n, 8));
            let exact: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-6 * (n as f64).max(1.0));
        }
    }
}
