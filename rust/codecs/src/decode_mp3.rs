//! MP3 (and MP2, MP1) to mono samples, without the encoder's delay and padding
//! where the file tells them.

use std::io::Cursor;

use nanomp3::{Error, Reader};

use crate::audio_decoder::SoundDecoder;

/// Whether bytes look like MPEG audio: frames that follow each other.
pub fn is_mp3(bytes: &[u8]) -> bool {
    nanomp3::detect(bytes)
}

/// Decodes an MP3 file frame by frame.
pub struct Mp3Decoder {
    reader: Reader<Cursor<Vec<u8>>, f32>,
    channels: usize,
}

impl Mp3Decoder {
    /// Finds the first frame and the length.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let reader = Reader::new(Cursor::new(bytes)).map_err(describe)?;
        let channels = reader
            .channels()
            .ok_or_else(|| "the MP3 has no frame".to_string())?;
        Ok(Self {
            channels: channels as usize,
            reader,
        })
    }
}

impl SoundDecoder for Mp3Decoder {
    fn sampling_rate(&self) -> u32 {
        self.reader.sample_rate()
    }

    fn total_samples(&self) -> Option<u64> {
        self.reader.total_samples()
    }

    fn next(&mut self, mono: &mut Vec<f32>) -> Result<bool, String> {
        let Some(frame) = self.reader.read_frame().map_err(describe)? else {
            return Ok(false);
        };
        let scale = 1.0 / self.channels as f32;
        let channels = frame.chunks_exact(self.channels);
        mono.extend(channels.map(|samples| samples.iter().sum::<f32>() * scale));
        Ok(true)
    }
}

fn describe(error: Error) -> String {
    match error {
        Error::FormatChanged => "the MP3's rate or number of channels changes".into(),
        other => format!("the MP3 is damaged: {other}"),
    }
}
