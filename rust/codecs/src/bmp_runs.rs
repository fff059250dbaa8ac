//! Run-length encoding of BMP files, of 8 and of 4 bits.

use crate::picture::try_zeroed;

/// Marks after a count of zero.
const END_OF_ROW: u8 = 0;
const END_OF_BITMAP: u8 = 1;
const MOVE: u8 = 2;

/// Palette indices `[height, width]`, the file's first row first; what the
/// runs leave out is index 0.
pub fn unpack(runs: &[u8], width: usize, height: usize, half: bool) -> Result<Vec<u8>, String> {
    let early = || "the BMP ends early".to_string();
    let mut out = try_zeroed(width * height)?;
    let mut source = runs.iter().copied();
    let (mut x, mut y) = (0, 0);
    while y < height {
        let count = usize::from(source.next().ok_or_else(early)?);
        let value = source.next().ok_or_else(early)?;
        if count > 0 {
            for i in 0..count.min(width - x) {
                out[y * width + x + i] = if half { nibble(value, i) } else { value };
            }
            x = width.min(x + count);
            continue;
        }
        match value {
            END_OF_ROW => (x, y) = (0, y + 1),
            END_OF_BITMAP => break,
            MOVE => {
                x = width.min(x + usize::from(source.next().ok_or_else(early)?));
                y += usize::from(source.next().ok_or_else(early)?);
            }
            // So many pixels as they are, filled up to 16 bits.
            verbatim => {
                let count = usize::from(verbatim);
                let bytes = if half { count.div_ceil(2) } else { count };
                for i in 0..bytes.next_multiple_of(2) {
                    let byte = source.next().ok_or_else(early)?;
                    let pixels = if half { 2 } else { 1 };
                    for j in (0..pixels).filter(|j| i * pixels + j < count) {
                        if x < width {
                            out[y * width + x] = if half { nibble(byte, j) } else { byte };
                            x += 1;
                        }
                    }
                }
            }
        }
    }
    Ok(out)
}

/// The upper four bits first.
fn nibble(byte: u8, index: usize) -> u8 {
    if index.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_takes_pairs_of_half_bytes() {
        let runs = [3, 0x12, 0, 3, 0x34, 0x50, 0, 1];
        assert_eq!(unpack(&runs, 6, 1, true).unwrap(), [1, 2, 1, 3, 4, 5]);
    }

    #[test]
    fn unpack_moves_and_cuts_rows() {
        let runs = [0, 2, 1, 1, 9, 7, 0, 1];
        assert_eq!(unpack(&runs, 2, 2, false).unwrap(), [0, 0, 0, 7]);
    }

    #[test]
    fn unpack_refuses_runs_without_an_end() {
        assert!(unpack(&[2, 1], 2, 2, false).is_err());
        assert!(unpack(&[0, 2, 0], 2, 2, false).is_err());
        assert!(unpack(&[0, 5, 1, 1], 2, 2, false).is_err());
    }
}
