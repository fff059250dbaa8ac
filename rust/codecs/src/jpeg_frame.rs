//! The segments of a JPEG before and between its scans: tables, the frame
//! header, and what tells the colours.

use crate::jpeg_bits::HuffmanTable;
use crate::jpeg_upsample::Colors;
use crate::orientation::{self, Orientation};

/// Position in a block of the coefficients in the order of the file.
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// A component as the frame header describes it.
pub struct Component {
    pub id: u8,
    /// Blocks of an interleaved unit.
    pub h: usize,
    pub v: usize,
    pub quantization_index: usize,
    /// Samples that belong to the picture.
    pub width: usize,
    pub height: usize,
    /// Blocks, filled up to whole units.
    pub blocks_x: usize,
    pub blocks_y: usize,
}

/// The frame header.
pub struct Frame {
    pub width: usize,
    pub height: usize,
    pub progressive: bool,
    pub components: Vec<Component>,
    /// Interleaved units.
    pub units_x: usize,
    pub units_y: usize,
}

impl Frame {
    /// Largest factors of the components.
    pub fn largest(&self) -> (usize, usize) {
        let h = self.components.iter().map(|c| c.h).max().unwrap_or(1);
        let v = self.components.iter().map(|c| c.v).max().unwrap_or(1);
        (h, v)
    }

    /// Reads the content of a frame header segment.
    pub fn read(content: &[u8], progressive: bool) -> Result<Self, String> {
        let [precision, h1, h0, w1, w0, count, rest @ ..] = content else {
            return Err("the JPEG is damaged: its frame header is too short".into());
        };
        if *precision != 8 {
            return Err(format!(
                "the JPEG has {precision} bits a sample, only 8 are supported"
            ));
        }
        let count = usize::from(*count);
        if !matches!(count, 1 | 3 | 4) || rest.len() < count * 3 {
            return Err(format!(
                "the JPEG has {count} components, 1, 3 or 4 are supported"
            ));
        }
        let (width, height) = (
            usize::from(u16::from_be_bytes([*w1, *w0])),
            usize::from(u16::from_be_bytes([*h1, *h0])),
        );
        let mut frame = Self {
            width,
            height,
            progressive,
            components: rest.chunks_exact(3).take(count).map(component).collect(),
            units_x: 0,
            units_y: 0,
        };
        frame.lay_out()?;
        Ok(frame)
    }

    fn lay_out(&mut self) -> Result<(), String> {
        let factors = || self.components.iter().flat_map(|c| [c.h, c.v]);
        if factors().any(|factor| !(1..=4).contains(&factor)) {
            return Err("the JPEG is damaged: a sampling factor is not 1 to 4".into());
        }
        // A single component is never interleaved: its factors mean nothing.
        if let [only] = &mut self.components[..] {
            (only.h, only.v) = (1, 1);
        }
        let (h, v) = self.largest();
        if self.components.iter().any(|c| h % c.h != 0 || v % c.v != 0) {
            return Err("the JPEG has fractional sampling factors, which are not supported".into());
        }
        self.units_x = self.width.div_ceil(8 * h);
        self.units_y = self.height.div_ceil(8 * v);
        for c in &mut self.components {
            c.width = (self.width * c.h).div_ceil(h);
            c.height = (self.height * c.v).div_ceil(v);
            c.blocks_x = self.units_x * c.h;
            c.blocks_y = self.units_y * c.v;
        }
        Ok(())
    }
}

fn component(fields: &[u8]) -> Component {
    Component {
        id: fields[0],
        h: usize::from(fields[1] >> 4),
        v: usize::from(fields[1] & 15),
        quantization_index: usize::from(fields[2]),
        width: 0,
        height: 0,
        blocks_x: 0,
        blocks_y: 0,
    }
}

/// Tables and notes that hold until they are replaced.
#[derive(Default)]
pub struct Tables {
    pub quantization: [Option<[u16; 64]>; 4],
    pub dc: [Option<HuffmanTable>; 4],
    pub ac: [Option<HuffmanTable>; 4],
    /// Units between restart markers; 0 for none.
    pub restart_interval: usize,
    jfif: bool,
    adobe_transform: Option<u8>,
    pub turn: Option<Orientation>,
}

impl Tables {
    /// Takes a segment of tables or notes; others are of no interest.
    pub fn read(&mut self, marker: u8, content: &[u8]) -> Result<(), String> {
        match marker {
            0xdb => self.read_quantization(content),
            0xc4 => self.read_huffman(content),
            0xdd => content.get(..2).map(|interval| {
                self.restart_interval = usize::from(interval[0]) << 8 | usize::from(interval[1]);
            }),
            0xe0 => {
                self.jfif |= content.starts_with(b"JFIF\0");
                Some(())
            }
            0xe1 if content.starts_with(b"Exif\0\0") => {
                self.turn
                    .get_or_insert_with(|| orientation::from_exif(content));
                Some(())
            }
            0xee if content.starts_with(b"Adobe") => {
                self.adobe_transform = content.get(11).copied();
                Some(())
            }
            _ => Some(()),
        }
        .ok_or_else(|| format!("the JPEG is damaged: its segment of marker {marker:02x} is wrong"))
    }

    fn read_quantization(&mut self, mut content: &[u8]) -> Option<()> {
        while let [head, rest @ ..] = content {
            let bytes = match head >> 4 {
                0 => 1,
                1 => 2,
                _ => return None,
            };
            let values = rest.get(..64 * bytes)?;
            let mut table = [0; 64];
            for (i, value) in values.chunks_exact(bytes).enumerate() {
                let value = value
                    .iter()
                    .fold(0, |sum, &byte| sum << 8 | u16::from(byte));
                table[usize::from(ZIGZAG[i])] = value;
            }
            *self.quantization.get_mut(usize::from(head & 15))? = Some(table);
            content = &rest[64 * bytes..];
        }
        Some(())
    }

    fn read_huffman(&mut self, mut content: &[u8]) -> Option<()> {
        while let [head, rest @ ..] = content {
            let counts = rest.get(..16)?;
            let length: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let symbols = rest.get(16..16 + length)?;
            let table = HuffmanTable::new(counts, symbols)?;
            let class = match head >> 4 {
                // Differences have at most 15 bits.
                0 if symbols.iter().all(|&symbol| symbol < 16) => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *class.get_mut(usize::from(head & 15))? = Some(table);
            content = &rest[16 + length..];
        }
        Some(())
    }

    /// What the components of a frame are, by the rules of libjpeg.
    pub fn colors(&self, frame: &Frame) -> Colors {
        let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        match (frame.components.len(), self.adobe_transform) {
            (1, _) => Colors::Grey,
            (4, Some(2)) => Colors::Ycck,
            (4, _) => Colors::Cmyk,
            _ if self.jfif => Colors::YCbCr,
            (_, Some(0)) => Colors::Rgb,
            (_, None) if ids == *b"RGB" => Colors::Rgb,
            _ => Colors::YCbCr,
        }
    }
}
