//! Maps over elements, and over rows with a vector or a factor for each row.

use crate::simd::{F32x4, LANES};

/// `out = f(x)`.
#[inline(always)]
pub fn map(x: &[f32], out: &mut [f32], f: impl Fn(F32x4) -> F32x4) {
    let (vectors, tail) = x.as_chunks::<LANES>();
    let (results, rest) = out.as_chunks_mut::<LANES>();
    for (v, result) in vectors.iter().zip(results) {
        f(F32x4::load(v)).store(result);
    }
    f(F32x4::load_partial(tail)).store_partial(rest);
}

/// `out = f(a, b)`, element by element.
#[inline(always)]
pub fn zip(a: &[f32], b: &[f32], out: &mut [f32], f: impl Fn(F32x4, F32x4) -> F32x4) {
    let (va, tail_a) = a.as_chunks::<LANES>();
    let (vb, tail_b) = b.as_chunks::<LANES>();
    let (results, rest) = out.as_chunks_mut::<LANES>();
    for ((x, y), result) in va.iter().zip(vb).zip(results) {
        f(F32x4::load(x), F32x4::load(y)).store(result);
    }
    f(F32x4::load_partial(tail_a), F32x4::load_partial(tail_b)).store_partial(rest);
}

/// `out[t] = f(x[t], w)` for each row t, element by element.
#[inline(always)]
pub fn zip_vector(x: &[f32], w: &[f32], out: &mut [f32], f: impl Fn(F32x4, F32x4) -> F32x4) {
    for (row, result) in x.chunks_exact(w.len()).zip(out.chunks_exact_mut(w.len())) {
        zip(row, w, result, &f);
    }
}

/// `out[t] = x[t] * factors[t]`.
pub fn scale_rows(x: &[f32], factors: &[f32], width: usize, out: &mut [f32]) {
    let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
    for ((row, result), factor) in rows.zip(factors) {
        map(row, result, |v| v * F32x4::splat(*factor));
    }
}

/// `out[t] = x[t, ..width] * sigmoid(x[t, width..])`.
pub fn glu(x: &[f32], width: usize, out: &mut [f32]) {
    for (row, result) in x.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
        let (values, gates) = row.split_at(width);
        zip(values, gates, result, |v, gate| v * crate::math::sigmoid(gate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LENGTHS, random};

    #[test]
    fn maps_every_element_once() {
        for n in LENGTHS {
            let (a, b) = (random(n, 1), random(n, 2));
            let mut out = vec![f32::NAN; n];
            map(&a, &mut out, |v| v + v);
            assert!(a.iter().zip(&out).all(|(x, y)| *y == x + x));
            zip(&a, &b, &mut out, |x, y| x * y);
            assert!(a.iter().zip(&b).zip(&out).all(|((x, y), z)| *z == x * y));
        }
    }

    #[test]
    fn an_element_does_not_depend_on_its_place() {
        let x = random(23, 3);
        let mut whole = vec![0.0; 23];
        map(&x, &mut whole, crate::math::gelu);
        for from in 0..23 {
            let mut part = vec![0.0; 23 - from];
            map(&x[from..], &mut part, crate::math::gelu);
            assert_eq!(part, whole[from..]);
        }
    }

    #[test]
    fn rows_take_vectors_and_factors() {
        let (x, w) = (random(21, 4), random(7, 5));
        let mut out = vec![0.0; 21];
        zip_vector(&x, &w, &mut out, |a, b| a + b);
        assert!((0..21).all(|i| out[i] == x[i] + w[i % 7]));
        scale_rows(&x, &w[..3], 7, &mut out);
        assert!((0..21).all(|i| out[i] == x[i] * w[i / 7]));
    }

    #[test]
    fn glu_gates_the_first_half() {
        let x = random(2 * 2 * 5, 6);
        let mut out = vec![0.0; 10];
        glu(&x, 5, &mut out);
        for (i, y) in out.iter().enumerate() {
            let (value, gate) = (x[i / 5 * 10 + i % 5], x[i / 5 * 10 + 5 + i % 5]);
            assert!((y - value / (1.0 + (-gate).exp())).abs() < 1e-6);
        }
    }
}
