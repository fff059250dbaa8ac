//! Weights as they come from a checkpoint, into the layouts of the kernels.
//! They come in runs of elements that may start and end anywhere.

use crate::tile::TILE;

/// Decodes little-endian bfloat16.
pub fn decode_bf16(from: &[u16], to: &mut [f32]) {
    for (x, bits) in to.iter_mut().zip(from) {
        *x = f32::from_bits(u32::from(*bits) << 16);
    }
}

/// Decodes little-endian float16.
pub fn decode_f16(from: &[u16], to: &mut [f32]) {
    for (x, bits) in to.iter_mut().zip(from) {
        *x = half_to_float(*bits);
    }
}

fn half_to_float(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let rest = u32::from(bits & 0x7fff);
    if rest >= 0x7c00 {
        return f32::from_bits(sign | 0x7f80_0000 | (rest & 0x3ff) << 13);
    }
    // As the top of an f32 the exponent is off by 112; the product is exact,
    // and makes subnormal numbers normal.
    let magnitude = f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(sign | magnitude.to_bits())
}

/// Puts elements `first ..` of a matrix `[F, C, taps]` into tiles
/// `[F / 8][taps * C][8]`; `k` is taps * C. One tap for a plain matrix.
pub fn pack_tiles(from: &[f32], tiles: &mut [f32], first: usize, k: usize, taps: usize) {
    let mut rest = from;
    let mut at = first;
    while !rest.is_empty() {
        let (row, start) = (at / k, at % k);
        let (values, later) = rest.split_at(rest.len().min(k - start));
        let tile = &mut tiles[row / TILE * TILE * k..][..TILE * k];
        pack_row(values, tile.as_chunks_mut().0, row % TILE, start, taps);
        at += values.len();
        rest = later;
    }
}

/// Elements `start ..` of one row into lane `lane` of its tile.
fn pack_row(values: &[f32], tile: &mut [[f32; TILE]], lane: usize, start: usize, taps: usize) {
    if taps == 1 {
        for (place, x) in tile[start..].iter_mut().zip(values) {
            place[lane] = *x;
        }
        return;
    }
    let channels = tile.len() / taps;
    for (x, i) in values.iter().zip(start..) {
        tile[i % taps * channels + i / taps][lane] = *x;
    }
}

/// Puts elements `first ..` of filters `[C, taps]` into `[taps][C]`.
pub fn pack_channels(from: &[f32], to: &mut [f32], first: usize, taps: usize) {
    let channels = to.len() / taps;
    for (x, i) in from.iter().zip(first..) {
        to[i % taps * channels + i / taps] = *x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn decodes_every_half() {
        for bits in 0..=u16::MAX {
            let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, f64::from(bits & 1023));
            let magnitude = match exponent {
                0 => fraction * 2f64.powi(-24),
                31 if fraction == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                e => (1.0 + fraction / 1024.0) * 2f64.powi(i32::from(e) - 15),
            };
            let wanted = if sign == 1 { -magnitude } else { magnitude };
            let found = f64::from(half_to_float(bits));
            assert!(found == wanted || found.is_nan() && wanted.is_nan(), "{bits:#x}: {found}");
        }
    }

    #[test]
    fn decodes_bf16() {
        let mut out = [0.0; 2];
        decode_bf16(&[0x3f80, 0xc000], &mut out);
        assert_eq!(out, [1.0, -2.0]);
    }

    #[test]
    fn runs_of_any_length_make_the_same_tiles() {
        let (outputs, channels, taps) = (11, 5, 6);
        let k = channels * taps;
        let w = random(outputs * k, 1);
        let mut tiles = vec![0.0; 2 * TILE * k];
        for (run, i) in w.chunks(17).zip((0..).step_by(17)) {
            pack_tiles(run, &mut tiles, i, k, taps);
        }
        for f in 0..outputs {
            for c in 0..channels {
                for s in 0..taps {
                    let at = (f / TILE * k + s * channels + c) * TILE + f % TILE;
                    assert_eq!(tiles[at], w[f * k + c * taps + s]);
                }
            }
        }
    }

    #[test]
    fn channels_become_the_inner_dimension() {
        let w: Vec<f32> = (0..15).map(|i| i as f32).collect();
        let mut out = vec![0.0; 15];
        pack_channels(&w[..7], &mut out, 0, 5);
        pack_channels(&w[7..], &mut out, 7, 5);
        assert_eq!(out[..4], [0.0, 5.0, 10.0, 1.0]);
    }
}
