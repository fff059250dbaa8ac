//! Cosine in float32 as NumPy's vector code rounds it. The window of the mel
//! features depends on it: near its ends `1 - cos` cancels most digits, and a
//! cosine rounded correctly moves quiet features by up to 8e-4.
//!
//! Minimax polynomials on [-pi/4, pi/4] after reduction by multiples of pi/2,
//! every step fused. The coefficients are NumPy's.

const TWO_OVER_PI: f32 = f32::from_bits(0x3f22_f983);

/// -pi / 2 in three parts.
const MINUS_HALF_PI: [f32; 3] = [
    f32::from_bits(0xbfc9_0fd8),
    f32::from_bits(0xb4a8_885a),
    f32::from_bits(0xa7c2_34c4),
];

/// Of r^8, r^6, ..., r^0.
const COSINE: [f32; 5] = [
    f32::from_bits(0x37cc_730b),
    f32::from_bits(0xbab6_036e),
    f32::from_bits(0x3d2a_aa9e),
    -0.5,
    1.0,
];

/// Of r^9, r^7, r^5 and r^3.
const SINE: [f32; 4] = [
    f32::from_bits(0x363e_9dde),
    f32::from_bits(0xb950_35dd),
    f32::from_bits(0x3c08_88cd),
    f32::from_bits(0xbe2a_aaab),
];

/// Cosine of an angle of moderate size.
pub fn cos(angle: f32) -> f32 {
    let quadrant = (f64::from(angle) * f64::from(TWO_OVER_PI)).round_ties_even();
    let r = MINUS_HALF_PI
        .iter()
        .fold(angle, |r, &part| fused(quadrant as f32, part, r));
    let square = r * r;
    let magnitude = if quadrant as i32 % 2 == 0 {
        polynomial(&COSINE, square)
    } else {
        let tail = fused(polynomial(&SINE, square), square, 0.0);
        fused(tail, r, r)
    };
    if matches!((quadrant as i32).rem_euclid(4), 1 | 2) {
        -magnitude
    } else {
        magnitude
    }
}

/// Horner's scheme, highest power first.
fn polynomial(coefficients: &[f32], x: f32) -> f32 {
    coefficients.iter().fold(0.0, |sum, &c| fused(sum, x, c))
}

/// `a * b + c` rounded once: the product is exact in float64.
fn fused(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    const MAX_ERROR: f64 = 2e-7;

    // NumPy's cos(float32(2 pi) * i / 512), bit by bit.
    const NUMPY: [(u16, u32); 12] = [
        (0, 0x3f80_0000),
        (1, 0x3f7f_fb11),
        (63, 0x3f37_3a22),
        (65, 0x3f32_c8c9),
        (100, 0x3eac_7cd3),
        (128, 0xb33b_bd2e),
        (191, 0xbf32_c8c9),
        (256, 0xbf80_0000),
        (320, 0xbf35_04f1),
        (321, 0xbf32_c8c7),
        (400, 0x3e47_c5c8),
        (511, 0x3f7f_fb11),
    ];

    #[test]
    fn cos_equals_numpy() {
        for (i, bits) in NUMPY {
            let angle = TAU * f32::from(i) / 512.0;
            assert_eq!(cos(angle).to_bits(), bits, "cos(2 pi * {i} / 512)");
        }
    }

    #[test]
    fn cos_is_a_cosine() {
        for i in -2000i16..2000 {
            let angle = f32::from(i) / 100.0;
            let error = f64::from(cos(angle)) - f64::from(angle).cos();
            assert!(error.abs() < MAX_ERROR, "cos({angle}) is off by {error}");
        }
    }
}
