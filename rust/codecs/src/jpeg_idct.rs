//! The inverse cosine transform of 8x8 blocks, in the integer arithmetic of
//! libjpeg's accurate method: 13 bits of fraction, 2 of them kept between the
//! passes.

const FRACTION_BITS: i32 = 13;
const KEPT_BITS: i32 = 2;

/// Constants of the method of Loeffler, Ligtenberg and Moschytz, times 2^13.
const F_0_298631336: i32 = 2446;
const F_0_390180644: i32 = 3196;
const F_0_541196100: i32 = 4433;
const F_0_765366865: i32 = 6270;
const F_0_899976223: i32 = 7373;
const F_1_175875602: i32 = 9633;
const F_1_501321110: i32 = 12299;
const F_1_847759065: i32 = 15137;
const F_1_961570560: i32 = 16069;
const F_2_053119869: i32 = 16819;
const F_2_562915447: i32 = 20995;
const F_3_072711026: i32 = 25172;

/// Dequantises and transforms a block, both in rows of 8, into samples whose
/// rows are `stride` apart.
pub fn transform(block: &[i16], quantization: &[u16; 64], out: &mut [u8], stride: usize) {
    let mut work = [0i32; 64];
    for column in 0..8 {
        let values = std::array::from_fn(|row| {
            let i = row * 8 + column;
            i32::from(block[i]).wrapping_mul(i32::from(quantization[i]))
        });
        let shift = FRACTION_BITS - KEPT_BITS;
        for (row, value) in pass(values, shift).into_iter().enumerate() {
            work[row * 8 + column] = value;
        }
    }
    for (row, values) in work.chunks_exact(8).enumerate() {
        let values = std::array::from_fn(|i| values[i]);
        let samples = pass(values, FRACTION_BITS + KEPT_BITS + 3);
        for (to, value) in out[row * stride..][..8].iter_mut().zip(samples) {
            *to = value.saturating_add(128).clamp(0, 255) as u8;
        }
    }
}

/// Eight values; the results are rounded and shifted down. Values of damaged
/// files may wrap around.
fn pass(x: [i32; 8], shift: i32) -> [i32; 8] {
    let m = i32::wrapping_mul;
    let add = i32::wrapping_add;
    let sub = i32::wrapping_sub;

    let z1 = m(add(x[2], x[6]), F_0_541196100);
    let t2 = sub(z1, m(x[6], F_1_847759065));
    let t3 = add(z1, m(x[2], F_0_765366865));
    let t0 = add(x[0], x[4]) << FRACTION_BITS;
    let t1 = sub(x[0], x[4]) << FRACTION_BITS;
    let even = [add(t0, t3), add(t1, t2), sub(t1, t2), sub(t0, t3)];

    let z5 = m(add(add(x[7], x[3]), add(x[5], x[1])), F_1_175875602);
    let z1 = m(add(x[7], x[1]), -F_0_899976223);
    let z2 = m(add(x[5], x[3]), -F_2_562915447);
    let z3 = add(m(add(x[7], x[3]), -F_1_961570560), z5);
    let z4 = add(m(add(x[5], x[1]), -F_0_390180644), z5);
    let odd = [
        add(m(x[1], F_1_501321110), add(z1, z4)),
        add(m(x[3], F_3_072711026), add(z2, z3)),
        add(m(x[5], F_2_053119869), add(z2, z4)),
        add(m(x[7], F_0_298631336), add(z1, z3)),
    ];

    let round = |value: i32| add(value, 1 << (shift - 1)) >> shift;
    std::array::from_fn(|i| {
        if i < 4 {
            round(add(even[i], odd[i]))
        } else {
            round(sub(even[7 - i], odd[7 - i]))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn exact(block: &[i16; 64], x: usize, y: usize) -> f64 {
        let mut sum = 0.0;
        for v in 0..8 {
            for u in 0..8 {
                let half = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
                let wave = |k: usize, at: usize| ((2 * at + 1) as f64 * k as f64 * PI / 16.0).cos();
                sum += half(u) * half(v) * f64::from(block[v * 8 + u]) * wave(u, x) * wave(v, y);
            }
        }
        sum / 4.0 + 128.0
    }

    #[test]
    fn transform_is_the_rounded_cosine_transform() {
        for seed in 0..50i32 {
            let block: [i16; 64] = std::array::from_fn(|i| {
                let noise = (i as i32 * 7919 + seed * 104_729) % 61 - 30;
                (noise / (1 + i as i32 / 9)) as i16
            });
            let mut out = [0; 64];
            transform(&block, &[2; 64], &mut out, 8);
            let doubled = block.map(|value| value * 2);
            for (i, &sample) in out.iter().enumerate() {
                let error = f64::from(sample) - exact(&doubled, i % 8, i / 8).clamp(0.0, 255.0);
                assert!(error.abs() < 0.6, "seed {seed}, sample {i}: {error}");
            }
        }
    }

    #[test]
    fn transform_bears_any_coefficients() {
        let mut out = [0; 64];
        transform(&[i16::MIN; 64], &[u16::MAX; 64], &mut out, 8);
        transform(&[0; 64], &[1; 64], &mut out, 8);
        assert_eq!(out, [128; 64]);
    }
}
