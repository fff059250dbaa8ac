//! Decodes a picture in steps short enough for an event loop, where the
//! format allows it: all is cut into slices but the decoding of a WebP.

use std::mem;

use crate::decode_bmp::BmpDecoder;
use crate::decode_gif::GifDecoder;
use crate::decode_jpeg::JpegDecoder;
use crate::decode_png::PngDecoder;
use crate::decode_webp::{decode_webp, is_webp};
use crate::orientation::{Orientation, Turner};
use crate::picture::{Decoded, Picture};

/// Formats known by their first bytes but not decoded, for the message.
const OTHER_SIGNATURES: [(&[u8], &str); 9] = [
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"<svg", "SVG"),
    (b"<?xm", "XML"),
    (b"<!DO", "HTML"),
    (b"%PDF", "PDF"),
    (b"\0\0\x01\0", "ICO"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
];

/// Brands of the container that begins with its length and "ftyp".
const OTHER_BRANDS: [(&[u8], &str); 5] = [
    (b"avif", "AVIF"),
    (b"heic", "HEIC"),
    (b"heix", "HEIC"),
    (b"mif1", "HEIF"),
    (b"msf1", "HEIF"),
];

const SUPPORTED: &str = "PNG, JPEG, WebP, GIF and BMP are supported";

enum Stage {
    Png(Box<PngDecoder>),
    Gif(Box<GifDecoder>),
    Bmp(Box<BmpDecoder>),
    Jpeg(Box<JpegDecoder>),
    WebP {
        bytes: Vec<u8>,
        max_pixels: usize,
    },
    Turn(Turner),
    Done(Picture),
    /// A step failed, or the picture was taken.
    Spent,
}

/// A picture on its way to RGB, upright.
pub struct ImageDecoder {
    stage: Stage,
}

impl ImageDecoder {
    /// Tells the format by its first bytes. Sizes beyond `max_pixels` are
    /// refused before anything is allocated for them.
    pub fn new(bytes: Vec<u8>, max_pixels: usize) -> Result<Self, String> {
        let stage = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Stage::Png(Box::new(PngDecoder::new(bytes, max_pixels)?))
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            Stage::Gif(Box::new(GifDecoder::new(bytes, max_pixels)?))
        } else if bytes.starts_with(b"BM") {
            Stage::Bmp(Box::new(BmpDecoder::new(bytes, max_pixels)?))
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Stage::Jpeg(Box::new(JpegDecoder::new(bytes, max_pixels)))
        } else if is_webp(&bytes) {
            Stage::WebP { bytes, max_pixels }
        } else {
            return Err(describe_unknown(&bytes));
        };
        Ok(Self { stage })
    }

    /// Does the next part of the work, about `pixels` pixels of it; true when
    /// nothing is left.
    pub fn step(&mut self, pixels: usize) -> Result<bool, String> {
        self.stage = match mem::replace(&mut self.stage, Stage::Spent) {
            Stage::Png(mut png) => match png.step(pixels)? {
                Some(decoded) => after_decoding(decoded),
                None => Stage::Png(png),
            },
            Stage::Gif(mut gif) => match gif.step(pixels)? {
                Some(decoded) => after_decoding(decoded),
                None => Stage::Gif(gif),
            },
            Stage::Bmp(mut bmp) => match bmp.step(pixels) {
                Some(decoded) => after_decoding(decoded),
                None => Stage::Bmp(bmp),
            },
            Stage::Jpeg(mut jpeg) => match jpeg.step(pixels)? {
                Some(decoded) => after_decoding(decoded),
                None => Stage::Jpeg(jpeg),
            },
            Stage::WebP { bytes, max_pixels } => after_decoding(decode_webp(&bytes, max_pixels)?),
            Stage::Turn(mut turner) => match turner.step(pixels) {
                Some(picture) => Stage::Done(picture),
                None => Stage::Turn(turner),
            },
            done => done,
        };
        Ok(matches!(self.stage, Stage::Done(_)))
    }

    /// The picture, once [`ImageDecoder::step`] has said that it is done.
    pub fn into_picture(self) -> Result<Picture, String> {
        match self.stage {
            Stage::Done(picture) => Ok(picture),
            _ => Err("it is not decoded yet".into()),
        }
    }
}

fn after_decoding(decoded: Decoded) -> Stage {
    if decoded.turn == Orientation::UPRIGHT {
        Stage::Done(decoded.picture)
    } else {
        Stage::Turn(Turner::new(decoded.picture, decoded.turn))
    }
}

fn describe_unknown(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "it has 0 bytes".into();
    }
    let shown: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let brand = bytes.get(8..).filter(|_| bytes.get(4..8) == Some(b"ftyp"));
    let name = find_name(&OTHER_SIGNATURES, bytes)
        .or_else(|| find_name(&OTHER_BRANDS, brand?))
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    format!("the first bytes are {}{name}; {SUPPORTED}", shown.join(" "))
}

fn find_name(names: &[(&[u8], &'static str)], bytes: &[u8]) -> Option<&'static str> {
    names
        .iter()
        .find(|(signature, _)| bytes.starts_with(signature))
        .map(|&(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        ImageDecoder::new(bytes.to_vec(), 100).err().unwrap()
    }

    #[test]
    fn new_names_what_it_found() {
        assert_eq!(
            refusal(b"II*\0\x08"),
            format!("the first bytes are 49 49 2a 00 (TIFF); {SUPPORTED}")
        );
        assert_eq!(
            refusal(b"\0\0\0\x1cftypheic"),
            format!("the first bytes are 00 00 00 1c (HEIC); {SUPPORTED}")
        );
        assert_eq!(refusal(b""), "it has 0 bytes");
        assert_eq!(
            refusal(&[1, 2]),
            format!("the first bytes are 01 02; {SUPPORTED}")
        );
    }

    #[test]
    fn a_failed_decoder_gives_no_picture() {
        let mut decoder = ImageDecoder::new(b"\xff\xd8\xff\xd9".to_vec(), 100).unwrap();
        assert!(decoder.step(1).is_err());
        assert!(!decoder.step(1).unwrap());
        assert!(decoder.into_picture().is_err());
    }
}
