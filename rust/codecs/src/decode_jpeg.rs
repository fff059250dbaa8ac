//! JPEG (baseline and progressive; grey, YCbCr, RGB, CMYK) to RGB, in steps
//! and with libjpeg's arithmetic, so that the pixels are those of Pillow.

use std::mem;

use crate::jpeg_frame::{Frame, Tables};
use crate::jpeg_idct::transform;
use crate::jpeg_scan::{Coefficients, Scan};
use crate::jpeg_upsample::{push_rgb, Colors, Plane};
use crate::orientation::Orientation;
use crate::picture::{check_size, try_reserve, try_zeroed, Decoded, Picture};

/// A Huffman-coded block of 64 pixels takes at least one bit.
const MAX_PIXELS_PER_BYTE: usize = 512;

/// No encoder makes more, and each takes time.
const MAX_SCANS: usize = 200;

/// Coefficients are 16 bits, blocks 8x8.
const BLOCK: usize = 64;

enum Stage {
    /// Looking for the next marker at `at`.
    Segments,
    Scan(Scan),
    /// Rows of blocks of a component become samples.
    Blocks {
        component: usize,
        row: usize,
    },
    Rows,
}

/// Decodes a JPEG, in steps.
pub struct JpegDecoder {
    bytes: Vec<u8>,
    at: usize,
    tables: Tables,
    frame: Option<Frame>,
    max_pixels: usize,
    stage: Stage,
    scans: usize,
    /// One of each for every component; tables as its first scan found them.
    coefficients: Vec<Coefficients>,
    quantization: Vec<Option<[u16; 64]>>,
    planes: Vec<Plane>,
    /// The rows converted so far: `[rows, width, 3]`.
    data: Vec<u8>,
}

impl JpegDecoder {
    /// Nothing is read yet but the first marker, which the caller knows.
    pub fn new(bytes: Vec<u8>, max_pixels: usize) -> Self {
        Self {
            bytes,
            at: 2,
            tables: Tables::default(),
            frame: None,
            max_pixels,
            stage: Stage::Segments,
            scans: 0,
            coefficients: Vec::new(),
            quantization: Vec::new(),
            planes: Vec::new(),
            data: Vec::new(),
        }
    }

    /// Does about `pixels` pixels of one of the three stages; gives the picture
    /// at the end.
    pub fn step(&mut self, pixels: usize) -> Result<Option<Decoded>, String> {
        match mem::replace(&mut self.stage, Stage::Rows) {
            Stage::Segments => self.stage = self.read_segments()?,
            Stage::Scan(scan) => self.stage = self.read_scan(scan, pixels)?,
            Stage::Blocks { component, row } => {
                self.stage = self.transform_blocks(component, row, pixels)?;
            }
            Stage::Rows => return Ok(self.convert_rows(pixels)),
        }
        Ok(None)
    }

    /// Reads up to the next scan or the end of the picture.
    fn read_segments(&mut self) -> Result<Stage, String> {
        loop {
            let Some((marker, content)) = self.next_segment()? else {
                return self.begin_blocks();
            };
            let content = self.bytes[content].to_vec();
            match marker {
                0xc0..=0xc2 => self.begin_frame(Frame::read(&content, marker == 0xc2)?)?,
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcf if marker != 0xcc => {
                    return Err(
                        "the JPEG is lossless, hierarchical or arithmetically coded, which is not supported"
                            .into(),
                    );
                }
                0xda => return self.begin_scan(&content),
                _ => self.tables.read(marker, &content)?,
            }
        }
    }

    /// The next marker and where its content lies; `None` at the end.
    fn next_segment(&mut self) -> Result<Option<(u8, std::ops::Range<usize>)>, String> {
        let early = || "the JPEG ends early".to_string();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(skipped) = rest
            .windows(2)
            .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 1 | 0xff | 0xd0..=0xd8))
        else {
            // The last scan of a whole picture may lack its end.
            return if self.is_whole() {
                Ok(None)
            } else {
                Err(early())
            };
        };
        let marker = rest[skipped + 1];
        self.at += skipped + 2;
        if marker == 0xd9 {
            return Ok(None);
        }
        let length = self.bytes.get(self.at..self.at + 2).ok_or_else(early)?;
        let length = usize::from(length[0]) << 8 | usize::from(length[1]);
        let content = self.at + 2..self.at + length.max(2);
        self.at = content.end;
        if self.at > self.bytes.len() {
            return Err(early());
        }
        Ok(Some((marker, content)))
    }

    /// Whether a sequential picture has all its scans.
    fn is_whole(&self) -> bool {
        self.frame.as_ref().is_some_and(|frame| !frame.progressive)
            && self.quantization.iter().all(Option::is_some)
    }

    fn begin_frame(&mut self, frame: Frame) -> Result<(), String> {
        if self.frame.is_some() {
            return Err("the JPEG is damaged: it has two frame headers".into());
        }
        let (width, height) = (frame.width, frame.height);
        check_size(width, height, self.max_pixels)?;
        if width * height / MAX_PIXELS_PER_BYTE > self.bytes.len() {
            return Err(format!(
                "its {} bytes are too few for a size of {width}x{height}",
                self.bytes.len()
            ));
        }
        for component in &frame.components {
            let length = component.blocks_x * component.blocks_y * BLOCK;
            let mut coefficients = Vec::new();
            coefficients
                .try_reserve_exact(length)
                .map_err(|_| format!("there is no memory for its size of {width}x{height}"))?;
            coefficients.resize(length, 0);
            self.coefficients.push(coefficients);
            self.quantization.push(None);
        }
        self.frame = Some(frame);
        Ok(())
    }

    fn begin_scan(&mut self, content: &[u8]) -> Result<Stage, String> {
        let frame = self
            .frame
            .as_ref()
            .ok_or("the JPEG is damaged: a scan has no frame header")?;
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(format!("the JPEG has more than {MAX_SCANS} scans"));
        }
        let scan = Scan::new(content, self.at, frame, &self.tables)?;
        for component in scan.components() {
            let index = frame.components[component].quantization_index;
            let table = self.tables.quantization[index];
            let known = &mut self.quantization[component];
            *known = known.or(table);
        }
        Ok(Stage::Scan(scan))
    }

    fn read_scan(&mut self, mut scan: Scan, pixels: usize) -> Result<Stage, String> {
        let Some(frame) = &self.frame else {
            return Ok(Stage::Segments);
        };
        let rows = (pixels / (frame.width * 8 * frame.largest().1)).max(1);
        for _ in 0..rows {
            if scan.read_row(&self.bytes, frame, &self.tables, &mut self.coefficients)? {
                self.at = scan.end();
                return Ok(Stage::Segments);
            }
        }
        Ok(Stage::Scan(scan))
    }

    fn begin_blocks(&mut self) -> Result<Stage, String> {
        let Some(frame) = &self.frame else {
            return Err("the JPEG has no frame header".into());
        };
        if self.quantization.iter().any(Option::is_none) {
            return Err("the JPEG lacks a scan".into());
        }
        let (h, v) = frame.largest();
        for component in &frame.components {
            let stride = component.blocks_x * 8;
            self.planes.push(Plane {
                samples: try_zeroed(stride * component.blocks_y * 8)?,
                stride,
                width: component.width,
                height: component.height,
                x_factor: h / component.h,
                y_factor: v / component.v,
            });
        }
        Ok(Stage::Blocks {
            component: 0,
            row: 0,
        })
    }

    fn transform_blocks(
        &mut self,
        component: usize,
        row: usize,
        pixels: usize,
    ) -> Result<Stage, String> {
        let Some(plane) = self.planes.get_mut(component) else {
            let size = self
                .frame
                .as_ref()
                .map_or(0, |frame| frame.width * frame.height);
            self.data = try_reserve(size * 3)?;
            return Ok(Stage::Rows);
        };
        let Some(table) = &self.quantization[component] else {
            return Err("the JPEG lacks a scan".into());
        };
        let row_coefficients = plane.stride * 8;
        let rows = plane.samples.len() / row_coefficients;
        let end = rows.min(row + (pixels / row_coefficients).max(1));
        for y in row..end {
            let blocks = &self.coefficients[component][y * row_coefficients..][..row_coefficients];
            let samples = &mut plane.samples[y * row_coefficients..][..row_coefficients];
            for (x, block) in blocks.chunks_exact(BLOCK).enumerate() {
                transform(block, table, &mut samples[x * 8..], plane.stride);
            }
        }
        if end < rows {
            return Ok(Stage::Blocks {
                component,
                row: end,
            });
        }
        self.coefficients[component] = Vec::new();
        Ok(Stage::Blocks {
            component: component + 1,
            row: 0,
        })
    }

    fn convert_rows(&mut self, pixels: usize) -> Option<Decoded> {
        let frame = self.frame.as_ref()?;
        let Frame { width, height, .. } = *frame;
        let colors: Colors = self.tables.colors(frame);
        let mut rows: Vec<Vec<u8>> = self
            .planes
            .iter()
            .map(|plane| vec![0; plane.width * plane.x_factor])
            .collect();
        let first = self.data.len() / (width * 3);
        let end = height.min(first + (pixels / width).max(1));
        for y in first..end {
            for (plane, row) in self.planes.iter().zip(&mut rows) {
                plane.upsample(y, row);
            }
            push_rgb(colors, &rows, width, &mut self.data);
        }
        (end == height).then(|| Decoded {
            picture: Picture {
                width,
                height,
                data: mem::take(&mut self.data),
            },
            turn: self.tables.turn.unwrap_or(Orientation::UPRIGHT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoder_refuses_fragments() {
        for bytes in [
            &b"\xff\xd8\xff"[..],
            b"\xff\xd8\xff\xe0\0\x10JFIF",
            b"\xff\xd8\xff\xd9",
            b"\xff\xd8\xff\xda\0\x08\x01\x01\0\0\x3f\0",
            b"\xff\xd8\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xd9",
            b"\xff\xd8\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x51\0\xff\xd9",
        ] {
            let mut decoder = JpegDecoder::new(bytes.to_vec(), 100);
            let refused = (0..10).any(|_| decoder.step(1).is_err());
            assert!(refused, "{bytes:02x?}");
        }
    }
}
