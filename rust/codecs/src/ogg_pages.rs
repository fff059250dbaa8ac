//! What must be known of an Ogg file before it is decoded: its first packets
//! and its length. Checksums are left to the decoder.

const MAGIC: &[u8] = b"OggS";
const HEADER_BYTES: usize = 27;
const POSITION: usize = 6;
const SERIAL: usize = 14;
const NO_POSITION: u64 = u64::MAX;

/// Segments of this length continue.
const FULL_SEGMENT: u8 = 255;

/// The first packets of the first stream, up to `count`; all of them whole.
pub fn packets(bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut done = Vec::new();
    let mut packet = Vec::new();
    let mut at = 0;
    let serial = bytes.get(SERIAL..SERIAL + 4);
    while let Some((segments, body)) = page(bytes, at) {
        let mut from = body;
        let ours = bytes.get(at + SERIAL..at + SERIAL + 4) == serial;
        for &segment in segments {
            let end = from + usize::from(segment);
            let Some(part) = bytes.get(from..end) else {
                return done;
            };
            from = end;
            if !ours {
                continue;
            }
            packet.extend_from_slice(part);
            if segment != FULL_SEGMENT {
                done.push(std::mem::take(&mut packet));
                if done.len() == count {
                    return done;
                }
            }
        }
        at = from;
    }
    done
}

/// The sample at which the last page of the first stream ends.
pub fn last_position(bytes: &[u8]) -> Option<u64> {
    let serial = bytes.get(SERIAL..SERIAL + 4)?;
    let last = bytes.len().checked_sub(HEADER_BYTES)?;
    (0..=last).rev().find_map(|at| {
        if !bytes[at..].starts_with(MAGIC) || &bytes[at + SERIAL..][..4] != serial {
            return None;
        }
        let position = bytes[at + POSITION..][..8].try_into().ok()?;
        Some(u64::from_le_bytes(position)).filter(|&position| position != NO_POSITION)
    })
}

/// Lengths of the segments of the page at an offset, and where they begin.
fn page(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let header = bytes.get(at..at + HEADER_BYTES)?;
    if !header.starts_with(MAGIC) {
        return None;
    }
    let table = at + HEADER_BYTES;
    let body = table + usize::from(header[HEADER_BYTES - 1]);
    Some((bytes.get(table..body)?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(serial: u8, position: u64, segments: &[u8], body: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0\0".to_vec();
        page.extend(position.to_le_bytes());
        page.extend([serial, 0, 0, 0]);
        page.extend([0; 8]);
        page.push(segments.len() as u8);
        page.extend(segments);
        page.extend(body);
        page
    }

    #[test]
    fn packets_span_segments_and_pages_of_one_stream() {
        let mut file = page_of(1, 0, &[2, 255], &[[7; 2].as_slice(), &[8; 255]].concat());
        file.extend(page_of(2, 0, &[3], &[9; 3]));
        file.extend(page_of(1, 5, &[1, 1], &[8, 6]));
        let found = packets(&file, 9);
        assert_eq!(found, [vec![7; 2], vec![8; 256], vec![6]]);
        assert_eq!(packets(&file, 1).len(), 1);
        assert_eq!(packets(&file[..100], 9), [vec![7; 2]]);
        assert!(packets(b"OggS", 1).is_empty());
    }

    #[test]
    fn last_position_is_that_of_the_first_stream() {
        let mut file = page_of(1, 700, &[], &[]);
        file.extend(page_of(1, NO_POSITION, &[], &[]));
        file.extend(page_of(2, 900, &[], &[]));
        assert_eq!(last_position(&file), Some(700));
        assert_eq!(last_position(b"OggS"), None);
    }
}
