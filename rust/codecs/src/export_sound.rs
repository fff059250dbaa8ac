//! What JavaScript sees of sound. Errors are strings that end the sentence
//! "Cannot decode the audio: ..."; the caller adds its start and its class.

use wasm_bindgen::prelude::wasm_bindgen;

use crate::audio_decoder;
use crate::mel::{MelExtractor, MelOptions};
use crate::resample::Resampler;

/// See [`audio_decoder::AudioDecoder`].
#[wasm_bindgen]
pub struct AudioDecoder(audio_decoder::AudioDecoder);

#[wasm_bindgen]
impl AudioDecoder {
    /// Tells the format and reads the headers.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: Vec<u8>) -> Result<AudioDecoder, String> {
        audio_decoder::AudioDecoder::new(bytes).map(Self)
    }

    #[wasm_bindgen(getter, js_name = samplingRate)]
    pub fn sampling_rate(&self) -> u32 {
        self.0.sampling_rate()
    }

    /// Samples of the whole file, where it tells.
    #[wasm_bindgen(getter, js_name = totalSamples)]
    pub fn total_samples(&self) -> Option<f64> {
        self.0.total_samples().map(|samples| samples as f64)
    }

    /// The next mono samples: at least `count`, fewer only at the end.
    pub fn step(&mut self, count: usize) -> Result<Vec<f32>, String> {
        self.0.step(count)
    }
}

/// See [`MelExtractor`].
#[wasm_bindgen]
pub struct LogMel(MelExtractor);

#[wasm_bindgen]
impl LogMel {
    /// Parameters as in the feature extractor; lengths in samples.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::too_many_arguments)] // a record would need a binding of its own
    pub fn new(
        #[wasm_bindgen(js_name = samplingRate)] sampling_rate: f64,
        #[wasm_bindgen(js_name = frameLength)] frame_length: usize,
        #[wasm_bindgen(js_name = hopLength)] hop_length: usize,
        #[wasm_bindgen(js_name = fftLength)] fft_length: usize,
        #[wasm_bindgen(js_name = featureSize)] feature_size: usize,
        #[wasm_bindgen(js_name = minFrequency)] min_frequency: f64,
        #[wasm_bindgen(js_name = maxFrequency)] max_frequency: f64,
        preemphasis: f64,
        #[wasm_bindgen(js_name = preemphasisHtkFlavor)] preemphasis_htk_flavor: bool,
        #[wasm_bindgen(js_name = inputScaleFactor)] input_scale_factor: f64,
        #[wasm_bindgen(js_name = melFloor)] mel_floor: f64,
    ) -> Result<LogMel, String> {
        MelExtractor::new(MelOptions {
            sampling_rate,
            frame_length,
            hop_length,
            fft_length,
            feature_size,
            min_frequency,
            max_frequency,
            preemphasis,
            preemphasis_htk_flavor,
            input_scale_factor,
            mel_floor,
        })
        .map(Self)
    }

    /// Number of whole frames in so many samples.
    #[wasm_bindgen(js_name = frameCount)]
    pub fn frame_count(&self, samples: usize) -> usize {
        self.0.frame_count(samples)
    }

    /// All whole frames of `samples`: `[frames, featureSize]`.
    pub fn features(&mut self, samples: &[f32]) -> Vec<f32> {
        self.0.features(samples)
    }
}

/// See [`Resampler`].
#[wasm_bindgen]
pub struct AudioResampler(Resampler);

#[wasm_bindgen]
impl AudioResampler {
    /// Prepares to convert `input` between rates in hertz.
    #[wasm_bindgen(constructor)]
    pub fn new(input: Vec<f32>, from: u32, to: u32) -> Result<AudioResampler, String> {
        Resampler::new(input, from, to).map(Self)
    }

    #[wasm_bindgen(getter, js_name = outputLength)]
    pub fn output_length(&self) -> usize {
        self.0.output_length()
    }

    /// Outputs `first .. first + count`, fewer at the end.
    pub fn output(&self, first: usize, count: usize) -> Vec<f32> {
        self.0.output(first, count)
    }
}
