//! The index of the largest of a row, in two steps: the largest of each part of
//! it, then where the first of those lies.

use crate::simd::{F32x4, LANES};

/// Vectors that are looked at together: none waits for the one before.
const TOGETHER: usize = 4;

/// The largest element, or NaN where there is one; -Infinity of none.
pub fn largest(x: &[f32]) -> f32 {
    let infinity = F32x4::splat(f32::INFINITY);
    let mut most = [F32x4::splat(f32::NEG_INFINITY); TOGETHER];
    // Sums of +Infinity and NaN, which are NaN only where there is one.
    let mut odd = [F32x4::zero(); TOGETHER];
    let (vectors, tail) = x.as_chunks::<LANES>();
    let (blocks, rest) = vectors.as_chunks::<TOGETHER>();
    let mut look = |i: usize, v: &[f32; LANES]| {
        let v = F32x4::load(v);
        most[i] = most[i].max(v);
        odd[i] = odd[i] + v.select_lt(infinity, F32x4::zero(), v);
    };
    for block in blocks {
        for (i, v) in block.iter().enumerate() {
            look(i, v);
        }
    }
    for v in rest {
        look(0, v);
    }
    let most = most[0].max(most[1]).max(most[2].max(most[3])).lanes();
    let odd = ((odd[0] + odd[1]) + (odd[2] + odd[3])).lanes();
    if odd.iter().chain(tail).any(|x| x.is_nan()) {
        return f32::NAN;
    }
    most.iter().chain(tail).fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

/// The index of the largest element, the first of equals; -1 where one is NaN
/// or none is above -Infinity. `maxima` are what [`largest`] gives of each
/// `part` elements.
pub fn argmax(row: &[f32], maxima: &[f32], part: usize) -> f32 {
    let mut best = f32::NEG_INFINITY;
    let mut first = None;
    for (i, most) in maxima.iter().enumerate() {
        if most.is_nan() {
            return -1.0;
        }
        if *most > best {
            best = *most;
            first = Some(i * part);
        }
    }
    let index = first.and_then(|first| {
        let within = row.get(first..)?.iter().position(|x| *x == best)?;
        Some(first + within)
    });
    index.map_or(-1.0, |index| index as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LENGTHS, random};

    fn in_parts(row: &[f32], part: usize) -> f32 {
        let maxima: Vec<f32> = row.chunks(part).map(largest).collect();
        argmax(row, &maxima, part)
    }

    fn reference(row: &[f32]) -> f32 {
        let mut best = (f32::NEG_INFINITY, -1.0);
        for (i, x) in row.iter().enumerate() {
            if x.is_nan() {
                return -1.0;
            }
            if *x > best.0 {
                best = (*x, i as f32);
            }
        }
        best.1
    }

    #[test]
    fn finds_the_first_of_the_largest_at_every_place() {
        for n in LENGTHS {
            for part in [1, 5, 64, 100] {
                let row = random(n, 1);
                assert_eq!(in_parts(&row, part), reference(&row), "{n} in parts of {part}");
                for i in (0..n).step_by(1 + n / 200) {
                    let mut row = row.clone();
                    row[i] = 2.0;
                    assert_eq!(in_parts(&row, part), i as f32, "{n} in parts of {part}");
                    row[n - 1] = 2.0;
                    assert_eq!(in_parts(&row, part), i as f32, "equals in parts of {part}");
                }
            }
        }
    }

    #[test]
    fn takes_zeros_as_equals_and_infinity_as_a_number() {
        for n in [2, 7, 65, 130] {
            let mut row = vec![-0.0; n];
            row[n - 1] = 0.0;
            assert_eq!(in_parts(&row, 64), 0.0);
            row[n / 2] = f32::INFINITY;
            row[n - 1] = f32::INFINITY;
            assert_eq!(in_parts(&row, 64), (n / 2) as f32);
            row.fill(f32::NEG_INFINITY);
            assert_eq!(in_parts(&row, 64), -1.0);
            row[n - 1] = f32::MIN;
            assert_eq!(in_parts(&row, 64), (n - 1) as f32);
        }
    }

    #[test]
    fn a_nan_anywhere_gives_none() {
        for n in LENGTHS {
            for i in 0..n {
                for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001)] {
                    let mut row = vec![f32::INFINITY; n];
                    row[i] = nan;
                    assert_eq!(in_parts(&row, 64), -1.0, "{n}, NaN at {i}");
                }
            }
        }
    }
}
