//! What `@g3n/core` needs to turn encoded pictures and sound into model
//! inputs. Each half is a feature, built into a WebAssembly module of its own.
//! The modules whose names begin with `export` are the only ones that know
//! about JavaScript.

mod exports;

#[cfg(feature = "pictures")]
mod export_pictures;
#[cfg(feature = "sound")]
mod export_sound;

#[cfg(feature = "pictures")]
pub mod bmp_header;
#[cfg(feature = "pictures")]
pub mod bmp_runs;
#[cfg(feature = "pictures")]
pub mod decode_bmp;
#[cfg(feature = "pictures")]
pub mod decode_gif;
#[cfg(feature = "pictures")]
pub mod decode_jpeg;
#[cfg(feature = "pictures")]
pub mod decode_png;
#[cfg(feature = "pictures")]
pub mod decode_webp;
#[cfg(feature = "pictures")]
pub mod image_decoder;
#[cfg(feature = "pictures")]
pub mod jpeg_bits;
#[cfg(feature = "pictures")]
pub mod jpeg_frame;
#[cfg(feature = "pictures")]
pub mod jpeg_idct;
#[cfg(feature = "pictures")]
pub mod jpeg_scan;
#[cfg(feature = "pictures")]
pub mod jpeg_upsample;
#[cfg(feature = "pictures")]
pub mod orientation;
#[cfg(feature = "pictures")]
pub mod picture;
#[cfg(feature = "pictures")]
pub mod resize;

#[cfg(feature = "sound")]
pub mod audio_decoder;
#[cfg(feature = "sound")]
pub mod decode_flac;
#[cfg(feature = "sound")]
pub mod decode_mp3;
#[cfg(feature = "sound")]
pub mod decode_vorbis;
#[cfg(feature = "sound")]
pub mod fft;
#[cfg(feature = "sound")]
pub mod float32_cos;
#[cfg(feature = "sound")]
pub mod mel;
#[cfg(feature = "sound")]
pub mod ogg_pages;
#[cfg(feature = "sound")]
pub mod resample;
#[cfg(feature = "sound")]
pub mod vorbis_codebooks;
