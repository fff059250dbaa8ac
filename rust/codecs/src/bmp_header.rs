//! The headers of BMP files, from OS/2's 12 bytes to version 5.

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    /// Run-length encoded palette indices.
    Runs,
}

/// What a file says about its pixels.
pub struct Header {
    pub width: usize,
    pub height: usize,
    pub top_down: bool,
    /// Bits of a pixel: 1, 4, 8, 16, 24 or 32.
    pub bits: usize,
    pub encoding: Encoding,
    /// Offset of the pixels.
    pub pixels: usize,
    /// RGB; black beyond the file's own colours.
    pub palette: [[u8; 3]; 256],
    /// Bits of red, green and blue in a pixel of 16 or 32 bits.
    masks: [u32; 3],
}

const CORE_HEADER_BYTES: usize = 12;

impl Header {
    /// Reads the headers and the palette.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let early = || "the BMP ends early".to_string();
        let pixels = u32_at(bytes, 10).ok_or_else(early)? as usize;
        let size = u32_at(bytes, 14).ok_or_else(early)? as usize;
        let core = size == CORE_HEADER_BYTES;
        if !core && !(40..=124).contains(&size) {
            return Err(format!("the BMP has an unknown header of {size} bytes"));
        }
        if bytes.len() < 14 + size {
            return Err(early());
        }
        let u16_or_0 = |at| u16_at(bytes, at).unwrap_or(0);
        let u32_or_0 = |at| u32_at(bytes, at).unwrap_or(0);
        let (width, height, bits, compression, colors) = if core {
            let (width, height) = (u16_or_0(18), u16_or_0(20));
            (i32::from(width), i32::from(height), u16_or_0(24), 0, 0)
        } else {
            let (width, height) = (u32_or_0(18) as i32, u32_or_0(22) as i32);
            (width, height, u16_or_0(28), u32_or_0(30), u32_or_0(46))
        };
        let encoding = encoding(bits, compression)?;
        let masks = if compression == 3 {
            [54, 58, 62].map(u32_or_0)
        } else if bits == 16 {
            [0x7c00, 0x3e0, 0x1f]
        } else {
            [0xff_0000, 0xff00, 0xff]
        };
        let palette_at = 14
            + size
            + if compression == 3 && size == 40 {
                12
            } else {
                0
            };
        let colors = if bits > 8 {
            0
        } else if colors == 0 {
            1 << bits
        } else {
            colors.min(256) as usize
        };
        let entry_bytes = if core { 3 } else { 4 };
        Ok(Self {
            width: usize::try_from(width).map_err(|_| format!("its size is {width}x{height}"))?,
            height: height.unsigned_abs() as usize,
            top_down: height < 0,
            bits: usize::from(bits),
            encoding,
            pixels,
            palette: read_palette(
                bytes.get(palette_at..).unwrap_or_default(),
                colors,
                entry_bytes,
            )?,
            masks,
        })
    }

    /// Bytes of a row of plain pixels, a multiple of 4.
    pub fn row_bytes(&self) -> usize {
        self.width.saturating_mul(self.bits).div_ceil(32) * 4
    }

    /// RGB of a pixel of 16 or 32 bits.
    pub fn channels(&self, pixel: u32) -> [u8; 3] {
        self.masks.map(|mask| {
            if mask == 0 {
                return 0;
            }
            let value = u64::from((pixel & mask) >> mask.trailing_zeros());
            let most = u64::from(mask >> mask.trailing_zeros());
            (value * 255 / most) as u8
        })
    }
}

fn encoding(bits: u16, compression: u32) -> Result<Encoding, String> {
    match (bits, compression) {
        (1 | 4 | 8 | 16 | 24 | 32, 0) | (16 | 32, 3) => Ok(Encoding::Plain),
        (8, 1) | (4, 2) => Ok(Encoding::Runs),
        _ => Err(format!(
            "the BMP has {bits} bits a pixel in encoding {compression}, which is not supported"
        )),
    }
}

fn read_palette(bytes: &[u8], colors: usize, entry_bytes: usize) -> Result<[[u8; 3]; 256], String> {
    if bytes.len() < colors * entry_bytes {
        return Err("the BMP ends early".into());
    }
    let mut palette = [[0; 3]; 256];
    let entries = bytes.chunks_exact(entry_bytes).take(colors);
    for (color, entry) in palette.iter_mut().zip(entries) {
        *color = [entry[2], entry[1], entry[0]];
    }
    Ok(palette)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
