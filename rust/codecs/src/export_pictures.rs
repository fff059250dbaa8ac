//! What JavaScript sees of pictures. Errors are strings that end the sentence
//! "Cannot decode the image: ..."; the caller adds its start and its class.

use wasm_bindgen::prelude::wasm_bindgen;

use crate::image_decoder;
use crate::picture::Picture;
use crate::resize::Resizer;

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
