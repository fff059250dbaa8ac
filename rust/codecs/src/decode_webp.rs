//! WebP (lossy, lossless, with alpha, the first frame of an animation) to RGB
//! with the rules of Pillow's `convert("RGB")`: alpha dropped without
//! blending. Lossless pictures are exact, lossy ones within 3 of libwebp.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use crate::orientation::{self, Orientation};
use crate::picture::{check_size, try_reserve, try_zeroed, Decoded, Picture};

/// Whether a file begins as WebP files do.
pub fn is_webp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")
}

/// Decodes a WebP.
pub fn decode_webp(bytes: &[u8], max_pixels: usize) -> Result<Decoded, String> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(describe)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height, max_pixels)?;
    decoder.set_memory_limit(bytes.len());
    let size = decoder
        .output_buffer_size()
        .ok_or_else(|| "its size is not addressable".to_string())?;
    let mut raw = try_zeroed(size)?;
    decoder.read_image(&mut raw).map_err(describe)?;
    let data = if decoder.has_alpha() {
        let mut rgb = try_reserve(width * height * 3)?;
        for pixel in raw.chunks_exact(4) {
            rgb.extend_from_slice(&pixel[..3]);
        }
        rgb
    } else {
        raw
    };
    // A damaged chunk of EXIF data counts as none, as for the other formats.
    let exif = decoder.exif_metadata().ok().flatten();
    let turn = exif
        .as_deref()
        .map_or(Orientation::UPRIGHT, orientation::from_exif);
    let picture = Picture {
        width,
        height,
        data,
    };
    Ok(Decoded { picture, turn })
}

fn describe(error: DecodingError) -> String {
    match error {
        DecodingError::IoError(_) => "the WebP ends early".into(),
        other => format!("the WebP is damaged: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lossless picture in which every pixel takes no bits: one symbol in
    /// each of its five codes, blue 200, the others 0, alpha 255.
    fn plain(width: u32, height: u32) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        let mut put = |value: u32, count: u32| {
            bits.extend((0..count).map(|i| value >> i & 1 == 1));
        };
        put(width - 1, 14);
        put(height - 1, 14);
        put(0, 1 + 3); // alpha, version
        put(0, 3); // no transform, no colour cache, no groups of codes
        for symbol in [0, 0, 200, 255, 0] {
            put(0b101, 3); // simple code, one symbol, of 8 bits
            put(symbol, 8);
        }
        bits.resize(bits.len().div_ceil(8) * 8 + 32, false);
        let packed = bits
            .chunks_exact(8)
            .map(|byte| (0..8).fold(0u8, |sum, i| sum | u8::from(byte[i]) << i));
        let mut data = vec![0x2f];
        data.extend(packed);
        data.resize(data.len().div_ceil(2) * 2, 0);
        let size = data.len() as u32;
        let mut file = b"RIFF".to_vec();
        file.extend((size + 12).to_le_bytes());
        file.extend(b"WEBPVP8L");
        file.extend(size.to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn decode_webp_reads_pixels_of_no_bits() {
        let decoded = decode_webp(&plain(3, 2), 100).ok().unwrap();
        assert_eq!(decoded.picture.data, [0, 0, 200].repeat(6));
    }

    #[test]
    fn decode_webp_refuses_large_claims() {
        assert_eq!(
            decode_webp(&plain(1000, 1000), 100).err().unwrap(),
            "its size is 1000x1000, at most 100 pixels are allowed"
        );
    }

    #[test]
    fn decode_webp_refuses_fragments() {
        let whole = plain(3, 2);
        for length in 0..whole.len() - 10 {
            assert!(decode_webp(&whole[..length], 100).is_err(), "{length}");
        }
    }
}
