//! Decodes a picture in steps short enough for an event loop, where the
//! format allows it: PNG rows and turning are cut into slices, decoding a JPEG
//! is one step.

use std::mem;

use crate::decode_jpeg::decode_jpeg;
use crate::decode_png::PngDecoder;
use crate::orientation::{Orientation, Turner};
use crate::picture::{Decoded, Picture};

/// Formats known by signature but not decoded, for the message.
const OTHER_SIGNATURES: [(&[u8], &str); 6] = [
    (b"GIF8", "GIF"),
    (b"RIFF", "WebP"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"<svg", "SVG"),
];

enum Stage {
    Png(Box<PngDecoder>),
    Jpeg {
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
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Stage::Jpeg { bytes, max_pixels }
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
            Stage::Jpeg { bytes, max_pixels } => after_decoding(decode_jpeg(&bytes, max_pixels)?),
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
    let name = OTHER_SIGNATURES
        .iter()
        .find(|(signature, _)| bytes.starts_with(signature))
        .map(|(_, name)| format!(" ({name})"))
        .unwrap_or_default();
    format!(
        "the first bytes are {}{name}; PNG and JPEG are supported",
        shown.join(" ")
    )
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
            refusal(b"GIF89a"),
            "the first bytes are 47 49 46 38 (GIF); PNG and JPEG are supported"
        );
        assert_eq!(refusal(b""), "it has 0 bytes");
        assert_eq!(
            refusal(&[1, 2]),
            "the first bytes are 01 02; PNG and JPEG are supported"
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
