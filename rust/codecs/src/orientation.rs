//! EXIF orientation: reading tag 0x0112 and turning pictures upright.

use std::mem;

use crate::picture::Picture;

const ORIENTATION_TAG: u16 = 0x0112;
const TYPE_SHORT: u16 = 3;

/// How stored pixels relate to the upright picture; EXIF values 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation {
    /// Rows and columns are swapped first.
    transposed: bool,
    flipped_x: bool,
    flipped_y: bool,
}

impl Orientation {
    pub const UPRIGHT: Self = Self {
        transposed: false,
        flipped_x: false,
        flipped_y: false,
    };

    /// Orientation of an EXIF value; upright for values that mean nothing.
    fn from_value(value: u16) -> Self {
        let (transposed, flipped_x, flipped_y) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self {
            transposed,
            flipped_x,
            flipped_y,
        }
    }
}

/// Turns a picture upright, in steps.
pub struct Turner {
    source: Picture,
    turn: Orientation,
    width: usize,
    height: usize,
    /// The rows turned so far: `[rows, width, 3]`.
    data: Vec<u8>,
}

impl Turner {
    pub fn new(source: Picture, turn: Orientation) -> Self {
        let (width, height) = if turn.transposed {
            (source.height, source.width)
        } else {
            (source.width, source.height)
        };
        Self {
            data: Vec::with_capacity(source.data.len()),
            source,
            turn,
            width,
            height,
        }
    }

    /// Turns about `pixels` pixels; gives the picture at the end.
    pub fn step(&mut self, pixels: usize) -> Option<Picture> {
        let first = self.data.len() / (self.width * 3);
        let end = self.height.min(first + (pixels / self.width).max(1));
        for y in first..end {
            self.push_row(y);
        }
        (end == self.height).then(|| Picture {
            width: self.width,
            height: self.height,
            data: mem::take(&mut self.data),
        })
    }

    fn push_row(&mut self, y: usize) {
        let v = if self.turn.flipped_y {
            self.height - 1 - y
        } else {
            y
        };
        for x in 0..self.width {
            let u = if self.turn.flipped_x {
                self.width - 1 - x
            } else {
                x
            };
            let (row, column) = if self.turn.transposed { (u, v) } else { (v, u) };
            let from = (row * self.source.width + column) * 3;
            self.data
                .extend_from_slice(&self.source.data[from..from + 3]);
        }
    }
}

/// Reads the orientation out of EXIF data (a TIFF header and its first
/// directory). Anything unreadable counts as upright, as in Pillow.
pub fn from_exif(exif: &[u8]) -> Orientation {
    Orientation::from_value(orientation_value(exif).unwrap_or(1))
}

fn orientation_value(exif: &[u8]) -> Option<u16> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let u16_at = |offset: usize| -> Option<u16> {
        let pair = tiff.get(offset..offset.checked_add(2)?)?.try_into().ok()?;
        Some(if little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        })
    };
    let first: [u8; 4] = tiff.get(4..8)?.try_into().ok()?;
    let directory = if little {
        u32::from_le_bytes(first)
    } else {
        u32::from_be_bytes(first)
    } as usize;
    for entry in 0..usize::from(u16_at(directory)?) {
        let at = directory.checked_add(2 + entry * 12)?;
        if u16_at(at)? == ORIENTATION_TAG && u16_at(at.checked_add(2)?)? == TYPE_SHORT {
            return u16_at(at.checked_add(8)?);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    // Two rows of three pixels, each pixel three equal bytes.
    fn picture() -> Picture {
        let data = (1..=6).flat_map(|v| [v; 3]).collect();
        Picture {
            width: 3,
            height: 2,
            data,
        }
    }

    fn turned(value: u16) -> (usize, Vec<u8>) {
        let mut turner = Turner::new(picture(), Orientation::from_value(value));
        let turned = loop {
            if let Some(turned) = turner.step(1) {
                break turned;
            }
        };
        let pixels = turned.data.iter().step_by(3).copied().collect();
        (turned.width, pixels)
    }

    #[test]
    fn turner_turns_all_eight_orientations() {
        assert_eq!(turned(1), (3, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(turned(2), (3, vec![3, 2, 1, 6, 5, 4]));
        assert_eq!(turned(3), (3, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(turned(4), (3, vec![4, 5, 6, 1, 2, 3]));
        assert_eq!(turned(5), (2, vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(turned(6), (2, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(turned(7), (2, vec![6, 3, 5, 2, 4, 1]));
        assert_eq!(turned(8), (2, vec![3, 6, 2, 5, 1, 4]));
    }

    #[test]
    fn from_exif_reads_both_byte_orders() {
        let mut little = b"Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
        little.extend_from_slice(&[0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0]);
        assert_eq!(from_exif(&little), Orientation::from_value(6));
        let mut big = b"MM\0*\0\0\0\x08\0\x01".to_vec();
        big.extend_from_slice(&[1, 0x12, 0, 3, 0, 0, 0, 1, 0, 8, 0, 0]);
        assert_eq!(from_exif(&big), Orientation::from_value(8));
    }

    #[test]
    fn from_exif_takes_damage_as_upright() {
        let exif = b"II*\0\xff\xff\xff\xff\x01\0";
        for length in 0..exif.len() {
            assert_eq!(from_exif(&exif[..length]), Orientation::UPRIGHT);
        }
    }
}
