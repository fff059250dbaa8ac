//! Decodes compressed sound in steps: tells the format by its first bytes and
//! mixes the channels down to one, as their mean.

use crate::decode_flac::FlacDecoder;
use crate::decode_mp3::{is_mp3, Mp3Decoder};
use crate::decode_vorbis::VorbisDecoder;
use crate::ogg_pages;

/// Formats known by their first bytes but not decoded, for the message.
const OTHER_SIGNATURES: [(&[u8], &str); 11] = [
    (b"FORM", "AIFF"),
    (b"RF64", "RF64"),
    (b"caff", "CAF"),
    (b".snd", "AU"),
    (b"#!AMR", "AMR"),
    (b"ADIF", "AAC"),
    (b"\xff\xf1", "AAC"),
    (b"\xff\xf9", "AAC"),
    (b"\x1a\x45\xdf\xa3", "WebM or Matroska"),
    (b"\x30\x26\xb2\x75", "WMA"),
    (b"MThd", "MIDI"),
];

/// First packets of streams in Ogg that are not decoded.
const OTHER_STREAMS: [(&[u8], &str); 4] = [
    (b"OpusHead", "Opus"),
    (b"\x7fFLAC", "FLAC in Ogg"),
    (b"Speex", "Speex"),
    (b"\x80theora", "Theora"),
];

const SUPPORTED: &str = "WAV, FLAC, MP3 and Ogg Vorbis are supported";

/// What the decoder of a format offers.
pub trait SoundDecoder {
    /// Samples per second.
    fn sampling_rate(&self) -> u32;

    /// Samples of the whole file, where it tells.
    fn total_samples(&self) -> Option<u64>;

    /// Appends the next block of mono samples; false at the end.
    fn next(&mut self, mono: &mut Vec<f32>) -> Result<bool, String>;
}

/// Sound on its way to mono samples.
pub struct AudioDecoder {
    sound: Box<dyn SoundDecoder>,
    ended: bool,
}

impl AudioDecoder {
    /// Tells the format and reads the headers.
    pub fn new(mut bytes: Vec<u8>) -> Result<Self, String> {
        // A tag of an MP3 file's kind may stand before other formats too.
        let tag = nanomp3::id3v2_len(&bytes);
        if bytes
            .get(tag..)
            .is_some_and(|rest| rest.starts_with(b"fLaC"))
        {
            bytes.drain(..tag);
        }
        let sound: Box<dyn SoundDecoder> = if bytes.starts_with(b"fLaC") {
            Box::new(FlacDecoder::new(bytes)?)
        } else if bytes.starts_with(b"OggS") {
            check_stream(&bytes)?;
            Box::new(VorbisDecoder::new(bytes)?)
        } else if find_name(&OTHER_SIGNATURES, &bytes).is_none() && is_mp3(&bytes) {
            Box::new(Mp3Decoder::new(bytes)?)
        } else {
            return Err(describe_unknown(&bytes));
        };
        Ok(Self {
            sound,
            ended: false,
        })
    }

    /// Samples per second.
    pub fn sampling_rate(&self) -> u32 {
        self.sound.sampling_rate()
    }

    /// Samples of the whole file, where it tells.
    pub fn total_samples(&self) -> Option<u64> {
        self.sound.total_samples()
    }

    /// The next samples: at least `count`, fewer only at the end.
    pub fn step(&mut self, count: usize) -> Result<Vec<f32>, String> {
        let mut mono = Vec::new();
        while !self.ended && mono.len() < count {
            self.ended = !self.sound.next(&mut mono)?;
        }
        Ok(mono)
    }
}

fn check_stream(bytes: &[u8]) -> Result<(), String> {
    let packets = ogg_pages::packets(bytes, 1);
    let first = packets
        .first()
        .ok_or_else(|| "the Ogg ends early".to_string())?;
    if first.starts_with(b"\x01vorbis") {
        return Ok(());
    }
    let name = find_name(&OTHER_STREAMS, first).unwrap_or("an unknown kind of stream");
    Err(format!("the Ogg file holds {name}; {SUPPORTED}"))
}

fn describe_unknown(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "it has 0 bytes".into();
    }
    let shown: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let name = if bytes.get(4..8) == Some(b"ftyp") {
        Some("MP4 or M4A")
    } else {
        find_name(&OTHER_SIGNATURES, bytes)
    };
    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
    format!("the first bytes are {}{name}; {SUPPORTED}", shown.join(" "))
}

fn find_name(names: &[(&[u8], &'static str)], bytes: &[u8]) -> Option<&'static str> {
    names
        .iter()
        .find(|(signature, _)| bytes.starts_with(signature))
        .map(|&(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        AudioDecoder::new(bytes.to_vec()).err().unwrap()
    }

    #[test]
    fn new_names_what_it_found() {
        assert_eq!(refusal(b""), "it has 0 bytes");
        assert_eq!(
            refusal(b"\0\0\0\x20ftypM4A "),
            format!("the first bytes are 00 00 00 20 (MP4 or M4A); {SUPPORTED}")
        );
        assert_eq!(
            refusal(b"\xff\xf1\x50\x80"),
            format!("the first bytes are ff f1 50 80 (AAC); {SUPPORTED}")
        );
        assert_eq!(
            refusal(b"hello, world"),
            format!("the first bytes are 68 65 6c 6c; {SUPPORTED}")
        );
    }

    #[test]
    fn new_names_the_stream_of_an_ogg_file() {
        let mut page = b"OggS\0\x02".to_vec();
        page.extend([0; 20]);
        page.extend([1, 8]);
        page.extend(b"OpusHead");
        assert_eq!(
            refusal(&page),
            format!("the Ogg file holds Opus; {SUPPORTED}")
        );
        assert_eq!(refusal(b"OggS"), "the Ogg ends early");
    }
}
