//! Fast Fourier transform of real frames in float64, lengths a power of two.

use std::f64::consts::TAU;

/// A complex number, real part first.
type Complex = [f64; 2];

fn multiply(a: Complex, b: Complex) -> Complex {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

/// Tables of a real transform of length N: a complex one of N / 2 whose real
/// and imaginary parts are the even and odd samples.
pub struct RealFft {
    length: usize,
    /// `exp(-2 pi i k / N)` for k below N / 2.
    roots: Vec<Complex>,
    buffer: Vec<Complex>,
}

impl RealFft {
    /// `length` must be a power of two, at least 4.
    pub fn new(length: usize) -> Result<Self, String> {
        if !length.is_power_of_two() || length < 4 {
            return Err(format!(
                "the length of an FFT must be 4, 8, 16, ..., it is {length}"
            ));
        }
        let roots = (0..length / 2)
            .map(|k| {
                let angle = -TAU * k as f64 / length as f64;
                [angle.cos(), angle.sin()]
            })
            .collect();
        Ok(Self {
            length,
            roots,
            buffer: vec![[0.0; 2]; length / 2],
        })
    }

    /// Writes the N / 2 + 1 magnitudes of a frame, which is filled up with
    /// zeros to N samples.
    pub fn magnitudes(&mut self, frame: &[f64], out: &mut [f64]) {
        assert!(frame.len() <= self.length && out.len() == self.length / 2 + 1);
        let half = self.length / 2;
        let sample = |i: usize| frame.get(i).copied().unwrap_or(0.0);
        let shift = usize::BITS - half.trailing_zeros();
        for i in 0..half {
            self.buffer[i.reverse_bits() >> shift] = [sample(2 * i), sample(2 * i + 1)];
        }
        self.butterflies();
        for (k, magnitude) in out.iter_mut().enumerate() {
            let a = self.buffer[k % half];
            let b = self.buffer[(half - k) % half];
            // Spectra of the even and odd samples, by symmetry.
            let even = [(a[0] + b[0]) / 2.0, (a[1] - b[1]) / 2.0];
            let odd = [(a[1] + b[1]) / 2.0, (b[0] - a[0]) / 2.0];
            let root = if k == half {
                [-1.0, 0.0]
            } else {
                self.roots[k]
            };
            let turned = multiply(odd, root);
            *magnitude = (even[0] + turned[0]).hypot(even[1] + turned[1]);
        }
    }

    /// Radix-2 decimation in time over `buffer`, already in bit-reversed order.
    fn butterflies(&mut self) {
        let half = self.length / 2;
        let mut size = 2;
        while size <= half {
            let step = self.length / size;
            for block in self.buffer.chunks_exact_mut(size) {
                let (low, high) = block.split_at_mut(size / 2);
                for (i, (a, b)) in low.iter_mut().zip(high).enumerate() {
                    let turned = multiply(*b, self.roots[i * step]);
                    *b = [a[0] - turned[0], a[1] - turned[1]];
                    *a = [a[0] + turned[0], a[1] + turned[1]];
                }
            }
            size *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_ERROR: f64 = 1e-12;

    fn direct(frame: &[f64], length: usize, k: usize) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (t, x) in frame.iter().enumerate() {
            let angle = TAU * (k * t % length) as f64 / length as f64;
            re += x * angle.cos();
            im -= x * angle.sin();
        }
        re.hypot(im)
    }

    #[test]
    fn magnitudes_match_the_definition() {
        for (length, filled) in [(4, 4), (8, 5), (64, 64), (1024, 512)] {
            let frame: Vec<f64> = (0..filled).map(|i| (i as f64 * 1.7).sin() / 8.0).collect();
            let mut out = vec![0.0; length / 2 + 1];
            RealFft::new(length).unwrap().magnitudes(&frame, &mut out);
            for (k, actual) in out.iter().enumerate() {
                let expected = direct(&frame, length, k);
                assert!(
                    (actual - expected).abs() < MAX_ERROR,
                    "length {length}, bin {k}"
                );
            }
        }
    }

    #[test]
    fn new_refuses_other_lengths() {
        for length in [0, 1, 2, 6, 1000] {
            assert!(RealFft::new(length).is_err());
        }
    }
}
