//! The scans of a JPEG: entropy-coded coefficients, sequential or progressive,
//! read row of units by row of units.

use crate::jpeg_bits::{BitReader, HuffmanTable};
use crate::jpeg_frame::{Frame, Tables, ZIGZAG};

/// Coefficients of a component: `[blocks_y, blocks_x, 64]`, each block in rows.
pub type Coefficients = Vec<i16>;

/// A component's part in a scan.
struct Part {
    component: usize,
    dc: usize,
    ac: usize,
    /// Last value of the first coefficient.
    predicted: i32,
}

/// A scan that is being read.
pub struct Scan {
    parts: Vec<Part>,
    /// Range of coefficients, and bits that are left to later scans.
    first: usize,
    last: usize,
    refining: bool,
    low_bits: u32,
    progressive: bool,
    bits: BitReader,
    row: usize,
    /// Blocks of a progressive scan that are known to have ended.
    ended_blocks: u32,
    units_to_restart: usize,
}

const DAMAGED: &str = "the JPEG is damaged: a scan header is wrong";

impl Scan {
    /// Reads a scan header whose bits begin at an offset.
    pub fn new(
        content: &[u8],
        start: usize,
        frame: &Frame,
        tables: &Tables,
    ) -> Result<Self, String> {
        let (&count, rest) = content.split_first().ok_or(DAMAGED)?;
        let count = usize::from(count);
        let (selectors, rest) = rest.split_at_checked(count * 2).ok_or(DAMAGED)?;
        let [first, last, shifts, ..] = *rest else {
            return Err(DAMAGED.into());
        };
        let mut parts: Vec<Part> = Vec::new();
        for selector in selectors.chunks_exact(2) {
            let component = frame
                .components
                .iter()
                .position(|c| c.id == selector[0])
                .ok_or(DAMAGED)?;
            if parts.iter().any(|part| part.component == component) {
                return Err(DAMAGED.into());
            }
            parts.push(Part {
                component,
                dc: usize::from(selector[1] >> 4 & 3),
                ac: usize::from(selector[1] & 3),
                predicted: 0,
            });
        }
        let (first, last) = if frame.progressive {
            (usize::from(first), usize::from(last))
        } else {
            (0, 63)
        };
        let (refining, low_bits) = if frame.progressive {
            (shifts >> 4 != 0, u32::from(shifts & 15))
        } else {
            (false, 0)
        };
        let of_one = first > 0 && count != 1;
        let mixed = frame.progressive && first == 0 && last != 0;
        if parts.is_empty() || first > last || last > 63 || of_one || mixed || low_bits > 13 {
            return Err(DAMAGED.into());
        }
        let scan = Self {
            parts,
            first,
            last,
            refining,
            low_bits,
            progressive: frame.progressive,
            bits: BitReader::new(start),
            row: 0,
            ended_blocks: 0,
            units_to_restart: tables.restart_interval,
        };
        scan.check_tables(frame, tables)?;
        Ok(scan)
    }

    fn check_tables(&self, frame: &Frame, tables: &Tables) -> Result<(), String> {
        let needs_dc = self.first == 0 && !self.refining;
        let needs_ac = self.last > 0;
        for part in &self.parts {
            let quantization = frame.components[part.component].quantization_index;
            if needs_dc && tables.dc[part.dc].is_none()
                || needs_ac && tables.ac[part.ac].is_none()
                || tables
                    .quantization
                    .get(quantization)
                    .is_none_or(Option::is_none)
            {
                return Err("the JPEG is damaged: a scan lacks its tables".into());
            }
        }
        Ok(())
    }

    /// The components in the scan.
    pub fn components(&self) -> impl Iterator<Item = usize> + '_ {
        self.parts.iter().map(|part| part.component)
    }

    /// Where the bytes after the scan begin.
    pub fn end(&self) -> usize {
        self.bits.end()
    }

    /// Reads the next row of units; true when the scan is done.
    pub fn read_row(
        &mut self,
        bytes: &[u8],
        frame: &Frame,
        tables: &Tables,
        coefficients: &mut [Coefficients],
    ) -> Result<bool, String> {
        let rows = if self.parts.len() == 1 {
            self.read_row_of_blocks(bytes, frame, tables, coefficients)
        } else {
            self.read_row_of_units(bytes, frame, tables, coefficients)
        };
        if self.bits.ran_out() {
            return Err("the JPEG ends early".into());
        }
        self.row += 1;
        Ok(self.row >= rows)
    }

    /// One component alone: only blocks that hold samples of the picture.
    fn read_row_of_blocks(
        &mut self,
        bytes: &[u8],
        frame: &Frame,
        tables: &Tables,
        coefficients: &mut [Coefficients],
    ) -> usize {
        let index = self.parts[0].component;
        let component = &frame.components[index];
        for x in 0..component.width.div_ceil(8) {
            self.restart_if_due(bytes, tables);
            let at = (self.row * component.blocks_x + x) * 64;
            self.read_block(0, bytes, tables, &mut coefficients[index][at..][..64]);
        }
        component.height.div_ceil(8)
    }

    fn read_row_of_units(
        &mut self,
        bytes: &[u8],
        frame: &Frame,
        tables: &Tables,
        coefficients: &mut [Coefficients],
    ) -> usize {
        for unit in 0..frame.units_x {
            self.restart_if_due(bytes, tables);
            for part in 0..self.parts.len() {
                let index = self.parts[part].component;
                let component = &frame.components[index];
                for block in 0..component.h * component.v {
                    let x = unit * component.h + block % component.h;
                    let y = self.row * component.v + block / component.h;
                    let at = (y * component.blocks_x + x) * 64;
                    self.read_block(part, bytes, tables, &mut coefficients[index][at..][..64]);
                }
            }
        }
        frame.units_y
    }

    /// Passes a restart marker where one is due before the next unit.
    fn restart_if_due(&mut self, bytes: &[u8], tables: &Tables) {
        if tables.restart_interval == 0 {
            return;
        }
        if self.units_to_restart == 0 {
            let mut at = self.bits.end();
            // A marker that is not where it should be is looked for.
            while at + 1 < bytes.len() && (bytes[at] != 0xff || matches!(bytes[at + 1], 0 | 0xff)) {
                at += 1;
            }
            if bytes
                .get(at + 1)
                .is_some_and(|marker| (0xd0..=0xd7).contains(marker))
            {
                at += 2;
            }
            self.bits = BitReader::new(at);
            self.ended_blocks = 0;
            self.parts.iter_mut().for_each(|part| part.predicted = 0);
            self.units_to_restart = tables.restart_interval;
        }
        self.units_to_restart -= 1;
    }

    fn read_block(&mut self, part: usize, bytes: &[u8], tables: &Tables, block: &mut [i16]) {
        let (dc, ac) = (self.parts[part].dc, self.parts[part].ac);
        let (dc, ac) = (tables.dc[dc].as_ref(), tables.ac[ac].as_ref());
        if self.first == 0 {
            if self.refining {
                let bit = self.bits.read(bytes, 1) as i16;
                block[0] |= bit << self.low_bits;
            } else if let Some(dc) = dc {
                let size = u32::from(dc.read(&mut self.bits, bytes));
                let difference = self.bits.read_signed(bytes, size);
                let predicted = &mut self.parts[part].predicted;
                *predicted = predicted.wrapping_add(difference);
                block[0] = (*predicted << self.low_bits) as i16;
            }
        }
        let Some(ac) = ac.filter(|_| self.last > 0) else {
            return;
        };
        if self.refining {
            self.refine(ac, bytes, block);
        } else {
            self.read_coefficients(ac, bytes, block);
        }
    }

    fn read_coefficients(&mut self, ac: &HuffmanTable, bytes: &[u8], block: &mut [i16]) {
        if self.ended_blocks > 0 {
            self.ended_blocks -= 1;
            return;
        }
        let mut k = self.first.max(1);
        while k <= self.last {
            let symbol = ac.read(&mut self.bits, bytes);
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && run < 15 {
                if self.progressive {
                    self.ended_blocks = (1 << run) - 1 + self.bits.read(bytes, run);
                }
                return;
            }
            k += run as usize;
            if size > 0 && k <= 63 {
                let value = self.bits.read_signed(bytes, size);
                block[usize::from(ZIGZAG[k])] = (value << self.low_bits) as i16;
            }
            k += 1;
        }
    }

    /// One more bit of the coefficients that are there, and new ones of one
    /// bit between them.
    fn refine(&mut self, ac: &HuffmanTable, bytes: &[u8], block: &mut [i16]) {
        let one = 1i16 << self.low_bits;
        let mut k = self.first;
        while self.ended_blocks == 0 && k <= self.last {
            let symbol = ac.read(&mut self.bits, bytes);
            let (run, size) = (u32::from(symbol >> 4), symbol & 15);
            let mut value = 0;
            if size > 0 {
                value = if self.bits.read(bytes, 1) == 1 {
                    one
                } else {
                    -one
                };
            } else if run < 15 {
                self.ended_blocks = (1 << run) + self.bits.read(bytes, run);
                break;
            }
            k = self.refine_known(bytes, block, k, run);
            if value != 0 && k <= self.last {
                block[usize::from(ZIGZAG[k])] = value;
            }
            k += 1;
        }
        if self.ended_blocks > 0 {
            self.refine_known(bytes, block, k, u32::MAX);
            self.ended_blocks -= 1;
        }
    }

    /// Refines coefficients up to the zero after `zeros` others; its place.
    fn refine_known(&mut self, bytes: &[u8], block: &mut [i16], from: usize, zeros: u32) -> usize {
        let one = 1i16 << self.low_bits;
        let mut left = zeros;
        for k in from..=self.last {
            let value = &mut block[usize::from(ZIGZAG[k])];
            if *value == 0 {
                if left == 0 {
                    return k;
                }
                left -= 1;
            } else if self.bits.read(bytes, 1) == 1 && *value & one == 0 {
                *value = value.wrapping_add(if *value > 0 { one } else { -one });
            }
        }
        self.last + 1
    }
}
