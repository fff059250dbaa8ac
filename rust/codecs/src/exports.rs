//! What JavaScript sees. Errors are strings that end the sentence "Cannot
//! decode the image: ..."; the caller adds its start and its class.

use wasm_bindgen::prelude::wasm_bindgen;

use crate::image_decoder;
use crate::mel::{MelExtractor, MelOptions};
use crate::picture::Picture;
use crate::resample::Resampler;
use crate::resize::Resizer;

/// Bytes of memory in use; it never shrinks while an instance lives.
#[wasm_bindgen(js_name = memoryBytes)]
pub fn memory_bytes() -> f64 {
    #[cfg(target_arch = "wasm32")]
    return core::arch::wasm32::memory_size(0) as f64 * 65536.0;
    #[cfg(not(target_arch = "wasm32"))]
    return 0.0;
}

/// See [`image_decoder::ImageDecoder`].
#[wasm_bindgen]
pub struct ImageDecoder(image_decoder::ImageDecoder);

#[wasm_bindgen]
impl ImageDecoder {
    /// Tells the format; refuses pictures of more than `maxPixels` pixels.
    #[wasm_bindgen(constructor)]
    pub fn new(
        bytes: Vec<u8>,
        #[wasm_bindgen(js_name = maxPixels)] max_pixels: usize,
    ) -> Result<ImageDecoder, String> {
        image_decoder::ImageDecoder::new(bytes, max_pixels).map(Self)
    }

    /// Does about `pixels` pixels of the work; true when nothing is left.
    pub fn step(&mut self, pixels: usize) -> Result<bool, String> {
        self.0.step(pixels)
    }

    /// The picture, when all steps are done.
    #[wasm_bindgen(js_name = intoImage)]
    pub fn into_image(self) -> Result<DecodedImage, String> {
        self.0.into_picture().map(DecodedImage)
    }
}

/// A decoded picture, 8-bit RGB.
#[wasm_bindgen]
pub struct DecodedImage(Picture);

#[wasm_bindgen]
impl DecodedImage {
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        self.0.width
    }

    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.0.height
    }

    /// Gives the pixels away: `[height, width, 3]`.
    #[wasm_bindgen(js_name = intoData)]
    pub fn into_data(self) -> Vec<u8> {
        self.0.data
    }
}

/// See [`Resizer`].
#[wasm_bindgen]
pub struct ImageResizer(Resizer);

#[wasm_bindgen]
impl ImageResizer {
    #[wasm_bindgen(constructor)]
    pub fn new(
        width: usize,
        height: usize,
        #[wasm_bindgen(js_name = newWidth)] new_width: usize,
        #[wasm_bindgen(js_name = newHeight)] new_height: usize,
    ) -> Result<ImageResizer, String> {
        Resizer::new((width, height), (new_width, new_height)).map(Self)
    }

    /// Takes the next input rows: `[rows, width, 3]`.
    #[wasm_bindgen(js_name = pushRows)]
    pub fn push_rows(&mut self, rows: &[u8]) -> Result<(), String> {
        self.0.push_rows(rows)
    }

    /// Output rows `first .. first + count`: `[count, newWidth, 3]`.
    #[wasm_bindgen(js_name = outputRows)]
    pub fn output_rows(&self, first: usize, count: usize) -> Result<Vec<u8>, String> {
        self.0.output_rows(first, count)
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
