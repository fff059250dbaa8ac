//! FLAC to mono samples, exactly: a sample of B bits is divided by 2^(B-1).

use std::io::Cursor;

use claxon::{Error, FlacReader, FlacReaderOptions};

use crate::audio_decoder::SoundDecoder;

/// Decodes a FLAC file block by block.
pub struct FlacDecoder {
    reader: FlacReader<Cursor<Vec<u8>>>,
    /// Memory of the last block.
    block: Vec<i32>,
    read: u64,
}

impl FlacDecoder {
    /// Reads the headers.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let options = FlacReaderOptions {
            metadata_only: false,
            read_vorbis_comment: false,
        };
        let reader = skip_metadata(bytes)
            .and_then(|bytes| FlacReader::new_ext(Cursor::new(bytes), options).map_err(describe))?;
        Ok(Self {
            reader,
            block: Vec::new(),
            read: 0,
        })
    }
}

/// Marks the first metadata block (STREAMINFO) as the last and drops the
/// others: comments and pictures, whose lengths may claim anything.
fn skip_metadata(mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let early = || "the FLAC ends early".to_string();
    let mut at = 4;
    let mut first_end = None;
    loop {
        let header = bytes.get(at..at + 4).ok_or_else(early)?;
        let length = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let last = header[0] & 0x80 != 0;
        at += 4 + length as usize;
        first_end.get_or_insert(at);
        if at > bytes.len() {
            return Err(early());
        }
        if last {
            break;
        }
    }
    let first_end = first_end.unwrap_or(at);
    bytes[4] |= 0x80;
    bytes.drain(first_end..at);
    Ok(bytes)
}

impl SoundDecoder for FlacDecoder {
    fn sampling_rate(&self) -> u32 {
        self.reader.streaminfo().sample_rate
    }

    fn total_samples(&self) -> Option<u64> {
        self.reader.streaminfo().samples
    }

    fn next(&mut self, mono: &mut Vec<f32>) -> Result<bool, String> {
        let memory = std::mem::take(&mut self.block);
        let block = match self.reader.blocks().read_next_or_eof(memory) {
            Ok(Some(block)) => block,
            Ok(None) => {
                let total = self.total_samples().unwrap_or(self.read);
                return if self.read < total {
                    Err("the FLAC ends early".into())
                } else {
                    Ok(false)
                };
            }
            Err(error) => return Err(describe(error)),
        };
        let info = self.reader.streaminfo();
        if block.channels() != info.channels {
            return Err("the FLAC is damaged: its number of channels changes".into());
        }
        let length = block.duration() as usize;
        let scale = 1.0 / (1u64 << (info.bits_per_sample - 1)) as f64;
        let channels = f64::from(info.channels);
        mono.extend((0..length).map(|i| {
            let sum: i64 = (0..info.channels)
                .map(|channel| i64::from(block.channel(channel)[i]))
                .sum();
            (sum as f64 * scale / channels) as f32
        }));
        self.read += length as u64;
        self.block = block.into_buffer();
        Ok(true)
    }
}

fn describe(error: Error) -> String {
    match error {
        Error::IoError(_) => "the FLAC ends early".into(),
        other => format!("the FLAC is damaged: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_metadata_keeps_the_first_block() {
        let file = b"fLaC\x00\0\0\x02ab\x04\0\0\x01c\x81\0\0\x00rest";
        let kept = skip_metadata(file.to_vec()).unwrap();
        assert_eq!(kept, b"fLaC\x80\0\0\x02abrest");
    }

    #[test]
    fn decoder_refuses_fragments() {
        let file = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x03\xe8\0\xf0\0\0\0\x10\0";
        for length in 0..file.len() {
            assert!(FlacDecoder::new(file[..length].to_vec()).is_err());
        }
        assert!(FlacDecoder::new(b"fLaC\x80\xff\xff\xff".to_vec()).is_err());
    }
}
