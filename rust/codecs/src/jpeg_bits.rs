//! Entropy-coded bits of a JPEG, and the Huffman codes in them.

/// Codes up to this length are found in one look.
const FAST_BITS: u32 = 9;

/// Reads bits, highest first, across stuffed zero bytes. A marker ends them:
/// zeros follow, as in libjpeg.
pub struct BitReader {
    /// Offset of the next byte.
    at: usize,
    buffer: u64,
    /// Valid bits at the low end of `buffer`, and how many of them are made up.
    count: u32,
    made_up: u32,
    at_marker: bool,
    /// The file ended where bits were expected.
    at_end: bool,
    used_made_up: bool,
}

impl BitReader {
    pub fn new(at: usize) -> Self {
        Self {
            at,
            buffer: 0,
            count: 0,
            made_up: 0,
            at_marker: false,
            at_end: false,
            used_made_up: false,
        }
    }

    /// Whether bits beyond the end of the file were read.
    pub fn ran_out(&self) -> bool {
        self.at_end && self.used_made_up
    }

    /// Where the bytes after the bits begin, a marker unless bits are left.
    pub fn end(&self) -> usize {
        if self.at_marker {
            self.at
        } else {
            // Whole bytes that were looked at and not used.
            self.at.saturating_sub((self.count / 8) as usize)
        }
    }

    fn fill(&mut self, bytes: &[u8]) {
        while self.count <= 48 {
            let byte = self.next_byte(bytes);
            if byte.is_none() {
                self.made_up += 8;
            }
            self.buffer = self.buffer << 8 | u64::from(byte.unwrap_or(0));
            self.count += 8;
        }
    }

    fn next_byte(&mut self, bytes: &[u8]) -> Option<u8> {
        if self.at_marker {
            return None;
        }
        let Some(&byte) = bytes.get(self.at) else {
            self.at_marker = true;
            self.at_end = true;
            return None;
        };
        if byte != 0xff {
            self.at += 1;
            return Some(byte);
        }
        match bytes.get(self.at + 1) {
            Some(0) => {
                self.at += 2;
                Some(0xff)
            }
            other => {
                self.at_marker = true;
                self.at_end = other.is_none();
                None
            }
        }
    }

    fn peek(&mut self, bytes: &[u8], count: u32) -> u32 {
        if self.count < count {
            self.fill(bytes);
        }
        (self.buffer >> (self.count - count)) as u32 & ((1 << count) - 1)
    }

    fn skip(&mut self, count: u32) {
        self.count -= count;
        if self.count < self.made_up {
            self.made_up = self.count;
            self.used_made_up = true;
        }
    }

    /// The next `count` bits, at most 16.
    pub fn read(&mut self, bytes: &[u8], count: u32) -> u32 {
        let value = self.peek(bytes, count);
        self.skip(count);
        value
    }

    /// A number of `count` bits, whose lower half stands for negative ones.
    pub fn read_signed(&mut self, bytes: &[u8], count: u32) -> i32 {
        if count == 0 {
            return 0;
        }
        let value = self.read(bytes, count) as i32;
        if value < 1 << (count - 1) {
            value - (1 << count) + 1
        } else {
            value
        }
    }
}

/// A Huffman code.
pub struct HuffmanTable {
    /// Length in the upper byte and symbol, by the next bits; 0 for long codes.
    fast: Vec<u16>,
    /// By length: one more than the largest code, and what leads from a code
    /// to its symbol.
    limit: [u32; 17],
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// Builds the code of so many symbols of each length from 1 to 16; `None`
    /// where there are more than codes.
    pub fn new(counts: &[u8], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            fast: vec![0; 1 << FAST_BITS],
            limit: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0u32, 0usize);
        for (length, &count) in (1u32..).zip(counts) {
            table.offset[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                let symbol = *symbols.get(index)?;
                if code >= 1 << length {
                    return None;
                }
                if length <= FAST_BITS {
                    let free = FAST_BITS - length;
                    let first = (code << free) as usize;
                    let entry = (length as u16) << 8 | u16::from(symbol);
                    table.fast[first..first + (1 << free)].fill(entry);
                }
                code += 1;
                index += 1;
            }
            table.limit[length as usize] = code;
            code <<= 1;
        }
        Some(table)
    }

    /// The next symbol; 0 for bits that are no code, as in libjpeg.
    pub fn read(&self, bits: &mut BitReader, bytes: &[u8]) -> u8 {
        let look = bits.peek(bytes, 16);
        let entry = self.fast[(look >> (16 - FAST_BITS)) as usize];
        if entry != 0 {
            bits.skip(u32::from(entry >> 8));
            return entry as u8;
        }
        for length in FAST_BITS + 1..=16 {
            let code = look >> (16 - length);
            if code < self.limit[length as usize] {
                bits.skip(length);
                let index = code as i32 + self.offset[length as usize];
                return self.symbols.get(index as usize).copied().unwrap_or(0);
            }
        }
        bits.skip(16);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_crosses_stuffed_bytes_and_stops_at_markers() {
        let bytes = [0xff, 0x00, 0x12, 0xff, 0xd9];
        let mut bits = BitReader::new(0);
        assert_eq!(bits.read(&bytes, 12), 0xff1);
        assert_eq!(bits.read(&bytes, 8), 0x20);
        assert_eq!(bits.end(), 3);
        assert!(!bits.ran_out());
        let mut cut = BitReader::new(2);
        assert_eq!(cut.read(&bytes[..3], 8), 0x12);
        assert!(!cut.ran_out());
        cut.read(&bytes[..3], 1);
        assert!(cut.ran_out());
    }

    #[test]
    fn read_signed_splits_the_range() {
        let bytes = [0b0001_1110, 0b0110_0000, 0];
        let mut bits = BitReader::new(0);
        let values: Vec<i32> = (0..4).map(|_| bits.read_signed(&bytes, 3)).collect();
        assert_eq!(values, [-7, 7, 4, 6]);
        assert_eq!(bits.read_signed(&bytes, 0), 0);
    }

    #[test]
    fn table_reads_short_and_long_codes() {
        // One code of each length but the last, which has two.
        let mut counts = [1u8; 16];
        counts[15] = 2;
        let symbols: Vec<u8> = (0..17).collect();
        let table = HuffmanTable::new(&counts, &symbols).unwrap();
        let bytes = [0b1011_1111, 0b1111_1111, 0x00, 0b1010_0000, 0];
        let mut bits = BitReader::new(0);
        assert_eq!(table.read(&mut bits, &bytes), 1);
        assert_eq!(table.read(&mut bits, &bytes), 15);
        assert_eq!(table.read(&mut bits, &bytes), 1);
        assert!(HuffmanTable::new(&[3], &[1, 2, 3]).is_none());
        assert!(HuffmanTable::new(&[0, 4, 1], &[0; 5]).is_none());
        assert!(HuffmanTable::new(&[0, 4], &[0; 3]).is_none());
    }
}
