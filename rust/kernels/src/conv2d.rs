//! Convolution over a picture `[Y, X, C]`: windows laid out as rows of
//! `[KY, KX, C]`, then the matrix product.

use crate::matmul::matmul;
use crate::picture::Windows;
use crate::rows::RowsMut;

/// Places of the result from `first` on, `[places, F]`. `tiles` is the weight
/// with k in the order KY, KX, C; `windows_rows` has room for all windows.
pub fn conv2d(
    windows: &Windows,
    tiles: &[f32],
    first: usize,
    window_rows: &mut [f32],
    out: &mut RowsMut,
) {
    let k = windows.kernel[0] * windows.kernel[1] * windows.channels;
    let window_rows = &mut window_rows[..out.rows() * k];
    for (row, index) in window_rows.chunks_exact_mut(k).zip(first..) {
        windows.copy_window(index, row);
    }
    matmul(window_rows, k, tiles, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::pack_tiles;
    use crate::testing::{assert_close, random};
    use crate::tile::TILE;

    #[test]
    fn matches_the_sum_over_taps() {
        let ([y, x], channels, outputs) = ([7, 6], 3, 10);
        for (kernel, stride, padding) in
            [([3, 3], [2, 2], [1, 0]), ([1, 1], [2, 1], [0, 0]), ([3, 2], [1, 1], [1, 1])]
        {
            let taps = kernel[0] * kernel[1];
            let picture = random(y * x * channels, 1);
            let w = random(outputs * channels * taps, 2);
            let mut tiles = vec![0.0; outputs.div_ceil(TILE) * TILE * channels * taps];
            pack_tiles(&w, &mut tiles, 0, channels * taps, taps);
            let size: [usize; 2] =
                core::array::from_fn(|a| ([y, x][a] + 2 * padding[a] - kernel[a]) / stride[a] + 1);
            let windows = Windows {
                x: &picture,
                size: [y, x],
                channels,
                kernel,
                stride,
                padding,
                columns: size[1],
            };
            let places = size[0] * size[1];
            let mut out = vec![0.0; places * outputs];
            let mut wanted = out.clone();
            for (place, row) in wanted.chunks_mut(outputs).enumerate() {
                for (o, sum) in row.iter_mut().enumerate() {
                    for tap in 0..taps {
                        let iy = (place / size[1] * stride[0] + tap / kernel[1])
                            .wrapping_sub(padding[0]);
                        let ix = (place % size[1] * stride[1] + tap % kernel[1])
                            .wrapping_sub(padding[1]);
                        if iy < y && ix < x {
                            for c in 0..channels {
                                *sum += picture[(iy * x + ix) * channels + c]
                                    * w[(o * channels + c) * taps + tap];
                            }
                        }
                    }
                }
            }
            let mut scratch = vec![f32::NAN; places * channels * taps];
            conv2d(
                &windows,
                &tiles,
                0,
                &mut scratch,
                &mut RowsMut::new(&mut out, outputs, 0, outputs),
            );
            assert_close(&out, &wanted, 1e-6, "conv2d");
        }
    }
}
