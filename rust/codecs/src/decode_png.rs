//! PNG to RGB, with the rules of Pillow's `convert("RGB")`: palettes and grey
//! expanded, alpha dropped, 16 bits cut to the upper 8. Pillow clips 16-bit
//! grey to 255 instead, which turns most such pictures white; here all 16-bit
//! kinds are scaled alike.

use std::io::Cursor;
use std::mem;

use png::{ColorType, Decoder, Limits, Reader, Transformations};

use crate::orientation::{self, Orientation};
use crate::picture::{check_size, try_reserve, try_zeroed, Decoded, Picture};

/// Bound on what ancillary chunks may unpack to.
const MAX_CHUNK_BYTES: usize = 1 << 26;

/// Deflate shrinks data at most 1032-fold: a file that claims more has too
/// little data, and memory for its pixels would be wasted.
const MAX_DEFLATE_RATIO: usize = 1032;

/// Decodes the still picture of a PNG, in steps.
pub struct PngDecoder {
    reader: BytesReader,
    width: usize,
    height: usize,
    /// The rows read so far: `[rows, width, 3]`.
    data: Vec<u8>,
}

type BytesReader = Reader<Cursor<Vec<u8>>>;

impl PngDecoder {
    /// Reads the header and checks its claims.
    pub fn new(bytes: Vec<u8>, max_pixels: usize) -> Result<Self, String> {
        let length = bytes.len();
        // The header comes first, always, at the same place. The crate would
        // refuse large claims too, without naming them.
        if let (Some(width), Some(height)) = (u32_at(&bytes, 16), u32_at(&bytes, 20)) {
            check_size(width as usize, height as usize, max_pixels)?;
        }
        let limits = Limits {
            bytes: MAX_CHUNK_BYTES,
        };
        let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        let reader = decoder.read_info().map_err(describe)?;
        let info = reader.info();
        let (width, height) = (info.width as usize, info.height as usize);
        let packed = info.raw_row_length().saturating_mul(height);
        if packed / MAX_DEFLATE_RATIO > length {
            return Err(format!(
                "its {length} bytes are too few for a size of {width}x{height}"
            ));
        }
        let data = try_reserve(width * height * 3)?;
        Ok(Self {
            reader,
            width,
            height,
            data,
        })
    }

    /// Decodes about `pixels` pixels, all of an interlaced picture; gives the
    /// picture at the end.
    pub fn step(&mut self, pixels: usize) -> Result<Option<Decoded>, String> {
        if self.reader.info().interlaced {
            self.read_interlaced()?;
        } else if self.read_rows((pixels / self.width).max(1))? {
            return Ok(None);
        }
        if self.data.len() != self.width * self.height * 3 {
            return Err("the PNG ends early".into());
        }
        // An eXIf chunk may follow the pixels. They are whole: where the rest
        // of the file is not, Pillow takes it too.
        let _ = self.reader.finish();
        let turn = self
            .reader
            .info()
            .exif_metadata
            .as_deref()
            .map_or(Orientation::UPRIGHT, orientation::from_exif);
        let picture = Picture {
            width: self.width,
            height: self.height,
            data: mem::take(&mut self.data),
        };
        Ok(Some(Decoded { picture, turn }))
    }

    /// Reads up to `rows` rows; whether some are left.
    fn read_rows(&mut self, rows: usize) -> Result<bool, String> {
        let color = self.reader.output_color_type().0;
        let left = self.height - self.data.len() / (self.width * 3);
        for _ in 0..rows.min(left) {
            match self.reader.next_row().map_err(describe)? {
                Some(row) => push_rgb(&mut self.data, row.data(), color),
                None => return Ok(false),
            }
        }
        Ok(rows < left)
    }

    fn read_interlaced(&mut self) -> Result<(), String> {
        let size = self
            .reader
            .output_buffer_size()
            .ok_or_else(|| "its size is not addressable".to_string())?;
        let mut raw = try_zeroed(size)?;
        let frame = self.reader.next_frame(&mut raw).map_err(describe)?;
        push_rgb(&mut self.data, &raw, frame.color_type);
        Ok(())
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

fn describe(error: png::DecodingError) -> String {
    match error {
        png::DecodingError::IoError(_) => "the PNG ends early".into(),
        other => format!("the PNG is damaged: {other}"),
    }
}

fn push_rgb(out: &mut Vec<u8>, row: &[u8], color: ColorType) {
    match color {
        ColorType::Rgb => out.extend_from_slice(row),
        ColorType::Rgba => row
            .chunks_exact(4)
            .for_each(|p| out.extend_from_slice(&p[..3])),
        ColorType::GrayscaleAlpha => row
            .chunks_exact(2)
            .for_each(|p| out.extend_from_slice(&[p[0]; 3])),
        // EXPAND leaves no palette indices.
        ColorType::Grayscale | ColorType::Indexed => {
            row.iter().for_each(|&v| out.extend_from_slice(&[v; 3]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(color: ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(data)
            .unwrap();
        bytes
    }

    fn decode_png(bytes: &[u8], max_pixels: usize) -> Result<Picture, String> {
        let mut decoder = PngDecoder::new(bytes.to_vec(), max_pixels)?;
        loop {
            if let Some(decoded) = decoder.step(1)? {
                return Ok(decoded.picture);
            }
        }
    }

    #[test]
    fn decode_png_scales_16_bit_grey() {
        let bytes = encode(
            ColorType::Grayscale,
            png::BitDepth::Sixteen,
            &[0x12, 0xff, 0xff, 0],
        );
        let picture = decode_png(&bytes, 100).unwrap();
        assert_eq!(picture.data, [0x12, 0x12, 0x12, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn decode_png_drops_alpha_without_blending() {
        let bytes = encode(
            ColorType::Rgba,
            png::BitDepth::Eight,
            &[1, 2, 3, 0, 4, 5, 6, 9],
        );
        assert_eq!(decode_png(&bytes, 100).unwrap().data, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn decode_png_refuses_truncation_and_large_claims() {
        let bytes = encode(ColorType::Rgb, png::BitDepth::Eight, &[1, 2, 3, 4, 5, 6]);
        assert!(decode_png(&bytes, 1).is_err());
        // Up to the checksums after the pixels.
        for length in 8..bytes.len() - 24 {
            assert!(
                decode_png(&bytes[..length], 100).is_err(),
                "{length} bytes decode"
            );
        }
    }
}
