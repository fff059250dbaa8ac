//! BMP to RGB: 1, 4 and 8 bits with a palette, plain or run-length encoded,
//! and 16, 24 and 32 bits; alpha dropped, channels of fewer bits widened as in
//! Pillow.

use std::mem;

use crate::bmp_header::{Encoding, Header};
use crate::bmp_runs;
use crate::orientation::Orientation;
use crate::picture::{check_size, try_reserve, Decoded, Picture};

/// Decodes a BMP, in steps.
pub struct BmpDecoder {
    bytes: Vec<u8>,
    header: Header,
    /// Run-length encoded pixels, unpacked: `[height, width]`, the file's order.
    indices: Vec<u8>,
    /// The rows converted so far: `[rows, width, 3]`.
    data: Vec<u8>,
}

impl BmpDecoder {
    /// Reads the header and checks its claims.
    pub fn new(bytes: Vec<u8>, max_pixels: usize) -> Result<Self, String> {
        let header = Header::read(&bytes)?;
        check_size(header.width, header.height, max_pixels)?;
        let indices = if header.encoding == Encoding::Runs {
            bmp_runs::unpack(
                bytes.get(header.pixels..).unwrap_or_default(),
                header.width,
                header.height,
                header.bits == 4,
            )?
        } else {
            let wanted = header.row_bytes().saturating_mul(header.height);
            if bytes.len().saturating_sub(header.pixels) < wanted {
                return Err("the BMP ends early".into());
            }
            Vec::new()
        };
        let data = try_reserve(header.width * header.height * 3)?;
        Ok(Self {
            bytes,
            header,
            indices,
            data,
        })
    }

    /// Converts about `pixels` pixels; gives the picture at the end.
    pub fn step(&mut self, pixels: usize) -> Option<Decoded> {
        let Header { width, height, .. } = self.header;
        let first = self.data.len() / (width * 3);
        let end = height.min(first + (pixels / width).max(1));
        for y in first..end {
            // Most files begin with the lowest row.
            self.push_row(if self.header.top_down {
                y
            } else {
                height - 1 - y
            });
        }
        (end == height).then(|| Decoded {
            picture: Picture {
                width,
                height,
                data: mem::take(&mut self.data),
            },
            turn: Orientation::UPRIGHT,
        })
    }

    fn push_row(&mut self, y: usize) {
        let header = &self.header;
        let width = header.width;
        if header.encoding == Encoding::Runs {
            for &index in &self.indices[y * width..][..width] {
                self.data.extend(header.palette[usize::from(index)]);
            }
            return;
        }
        let row = &self.bytes[header.pixels + y * header.row_bytes()..][..header.row_bytes()];
        match header.bits {
            24 => row
                .chunks_exact(3)
                .take(width)
                .for_each(|p| self.data.extend([p[2], p[1], p[0]])),
            16 => row.chunks_exact(2).take(width).for_each(|p| {
                let value = u32::from(u16::from_le_bytes([p[0], p[1]]));
                self.data.extend(header.channels(value));
            }),
            32 => row.chunks_exact(4).take(width).for_each(|p| {
                let value = u32::from_le_bytes([p[0], p[1], p[2], p[3]]);
                self.data.extend(header.channels(value));
            }),
            bits => {
                let per_byte = 8 / bits;
                let mask = (1u16 << bits) - 1;
                for x in 0..width {
                    let shift = (per_byte - 1 - x % per_byte) * bits;
                    let index = u16::from(row[x / per_byte]) >> shift & mask;
                    self.data.extend(header.palette[usize::from(index)]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a 40-byte header; `extra` follows it: masks, then palette.
    fn bmp(
        width: i32,
        height: i32,
        bits: u16,
        encoding: u32,
        extra: &[u8],
        rows: &[u8],
    ) -> Vec<u8> {
        let mut file = b"BM".to_vec();
        file.extend([0; 8]);
        file.extend((54 + extra.len() as u32).to_le_bytes());
        file.extend(40u32.to_le_bytes());
        file.extend(width.to_le_bytes());
        file.extend(height.to_le_bytes());
        file.extend(1u16.to_le_bytes());
        file.extend(bits.to_le_bytes());
        file.extend(encoding.to_le_bytes());
        file.extend([0; 20]);
        if bits <= 8 {
            let at = file.len() - 8;
            file[at..at + 4].copy_from_slice(&(extra.len() as u32 / 4).to_le_bytes());
        }
        file.extend(extra);
        file.extend(rows);
        file
    }

    fn decode(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut decoder = BmpDecoder::new(bytes.to_vec(), 1000)?;
        loop {
            if let Some(decoded) = decoder.step(1) {
                return Ok(decoded.picture.data);
            }
        }
    }

    const PALETTE: [u8; 12] = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0];

    #[test]
    fn decoder_reads_palettes_of_every_depth() {
        // One row of three pixels: 1, 0, 1.
        for (bits, row) in [(1, [0b1010_0000, 0]), (4, [0x10, 0x10]), (8, [1, 0])] {
            let mut rows = row.to_vec();
            rows.extend([u8::from(bits == 8), 0]);
            let data = decode(&bmp(3, 1, bits, 0, &PALETTE, &rows)).unwrap();
            assert_eq!(data, [6, 5, 4, 3, 2, 1, 6, 5, 4], "{bits} bits");
        }
    }

    #[test]
    fn decoder_reads_rows_in_both_orders() {
        let rows = [1, 2, 3, 0, 4, 5, 6, 0];
        assert_eq!(
            decode(&bmp(1, 2, 24, 0, &[], &rows)).unwrap(),
            [6, 5, 4, 3, 2, 1]
        );
        assert_eq!(
            decode(&bmp(1, -2, 24, 0, &[], &rows)).unwrap(),
            [3, 2, 1, 6, 5, 4]
        );
    }

    #[test]
    fn decoder_widens_channels_of_16_bits() {
        // 5 bits each without masks; 5, 6, 5 with them.
        let row = [0b0001_0000, 0b0100_0010, 0, 0];
        assert_eq!(
            decode(&bmp(1, 1, 16, 0, &[], &row)).unwrap(),
            [131, 131, 131]
        );
        let masks = [0, 0xf8, 0, 0, 0xe0, 7, 0, 0, 0x1f, 0, 0, 0];
        assert_eq!(
            decode(&bmp(1, 1, 16, 3, &masks, &row)).unwrap(),
            [65, 64, 131]
        );
    }

    #[test]
    fn decoder_unpacks_runs() {
        // Three of color 1; end of row; one verbatim run 2 0 1; end.
        let runs = [3, 1, 0, 0, 0, 3, 2, 0, 1, 0, 0, 1];
        let data = decode(&bmp(3, 2, 8, 1, &PALETTE, &runs)).unwrap();
        assert_eq!(data[..9], [9, 8, 7, 3, 2, 1, 6, 5, 4]);
        assert_eq!(data[9..], [6, 5, 4].repeat(3));
    }

    #[test]
    fn decoder_refuses_fragments_and_nonsense() {
        let whole = bmp(3, 1, 24, 0, &[], &[0; 12]);
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "{length}");
        }
        for (width, height, bits, encoding) in [
            (0, 1, 24, 0),
            (-1, 1, 24, 0),
            (1, i32::MIN, 24, 0),
            (1, 1, 7, 0),
            (1, 1, 24, 1),
            (1, 1, 8, 4),
            (40000, 40000, 8, 1),
        ] {
            let file = bmp(width, height, bits, encoding, &PALETTE, &[0; 99]);
            assert!(decode(&file).is_err(), "{width} {height} {bits} {encoding}");
        }
    }
}
