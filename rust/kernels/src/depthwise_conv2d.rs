//! Convolution with one filter for each channel, over a picture `[Y, X, C]`.

use crate::picture::Windows;
use crate::simd::{F32x4, LANES};
use core::ops::Range;

/// Vectors of channels summed at a time.
const VECTORS: usize = 4;

/// Places of the result from `first` on, `[places, C]`; w `[KY, KX, C]`.
pub fn depthwise_conv2d(windows: &Windows, w: &[f32], first: usize, out: &mut [f32]) {
    let channels = windows.channels;
    for (row, index) in out.chunks_exact_mut(channels).zip(first..) {
        let inside = windows.inside(index);
        let corner = windows.corner(index, &inside);
        let mut start = 0;
        for block in row.chunks_mut(VECTORS * LANES) {
            if block.len() == VECTORS * LANES {
                sum_channels::<VECTORS>(windows, w, &inside, corner, start, block);
            } else {
                for (i, part) in block.chunks_mut(LANES).enumerate() {
                    sum_channels::<1>(windows, w, &inside, corner, start + i * LANES, part);
                }
            }
            start += block.len();
        }
    }
}

#[inline(always)]
fn sum_channels<const N: usize>(
    windows: &Windows,
    w: &[f32],
    [ys, xs]: &[Range<usize>; 2],
    corner: usize,
    start: usize,
    out: &mut [f32],
) {
    let channels = windows.channels;
    let mut sums = [F32x4::zero(); N];
    for (y, ky) in ys.clone().enumerate() {
        let mut x_at = corner + y * windows.size[1] * channels + start;
        let mut w_at = (ky * windows.kernel[1] + xs.start) * channels + start;
        for _ in xs.clone() {
            let x = windows.x[x_at..x_at + out.len()].chunks(LANES);
            let w = w[w_at..w_at + out.len()].chunks(LANES);
            for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                *sum = *sum + F32x4::load_partial(x) * F32x4::load_partial(w);
            }
            x_at += channels;
            w_at += channels;
        }
    }
    for (sum, part) in sums.iter().zip(out.chunks_mut(LANES)) {
        sum.store_partial(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, random};

    #[test]
    fn matches_the_sum_over_taps() {
        let [y, x] = [6, 5];
        for channels in [1, 4, 7, 16, 37] {
            let (kernel, stride, padding) = ([3, 2], [2, 1], [1, 1]);
            let picture = random(y * x * channels, 1);
            let w = random(6 * channels, 2);
            let size = [(y + 2 - 3) / 2 + 1, x + 2 - 2 + 1];
            let windows = Windows {
                x: &picture,
                size: [y, x],
                channels,
                kernel,
                stride,
                padding,
                columns: size[1],
            };
            let mut out = vec![f32::NAN; size[0] * size[1] * channels];
            let mut wanted = vec![0.0; out.len()];
            for (i, sum) in wanted.iter_mut().enumerate() {
                let (place, c) = (i / channels, i % channels);
                for tap in 0..6 {
                    let iy = (place / size[1] * 2 + tap / 2).wrapping_sub(1);
                    let ix = (place % size[1] + tap % 2).wrapping_sub(1);
                    if iy < y && ix < x {
                        *sum += picture[(iy * x + ix) * channels + c] * w[tap * channels + c];
                    }
                }
            }
            depthwise_conv2d(&windows, &w, 0, &mut out);
            assert_close(&out, &wanted, 1e-6, "depthwise_conv2d");
        }
    }
}
