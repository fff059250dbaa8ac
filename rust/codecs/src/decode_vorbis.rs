//! Ogg Vorbis to mono samples.

use std::io::Cursor;

use lewton::inside_ogg::OggStreamReader;
use lewton::samples::InterleavedSamples;
use lewton::VorbisError;

use crate::audio_decoder::SoundDecoder;
use crate::ogg_pages;
use crate::vorbis_codebooks::check_codebooks;

/// Decodes an Ogg Vorbis file packet by packet.
pub struct VorbisDecoder {
    reader: OggStreamReader<Cursor<Vec<u8>>>,
    first_serial: u32,
    /// Samples of the first stream, and those read.
    total: Option<u64>,
    read: u64,
}

impl VorbisDecoder {
    /// Reads the headers.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let headers = ogg_pages::packets(&bytes, 3);
        let [_, comments, setup] = &headers[..] else {
            return Err("the Ogg ends early".into());
        };
        check_comments(comments)?;
        check_codebooks(setup)?;
        let total = ogg_pages::last_position(&bytes);
        let reader = OggStreamReader::new(Cursor::new(bytes)).map_err(describe)?;
        if reader.ident_hdr.audio_channels == 0 || reader.ident_hdr.audio_sample_rate == 0 {
            return Err("the Vorbis header claims no channels or a rate of 0 Hz".into());
        }
        Ok(Self {
            first_serial: reader.stream_serial(),
            reader,
            total,
            read: 0,
        })
    }
}

/// Refuses more comments than fit: the decoder makes room for all claimed.
fn check_comments(header: &[u8]) -> Result<(), String> {
    let number = |at: usize| -> Option<usize> {
        let four = header.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(four)).ok()
    };
    let count = number(7).and_then(|vendor| number(vendor.checked_add(11)?));
    match count {
        Some(count) if count <= header.len() / 4 => Ok(()),
        _ => Err("the Ogg Vorbis is damaged: its comments claim too much".into()),
    }
}

impl SoundDecoder for VorbisDecoder {
    fn sampling_rate(&self) -> u32 {
        self.reader.ident_hdr.audio_sample_rate
    }

    fn total_samples(&self) -> Option<u64> {
        self.total
    }

    fn next(&mut self, mono: &mut Vec<f32>) -> Result<bool, String> {
        let rate = self.reader.ident_hdr.audio_sample_rate;
        let packet: Option<InterleavedSamples<f32>> =
            self.reader.read_dec_packet_generic().map_err(describe)?;
        let Some(packet) = packet else {
            return Ok(false);
        };
        // Files may be joined, each with its own headers.
        if self.reader.ident_hdr.audio_sample_rate != rate {
            return Err("the sampling rate of the Ogg Vorbis changes".into());
        }
        let scale = 1.0 / packet.channel_count as f32;
        // The last packet reaches beyond the end that the last page tells.
        let left = match self.total {
            Some(total) if self.reader.stream_serial() == self.first_serial => {
                usize::try_from(total.saturating_sub(self.read)).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        };
        let frames = packet.samples.chunks_exact(packet.channel_count);
        self.read += frames.len() as u64;
        let frames = frames.take(left);
        mono.extend(frames.map(|samples| samples.iter().sum::<f32>() * scale));
        Ok(true)
    }
}

fn describe(error: VorbisError) -> String {
    match error {
        VorbisError::BadAudio(_) | VorbisError::BadHeader(_) => {
            format!("the Ogg Vorbis is damaged: {error}")
        }
        other => format!("the Ogg is damaged or ends early: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_comments_compares_the_claim_with_the_bytes() {
        let mut header = b"\x03vorbis\x02\0\0\0me\x01\0\0\0\x03\0\0\0a=b\x01".to_vec();
        assert!(check_comments(&header).is_ok());
        header[16] = 1;
        assert!(check_comments(&header).is_err());
        header[10] = 0xff;
        assert!(check_comments(&header).is_err());
        assert!(check_comments(b"\x03vorbis").is_err());
    }
}
