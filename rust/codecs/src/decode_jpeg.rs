//! JPEG (baseline, progressive, lossless; grey, YCbCr, RGB, CMYK) to RGB.
//!
//! jpeg-decoder upsamples chroma with libjpeg's triangle filter and rounding:
//! its pixels are within 3 of libjpeg's.

use std::io::Cursor;

use jpeg_decoder::{Decoder, Error, PixelFormat};

use crate::orientation::{self, Orientation};
use crate::picture::{check_size, try_reserve, Decoded, Picture};

/// A Huffman-coded block of 64 pixels takes at least one bit.
const MAX_PIXELS_PER_BYTE: usize = 512;

/// Decodes a JPEG.
pub fn decode_jpeg(bytes: &[u8], max_pixels: usize) -> Result<Decoded, String> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.read_info().map_err(describe)?;
    let info = decoder
        .info()
        .ok_or_else(|| "the JPEG has no frame header".to_string())?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    check_size(width, height, max_pixels)?;
    if width * height / MAX_PIXELS_PER_BYTE > bytes.len() {
        return Err(format!(
            "its {} bytes are too few for a size of {width}x{height}",
            bytes.len()
        ));
    }
    let turn = decoder
        .exif_data()
        .map_or(Orientation::UPRIGHT, orientation::from_exif);
    let raw = decoder.decode().map_err(describe)?;
    if raw.len() != width * height * info.pixel_format.pixel_bytes() {
        return Err("the JPEG lacks pixels".into());
    }
    let picture = Picture {
        width,
        height,
        data: to_rgb(raw, info.pixel_format)?,
    };
    Ok(Decoded { picture, turn })
}

fn describe(error: Error) -> String {
    match error {
        Error::Io(_) => "the JPEG ends early".into(),
        other => format!("the JPEG is damaged: {other}"),
    }
}

fn to_rgb(raw: Vec<u8>, format: PixelFormat) -> Result<Vec<u8>, String> {
    if format == PixelFormat::RGB24 {
        return Ok(raw);
    }
    let mut data = try_reserve(raw.len() / format.pixel_bytes() * 3)?;
    match format {
        PixelFormat::RGB24 => {}
        PixelFormat::L8 => raw
            .iter()
            .for_each(|&grey| data.extend_from_slice(&[grey; 3])),
        // Native byte order; the upper 8 bits.
        PixelFormat::L16 => raw.chunks_exact(2).for_each(|pair| {
            let grey = (u16::from_ne_bytes([pair[0], pair[1]]) >> 8) as u8;
            data.extend_from_slice(&[grey; 3]);
        }),
        PixelFormat::CMYK32 => raw
            .chunks_exact(4)
            .for_each(|ink| data.extend_from_slice(&cmyk_to_rgb(ink[0], ink[1], ink[2], ink[3]))),
    }
    Ok(data)
}

/// Ink amounts to RGB with Pillow's rounding.
fn cmyk_to_rgb(cyan: u8, magenta: u8, yellow: u8, key: u8) -> [u8; 3] {
    let light = 255 - i32::from(key);
    [cyan, magenta, yellow].map(|ink| {
        let product = i32::from(ink) * light + 128;
        let absorbed = ((product >> 8) + product) >> 8;
        (light - absorbed).clamp(0, 255) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cmyk_to_rgb_mixes_inks() {
        assert_eq!(cmyk_to_rgb(0, 0, 0, 0), [255, 255, 255]);
        assert_eq!(cmyk_to_rgb(255, 0, 0, 0), [0, 255, 255]);
        assert_eq!(cmyk_to_rgb(9, 99, 200, 255), [0, 0, 0]);
        assert_eq!(cmyk_to_rgb(0, 128, 255, 55), [200, 100, 0]);
    }

    #[test]
    fn to_rgb_takes_the_upper_bits_of_16() {
        let raw = [0x12ffu16, 0xff00]
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect();
        let data = to_rgb(raw, PixelFormat::L16).unwrap();
        assert_eq!(data, [0x12, 0x12, 0x12, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn decode_jpeg_refuses_fragments() {
        for bytes in [
            &b"\xff\xd8\xff"[..],
            b"\xff\xd8\xff\xe0\0\x10JFIF",
            b"\xff\xd8\xff\xd9",
        ] {
            assert!(decode_jpeg(bytes, 100).is_err());
        }
    }
}
