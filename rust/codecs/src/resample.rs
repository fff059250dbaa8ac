//! Sampling-rate conversion by windowed sinc. The pass band ends at 91.3 % of
//! the lower Nyquist frequency, as in SoX's `rate -v`; the stop band starts at
//! that frequency, 100 dB down; the phase is linear and the delay zero.

use std::f64::consts::PI;

const PASS_BAND: f64 = 0.913;
const ATTENUATION_DB: f64 = 100.0;

/// Phases kept where the ratio of the rates has too many of its own. Between
/// them taps are interpolated, with an error of -116 dB.
const INTERPOLATED_PHASES: u64 = 512;
const MAX_EXACT_PHASES: u64 = 640;

/// More input samples per output than any real recording needs.
const MAX_RATIO: u64 = 64;

/// Converts one signal; outputs may be computed in slices.
pub struct Resampler {
    input: Vec<f32>,
    /// Rates over their greatest common divisor.
    from: u64,
    to: u64,
    phases: u64,
    taps: usize,
    /// `[phases + 1, taps]`
    kernel: Vec<f32>,
}

impl Resampler {
    /// Prepares to convert `input` between rates in hertz.
    pub fn new(input: Vec<f32>, from: u32, to: u32) -> Result<Self, String> {
        let divisor = u64::from(gcd(from, to).max(1));
        let (from, to) = (u64::from(from) / divisor, u64::from(to) / divisor);
        if from == 0 || to == 0 || from > to * MAX_RATIO || to > from * MAX_RATIO {
            return Err(format!(
                "rates must be positive and at most {MAX_RATIO}-fold apart, they are as {from} to {to}"
            ));
        }
        let phases = if to <= MAX_EXACT_PHASES {
            to
        } else {
            INTERPOLATED_PHASES
        };
        // Cycles per input sample at the lower Nyquist frequency.
        let nyquist = 0.5 * (to as f64 / from as f64).min(1.0);
        let transition = nyquist * (1.0 - PASS_BAND);
        // Kaiser's estimate of the length that a transition needs.
        let half = ((ATTENUATION_DB - 7.95) / (14.36 * transition) / 2.0).ceil() as usize;
        let cutoff = nyquist - transition / 2.0;
        Ok(Self {
            input,
            from,
            to,
            phases,
            taps: 2 * half,
            kernel: sinc_kernel(phases, half, cutoff),
        })
    }

    /// Number of output samples: as many as cover the input's duration.
    pub fn output_length(&self) -> usize {
        (self.input.len() as u64 * self.to).div_ceil(self.from) as usize
    }

    /// Computes outputs `first .. first + count`, fewer at the end.
    pub fn output(&self, first: usize, count: usize) -> Vec<f32> {
        let end = self.output_length().min(first.saturating_add(count));
        (first..end).map(|n| self.sample(n as u64)).collect()
    }

    fn sample(&self, n: u64) -> f32 {
        let position = n * self.from;
        let whole = (position / self.to) as usize;
        let phase = (position % self.to) * self.phases;
        let row = (phase / self.to) as usize;
        let between = (phase % self.to) as f32 / self.to as f32;
        // Tap i meets input sample whole - half + 1 + i.
        let before = self.taps / 2 - 1;
        let first = whole.saturating_sub(before);
        let skipped = before - (whole - first);
        let end = (whole + self.taps / 2 + 1).min(self.input.len());
        let input = &self.input[first.min(end)..end];
        let left = dot(input, &self.row(row)[skipped..]);
        if between == 0.0 {
            return left;
        }
        let right = dot(input, &self.row(row + 1)[skipped..]);
        left + (right - left) * between
    }

    fn row(&self, phase: usize) -> &[f32] {
        &self.kernel[phase * self.taps..][..self.taps]
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

/// Sum of products over the shorter length, in eight lanes that vectorise.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let tail: f32 = rest.map(|(x, y)| x * y).sum();
    let mut lanes = [0.0f32; 8];
    for (x, y) in a_chunks.zip(b_chunks) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f32>() + tail
}

/// Rows of taps for each fraction of a sample, every row summing to 1.
fn sinc_kernel(phases: u64, half: usize, cutoff: f64) -> Vec<f32> {
    let beta = 0.1102 * (ATTENUATION_DB - 8.7);
    let scale = bessel_i0(beta);
    let mut kernel = Vec::with_capacity((phases as usize + 1) * 2 * half);
    for phase in 0..=phases {
        let fraction = phase as f64 / phases as f64;
        let row: Vec<f64> = (0..2 * half)
            .map(|i| {
                let t = i as f64 - (half as f64 - 1.0) - fraction;
                let inside = 1.0 - (t / half as f64).powi(2);
                let window = bessel_i0(beta * inside.max(0.0).sqrt()) / scale;
                sinc(2.0 * cutoff * t) * window
            })
            .collect();
        let total: f64 = row.iter().sum();
        kernel.extend(row.iter().map(|tap| (tap / total) as f32));
    }
    kernel
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

/// Modified Bessel function of order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_ALIAS: f64 = 1e-4; // -80 dB
    const MAX_PASS_BAND_ERROR: f64 = 1e-4;

    fn tone(hertz: f64, rate: u32, samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|i| (2.0 * PI * hertz * i as f64 / f64::from(rate)).sin() as f32)
            .collect()
    }

    fn convert(input: Vec<f32>, from: u32, to: u32) -> Vec<f32> {
        let resampler = Resampler::new(input, from, to).unwrap();
        resampler.output(0, usize::MAX)
    }

    // Leaves out the ends, where the signal starts and stops.
    fn middle(signal: &[f32]) -> &[f32] {
        &signal[signal.len() / 4..signal.len() * 3 / 4]
    }

    #[test]
    fn tones_in_the_pass_band_stay() {
        for (from, to) in [
            (44100, 16000),
            (48000, 16000),
            (8000, 16000),
            (44099, 16000),
        ] {
            let nyquist = f64::from(from.min(to)) / 2.0;
            for hertz in [50.0, 1000.0, nyquist * 0.91] {
                let out = convert(tone(hertz, from, from as usize / 4), from, to);
                let expected = tone(hertz, to, out.len());
                for (actual, expected) in middle(&out).iter().zip(middle(&expected)) {
                    let error = f64::from(actual - expected).abs();
                    assert!(
                        error < MAX_PASS_BAND_ERROR,
                        "{hertz} Hz, {from} to {to}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn tones_above_the_lower_nyquist_frequency_vanish() {
        for hertz in [8000.0, 8100.0, 9000.0, 12000.0, 15900.0, 20000.0] {
            let out = convert(tone(hertz, 44100, 11025), 44100, 16000);
            let loudest = middle(&out)
                .iter()
                .fold(0.0, |a, v| f64::from(v.abs()).max(a));
            assert!(loudest < MAX_ALIAS, "{hertz} Hz: {loudest}");
        }
    }

    #[test]
    fn slices_give_what_one_pass_gives() {
        let resampler = Resampler::new(tone(300.0, 22050, 1001), 22050, 16000).unwrap();
        let mut sliced = resampler.output(0, 100);
        sliced.extend(resampler.output(100, 10_000));
        assert_eq!(sliced, resampler.output(0, usize::MAX));
        assert_eq!(sliced.len(), resampler.output_length());
    }

    #[test]
    fn short_inputs_and_odd_rates_are_handled() {
        assert!(convert(vec![], 44100, 16000).is_empty());
        assert_eq!(convert(vec![1.0], 44100, 16000).len(), 1);
        assert!(Resampler::new(vec![], 0, 16000).is_err());
        assert!(Resampler::new(vec![], 16000, 0).is_err());
        assert!(Resampler::new(vec![], u32::MAX, 16000).is_err());
    }
}
