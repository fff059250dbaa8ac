//! Log-mel features of Transformers' `Gemma3nAudioFeatureExtractor`: windowed
//! frames in float32, all else in float64.

use std::f64::consts::TAU;

use crate::fft::RealFft;
use crate::float32_cos;

/// Parameters, named as in the feature extractor.
pub struct MelOptions {
    pub sampling_rate: f64,
    pub frame_length: usize,
    pub hop_length: usize,
    pub fft_length: usize,
    pub feature_size: usize,
    pub min_frequency: f64,
    pub max_frequency: f64,
    pub preemphasis: f64,
    pub preemphasis_htk_flavor: bool,
    pub input_scale_factor: f64,
    pub mel_floor: f64,
}

/// One triangular filter: `weights` from bin `first` on.
struct Filter {
    first: usize,
    weights: Vec<f64>,
}

/// Computes frames of log-mel features.
pub struct MelExtractor {
    options: MelOptions,
    window: Vec<f32>,
    filters: Vec<Filter>,
    fft: RealFft,
}

impl MelExtractor {
    pub fn new(options: MelOptions) -> Result<Self, String> {
        if options.frame_length == 0
            || options.hop_length == 0
            || options.frame_length > options.fft_length
        {
            return Err(format!(
                "frames of {} samples every {} do not fit an FFT of {}",
                options.frame_length, options.hop_length, options.fft_length
            ));
        }
        let window = periodic_hann(options.frame_length);
        Ok(Self {
            window,
            filters: triangular_filters(&options),
            fft: RealFft::new(options.fft_length)?,
            options,
        })
    }

    /// Number of whole frames in `samples`. A frame takes one sample more
    /// than its length, for the pre-emphasis.
    pub fn frame_count(&self, samples: usize) -> usize {
        match samples.checked_sub(self.options.frame_length + 1) {
            Some(rest) => rest / self.options.hop_length + 1,
            None => 0,
        }
    }

    /// All whole frames of `samples`: `[frames, feature_size]`.
    pub fn features(&mut self, samples: &[f32]) -> Vec<f32> {
        let count = self.frame_count(samples.len());
        let mut out = Vec::with_capacity(count * self.filters.len());
        let mut frame = vec![0.0; self.options.frame_length];
        let mut magnitudes = vec![0.0; self.options.fft_length / 2 + 1];
        for i in 0..count {
            let start = i * self.options.hop_length;
            let source = &samples[start..=start + self.options.frame_length];
            self.emphasize(source, &mut frame);
            self.fft.magnitudes(&frame, &mut magnitudes);
            for filter in &self.filters {
                let bins = &magnitudes[filter.first..];
                let sum: f64 = bins.iter().zip(&filter.weights).map(|(m, w)| m * w).sum();
                out.push(sum.max(self.options.mel_floor).ln() as f32);
            }
        }
        out
    }

    /// Scales, pre-emphasises and windows one frame, rounding each step to
    /// float32 as NumPy does: in quiet frames that rounding shows above the
    /// floor. HTK's flavour stays inside the frame and leaves the last sample
    /// out; the other one starts with the second sample.
    fn emphasize(&self, source: &[f32], frame: &mut [f64]) {
        let factor = self.options.preemphasis.max(0.0);
        let (kept, factor_f32) = ((1.0 - factor) as f32, factor as f32);
        let scale = self.options.input_scale_factor as f32;
        let x = |i: usize| source[i] * scale;
        let htk = self.options.preemphasis_htk_flavor || factor == 0.0;
        for (i, (value, window)) in frame.iter_mut().zip(&self.window).enumerate() {
            let emphasized = match (htk, i) {
                (true, 0) => x(0) * kept,
                (true, _) => x(i) - factor_f32 * x(i - 1),
                (false, _) => x(i + 1) - factor_f32 * x(i),
            };
            *value = f64::from(emphasized * window);
        }
    }
}

/// Periodic Hann window, in float32 throughout as NumPy computes it.
fn periodic_hann(length: usize) -> Vec<f32> {
    (0..length)
        .map(|i| 0.5 * (1.0 - float32_cos::cos(TAU as f32 * i as f32 / length as f32)))
        .collect()
}

/// Filters evenly spaced on the HTK mel scale, without area normalisation.
fn triangular_filters(options: &MelOptions) -> Vec<Filter> {
    let to_mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let (low, high) = (to_mel(options.min_frequency), to_mel(options.max_frequency));
    let step = (high - low) / (options.feature_size + 1) as f64;
    let edges: Vec<f64> = (0..options.feature_size + 2)
        .map(|i| 700.0 * (10f64.powf((low + step * i as f64) / 2595.0) - 1.0))
        .collect();
    let bins = options.fft_length / 2 + 1;
    let hertz_per_bin = options.sampling_rate / options.fft_length as f64;
    edges
        .windows(3)
        .map(|edge| {
            let weight = |bin: usize| {
                let hertz = bin as f64 * hertz_per_bin;
                let rising = (hertz - edge[0]) / (edge[1] - edge[0]);
                let falling = (edge[2] - hertz) / (edge[2] - edge[1]);
                rising.min(falling).max(0.0)
            };
            let first = (0..bins).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (first..bins)
                .map(weight)
                .take_while(|&weight| weight > 0.0)
                .collect();
            Filter { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> MelOptions {
        MelOptions {
            sampling_rate: 16000.0,
            frame_length: 512,
            hop_length: 160,
            fft_length: 1024,
            feature_size: 128,
            min_frequency: 125.0,
            max_frequency: 7600.0,
            preemphasis: 0.97,
            preemphasis_htk_flavor: true,
            input_scale_factor: 1.0,
            mel_floor: 1e-5,
        }
    }

    #[test]
    fn frame_count_needs_one_sample_more_than_a_frame() {
        let mel = MelExtractor::new(options()).unwrap();
        for (samples, frames) in [(0, 0), (512, 0), (513, 1), (672, 1), (673, 2)] {
            assert_eq!(mel.frame_count(samples), frames, "{samples} samples");
        }
    }

    #[test]
    fn silence_is_the_floor() {
        let mut mel = MelExtractor::new(options()).unwrap();
        let features = mel.features(&[0.0; 700]);
        assert_eq!(features.len(), 2 * 128);
        assert!(features.iter().all(|&v| v == 1e-5f64.ln() as f32));
    }

    #[test]
    fn a_tone_peaks_in_the_filter_around_it() {
        let mut mel = MelExtractor::new(options()).unwrap();
        let tone: Vec<f32> = (0..513)
            .map(|i| (TAU * 1000.0 * f64::from(i) / 16000.0).sin() as f32)
            .collect();
        let features = mel.features(&tone);
        let peak = (0..128).max_by(|&a, &b| features[a].total_cmp(&features[b]));
        let to_mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
        let position = (to_mel(1000.0) - to_mel(125.0)) / (to_mel(7600.0) - to_mel(125.0));
        let expected = position * 129.0 - 1.0;
        assert!((peak.unwrap() as f64 - expected).abs() <= 1.0);
    }

    #[test]
    fn new_refuses_frames_that_do_not_fit() {
        let long = MelOptions {
            frame_length: 2048,
            ..options()
        };
        assert!(MelExtractor::new(long).is_err());
        let still = MelOptions {
            hop_length: 0,
            ..options()
        };
        assert!(MelExtractor::new(still).is_err());
    }
}
