//! AltUp: several streams `[A, T, D]` of which a layer computes one. Each
//! function makes rows `rows` of one stream of the result.

use crate::elementwise::zip;
use crate::simd::{F32x4, LANES};

/// Most streams there may be.
pub const MAX_STREAMS: usize = 8;

/// Elements whose sums are under way at a time.
const BLOCK: usize = 4 * LANES;

/// A stream's rows among the streams.
#[derive(Clone, Copy)]
pub struct Streams<'a> {
    /// `[A, T, D]`.
    pub x: &'a [f32],
    /// Elements of a stream, T * D.
    pub stride: usize,
    /// D.
    pub width: usize,
}

impl<'a> Streams<'a> {
    fn count(&self) -> usize {
        self.x.len() / self.stride
    }

    fn row(&self, stream: usize, row: usize) -> &'a [f32] {
        &self.x[stream * self.stride + row * self.width..][..self.width]
    }
}

/// `out[t] = x[stream, t] + sum_j coefs[t, stream * A + j] x[j, t]` for rows from `first` on.
pub fn altup_predict(x: Streams, coefs: &[f32], stream: usize, first: usize, out: &mut [f32]) {
    let streams = x.count();
    for (result, row) in out.chunks_exact_mut(x.width).zip(first..) {
        let coefs = &coefs[(row * streams + stream) * streams..][..streams];
        let mut sources = [&[][..]; MAX_STREAMS];
        for (j, source) in sources.iter_mut().enumerate().take(streams) {
            *source = x.row(j, row);
        }
        let sources = &sources[..streams];
        let whole = x.width - x.width % BLOCK;
        let (blocks, tail) = result.split_at_mut(whole);
        for (result, i) in blocks.as_chunks_mut::<BLOCK>().0.iter_mut().zip((0..).step_by(BLOCK)) {
            let mut sums = [F32x4::zero(); BLOCK / LANES];
            for (source, coef) in sources.iter().zip(coefs) {
                let (x, coef) = (block(source, i), F32x4::splat(*coef));
                sums = core::array::from_fn(|n| sums[n] + F32x4::load(&x[n]) * coef);
            }
            let own = block(sources[stream], i);
            let results = result.as_chunks_mut::<LANES>().0.iter_mut();
            for ((sum, own), result) in sums.into_iter().zip(own).zip(results) {
                (sum + F32x4::load(&own)).store(result);
            }
        }
        for (result, i) in tail.chunks_mut(LANES).zip((whole..).step_by(LANES)) {
            let at = |row: &[f32]| F32x4::load_partial(&row[i..i + result.len()]);
            let products =
                sources.iter().zip(coefs).map(|(row, coef)| at(row) * F32x4::splat(*coef));
            let sum = products.fold(F32x4::zero(), |sum, product| sum + product);
            (sum + at(sources[stream])).store_partial(result);
        }
    }
}

/// The vectors of a block, whose number the compiler knows: so they stay in registers.
#[inline(always)]
fn block(row: &[f32], start: usize) -> [[f32; LANES]; BLOCK / LANES] {
    let block: &[f32; BLOCK] = row[start..].first_chunk().expect("a whole block");
    core::array::from_fn(|n| block.as_chunks().0[n])
}

/// `out[t] = predicted[stream, t] + (activated[t] - predicted[active, t]) * (coefs[t, stream] + 1)`
/// for rows from `first` on; activated and coefs from row 0 on.
pub fn altup_correct(
    predicted: Streams,
    activated: &[f32],
    coefs: &[f32],
    [stream, active]: [usize; 2],
    first: usize,
    out: &mut [f32],
) {
    let (width, streams) = (predicted.width, predicted.count());
    for (result, row) in out.chunks_exact_mut(width).zip(first..) {
        let factor = F32x4::splat(coefs[row * streams + stream] + 1.0);
        let own = predicted.row(stream, row);
        let innovation = predicted.row(active, row);
        let activated = &activated[row * width..][..width];
        // The change first, then what changes: two operands at a time.
        zip(activated, innovation, result, |new, old| (new - old) * factor);
        add_to(result, own);
    }
}

#[inline(always)]
fn add_to(out: &mut [f32], x: &[f32]) {
    let (results, rest) = out.as_chunks_mut::<LANES>();
    let (vectors, tail) = x.as_chunks::<LANES>();
    for (result, v) in results.iter_mut().zip(vectors) {
        (F32x4::load(v) + F32x4::load(result)).store(result);
    }
    (F32x4::load_partial(tail) + F32x4::load_partial(rest)).store_partial(rest);
}

/// Elements from `first` on of the mean over streams.
pub fn mean_streams(x: &[f32], streams: usize, first: usize, out: &mut [f32]) {
    let stride = x.len() / streams;
    out.copy_from_slice(&x[first..first + out.len()]);
    let divisor = F32x4::splat(streams as f32);
    for stream in 1..streams {
        let source = &x[stream * stride + first..][..out.len()];
        let last = stream + 1 == streams;
        let (results, rest) = out.as_chunks_mut::<LANES>();
        let (vectors, tail) = source.as_chunks::<LANES>();
        let sum = |a: F32x4, b: F32x4| if last { (a + b) / divisor } else { a + b };
        for (result, v) in results.iter_mut().zip(vectors) {
            sum(F32x4::load(result), F32x4::load(v)).store(result);
        }
        sum(F32x4::load_partial(rest), F32x4::load_partial(tail)).store_partial(rest);
    }
}

/// Elements from `first` on of `x` with `y` added to every stream but the first.
pub fn add_to_streams(x: &[f32], y: &[f32], first: usize, out: &mut [f32]) {
    let mut done = 0;
    while done < out.len() {
        let at = first + done;
        let (stream, offset) = (at / y.len(), at % y.len());
        let n = (y.len() - offset).min(out.len() - done);
        let (source, result) = (&x[at..at + n], &mut out[done..done + n]);
        if stream == 0 {
            result.copy_from_slice(source);
        } else {
            zip(source, &y[offset..offset + n], result, |a, b| a + b);
        }
        done += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, random};

    const A: usize = 3;
    const T: usize = 5;
    const D: usize = 7;

    fn streams(x: &[f32]) -> Streams<'_> {
        Streams { x, stride: T * D, width: D }
    }

    #[test]
    fn predicts_from_all_streams() {
        let (x, coefs) = (random(A * T * D, 1), random(T * A * A, 2));
        for stream in 0..A {
            let mut out = vec![0.0; 2 * D];
            altup_predict(streams(&x), &coefs, stream, 3, &mut out);
            let wanted: Vec<f32> = (3 * D..5 * D)
                .map(|i| {
                    let coefs = &coefs[i / D * A * A + stream * A..];
                    let sum: f32 = (0..A).map(|j| coefs[j] * x[j * T * D + i]).sum();
                    sum + x[stream * T * D + i]
                })
                .collect();
            assert_close(&out, &wanted, 1e-6, "altup_predict");
        }
    }

    #[test]
    fn corrects_by_the_innovation() {
        let (x, y, coefs) = (random(A * T * D, 1), random(T * D, 2), random(T * A, 3));
        for stream in 0..A {
            let mut out = vec![0.0; 3 * D];
            altup_correct(streams(&x), &y, &coefs, [stream, 1], 2, &mut out);
            let wanted: Vec<f32> = (2 * D..5 * D)
                .map(|i| {
                    let factor = coefs[i / D * A + stream] + 1.0;
                    x[stream * T * D + i] + (y[i] - x[T * D + i]) * factor
                })
                .collect();
            assert_close(&out, &wanted, 1e-6, "altup_correct");
        }
    }

    #[test]
    fn averages_and_adds() {
        let (x, y) = (random(A * T * D, 1), random(T * D, 2));
        let mut out = vec![0.0; 11];
        mean_streams(&x, A, 9, &mut out);
        for (i, mean) in out.iter().enumerate() {
            let sum: f32 = (0..A).map(|s| x[s * T * D + 9 + i]).sum();
            assert!((mean - sum / A as f32).abs() < 1e-6);
        }
        let mut sums = vec![0.0; A * T * D - 10];
        add_to_streams(&x, &y, 10, &mut sums);
        for (i, sum) in sums.iter().enumerate() {
            let added = if 10 + i < T * D { 0.0 } else { y[(10 + i) % (T * D)] };
            assert_eq!(*sum, x[10 + i] + added);
        }
    }
}
