//! What `@g3n/core` needs to turn encoded pictures and sound into model
//! inputs. `exports` is the only module that knows about JavaScript.

pub mod decode_jpeg;
pub mod decode_png;
mod exports;
pub mod fft;
pub mod float32_cos;
pub mod image_decoder;
pub mod mel;
pub mod orientation;
pub mod picture;
pub mod resample;
pub mod resize;
