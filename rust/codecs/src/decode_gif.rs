//! The first frame of a GIF to RGB with the rules of Pillow's
//! `convert("RGB")`: transparent pixels keep their palette's colour, and so
//! does what the frame leaves of the canvas.

use std::io::Cursor;
use std::mem;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError};

use crate::orientation::Orientation;
use crate::picture::{check_size, try_reserve, Decoded, Picture};

/// A code of 12 bits stands for at most 4096 pixels.
const MAX_PIXELS_PER_BYTE: usize = 4096 * 8 / 12 + 1;

/// First row and step of the four passes of an interlaced frame.
const PASSES: [(usize, usize); 4] = [(0, 8), (4, 8), (2, 4), (1, 2)];

/// Decodes the first frame, in steps.
pub struct GifDecoder {
    decoder: Decoder<Cursor<Vec<u8>>>,
    palette: [[u8; 3]; 256],
    width: usize,
    height: usize,
    left: usize,
    top: usize,
    frame_width: usize,
    /// Rows of the frame in the order of the file, and those read so far.
    rows: Vec<usize>,
    rows_read: usize,
    /// The canvas: `[height, width, 3]`.
    data: Vec<u8>,
}

impl GifDecoder {
    /// Reads up to the first frame and checks its claims.
    pub fn new(bytes: Vec<u8>, max_pixels: usize) -> Result<Self, String> {
        let length = bytes.len();
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::Indexed);
        let mut decoder = options.read_info(Cursor::new(bytes)).map_err(describe)?;
        let frame = decoder
            .next_frame_info()
            .map_err(describe)?
            .ok_or_else(|| "the GIF has no frame".to_string())?;
        let (left, top) = (usize::from(frame.left), usize::from(frame.top));
        let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
        let outside = usize::from(frame.transparent.unwrap_or(0));
        let rows = row_order(frame_height, frame.interlaced);
        // A frame larger than the canvas widens it.
        let width = usize::from(decoder.width()).max(left + frame_width);
        let height = usize::from(decoder.height()).max(top + frame_height);
        check_size(width, height, max_pixels)?;
        if frame_width * frame_height / MAX_PIXELS_PER_BYTE > length {
            return Err(format!(
                "its {length} bytes are too few for a size of {frame_width}x{frame_height}"
            ));
        }
        let palette = expand_palette(decoder.palette().map_err(describe)?);
        let mut data = try_reserve(width * height * 3)?;
        for _ in 0..width * height {
            data.extend_from_slice(&palette[outside]);
        }
        Ok(Self {
            decoder,
            palette,
            width,
            height,
            left,
            top,
            frame_width,
            rows,
            rows_read: 0,
            data,
        })
    }

    /// Decodes about `pixels` pixels; gives the picture at the end.
    pub fn step(&mut self, pixels: usize) -> Result<Option<Decoded>, String> {
        let count = (pixels / self.frame_width.max(1)).max(1);
        let end = self.rows.len().min(self.rows_read + count);
        let mut indices = vec![0; self.frame_width];
        for &row in &self.rows[self.rows_read..end] {
            if !self.decoder.fill_buffer(&mut indices).map_err(describe)? {
                return Err("the GIF ends early".into());
            }
            let at = ((self.top + row) * self.width + self.left) * 3;
            let pixels = self.data[at..].chunks_exact_mut(3);
            for (pixel, &index) in pixels.zip(&indices) {
                pixel.copy_from_slice(&self.palette[usize::from(index)]);
            }
        }
        self.rows_read = end;
        if end < self.rows.len() {
            return Ok(None);
        }
        let picture = Picture {
            width: self.width,
            height: self.height,
            data: mem::take(&mut self.data),
        };
        Ok(Some(Decoded {
            picture,
            turn: Orientation::UPRIGHT,
        }))
    }
}

fn row_order(height: usize, interlaced: bool) -> Vec<usize> {
    if !interlaced {
        return (0..height).collect();
    }
    PASSES
        .iter()
        .flat_map(|&(first, step)| (first..height).step_by(step))
        .collect()
}

/// Indices beyond the palette are grey, as in Pillow.
fn expand_palette(rgb: &[u8]) -> [[u8; 3]; 256] {
    let mut palette = [[0; 3]; 256];
    for (index, entry) in palette.iter_mut().enumerate() {
        *entry = match rgb.get(index * 3..index * 3 + 3) {
            Some(color) => [color[0], color[1], color[2]],
            None => [index as u8; 3],
        };
    }
    palette
}

fn describe(error: DecodingError) -> String {
    match error {
        DecodingError::Io(_) | DecodingError::UnexpectedEof => "the GIF ends early".into(),
        other => format!("the GIF is damaged: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3x4 canvas, a 2x3 frame at (1, 1), codes of 3 bits that never grow:
    /// a clear code before every two pixels. Palette of four greys.
    fn gif(interlaced: bool, frame: &[u8; 6]) -> Vec<u8> {
        let mut file = b"GIF89a\x03\0\x04\0\x81\0\0".to_vec();
        file.extend([10, 10, 10, 20, 20, 20, 30, 30, 30, 40, 40, 40]);
        let flags = if interlaced { 0x40 } else { 0 };
        file.extend([b',', 1, 0, 1, 0, 2, 0, 3, 0, flags, 2]);
        let mut codes = Vec::new();
        for pair in frame.chunks_exact(2) {
            codes.extend([4, pair[0], pair[1]]);
        }
        codes.push(5);
        let bits: u64 = codes
            .iter()
            .enumerate()
            .map(|(i, &code)| u64::from(code) << (3 * i))
            .sum();
        file.push(4);
        file.extend(&bits.to_le_bytes()[..4]);
        file.extend([0, b';']);
        file
    }

    fn decode(bytes: &[u8], max_pixels: usize) -> Result<Picture, String> {
        let mut decoder = GifDecoder::new(bytes.to_vec(), max_pixels)?;
        loop {
            if let Some(decoded) = decoder.step(1)? {
                return Ok(decoded.picture);
            }
        }
    }

    fn greys(picture: &Picture) -> Vec<u8> {
        picture.data.iter().step_by(3).copied().collect()
    }

    #[test]
    fn decoder_places_the_frame_on_the_canvas() {
        let picture = decode(&gif(false, &[0, 1, 2, 3, 1, 1]), 100).unwrap();
        assert_eq!((picture.width, picture.height), (3, 4));
        assert_eq!(
            greys(&picture),
            [10, 10, 10, 10, 10, 20, 10, 30, 40, 10, 20, 20]
        );
    }

    #[test]
    fn decoder_puts_interlaced_rows_in_order() {
        let picture = decode(&gif(true, &[1, 1, 2, 2, 3, 3]), 100).unwrap();
        assert_eq!(
            greys(&picture),
            [10, 10, 10, 10, 20, 20, 10, 40, 40, 10, 30, 30]
        );
        assert_eq!(row_order(9, true), [0, 8, 4, 2, 6, 1, 3, 5, 7]);
    }

    #[test]
    fn decoder_refuses_fragments_and_large_claims() {
        let whole = gif(false, &[0, 1, 2, 3, 1, 1]);
        assert!(decode(&whole, 11).is_err());
        for length in 0..whole.len() - 3 {
            assert!(decode(&whole[..length], 100).is_err(), "{length}");
        }
    }
}
