//! What the kernels' tests share.

/// Lengths around the vector and block sizes.
pub const LENGTHS: [usize; 14] = [0, 1, 3, 4, 5, 7, 8, 31, 63, 64, 65, 127, 192, 1000];

/// Reproducible values in -1 .. 1.
pub fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// Reproducible values with a normal distribution, by sums of even ones.
pub fn gaussian(n: usize, seed: u64) -> Vec<f32> {
    random(12 * n, seed).chunks(12).map(|x| x.iter().sum::<f32>() / 2.0).collect()
}

/// Asserts that two rows agree within `tolerance` of the largest wanted value.
pub fn assert_close(found: &[f32], wanted: &[f32], tolerance: f32, label: &str) {
    assert_eq!(found.len(), wanted.len(), "{label}: lengths");
    let largest = wanted.iter().fold(1e-30f32, |m, x| m.max(x.abs()));
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        let close = (f - w).abs() <= tolerance * largest;
        assert!(close, "{label}: element {i} is {f}, wanted {w}");
    }
}
