use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use unbroken::chat::{Media, ProviderError};

use crate::failure::not_passed_on;

/// The rate of the samples that are sent without a header: 16 bits each, one channel.
const PCM_RATE: u32 = 24_000;

/// The sound of one answer, assembled from its pieces: the field `audio`.
#[derive(Debug, Default)]
pub(super) struct SpokenSound {
    // The format that the request asks for. The answer doesn't name it.
    format: Option<String>,
    // Base64 that isn't a whole group yet.
    held: String,
    bytes: Vec<u8>,
    has: SpokenFields,
    // True if the last piece ended the sound.
    is_over: bool,
}

/// The fields that have come.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of its own")]
struct SpokenFields {
    id: bool,
    data: bool,
    transcript: bool,
    expiry: bool,
}

impl SpokenSound {
    /// Creates a sound of the format that the request asks for.
    pub(super) fn new(format: Option<String>) -> Self {
        Self {
            format,
            ..Self::default()
        }
    }

    /// Returns true if all fields of the sound have come and nothing after them, so that the answer is whole
    /// without a finish reason.
    pub(super) fn ends_the_answer(&self) -> bool {
        let SpokenFields {
            id,
            data,
            transcript,
            expiry,
        } = self.has;
        self.is_over && id && data && transcript && expiry
    }

    /// Notes that something else has come.
    pub(super) fn goes_on(&mut self) {
        self.is_over = false;
    }

    /// Takes a piece. Returns its words, if it has any.
    ///
    /// # Errors
    ///
    /// If its data can't be read.
    pub(super) fn take<'a>(&mut self, piece: &'a Value) -> Result<Option<&'a str>, ProviderError> {
        let member = |name: &str| piece.get(name).filter(|it| !it.is_null());
        let [id, data, transcript, expiry] = ["id", "data", "transcript", "expires_at"].map(member);
        self.has.id |= id.is_some();
        self.has.data |= data.is_some();
        self.has.transcript |= transcript.is_some();
        self.has.expiry |= expiry.is_some();
        if let Some(data) = data {
            let Some(data) = data.as_str() else {
                return Err(not_passed_on("a sound", "its `data` is no text"));
            };
            self.push(data)?;
        }
        self.is_over = expiry.is_some() && id.is_none() && data.is_none() && transcript.is_none();
        Ok(transcript.and_then(Value::as_str))
    }

    /// Returns the sound, if there is any.
    ///
    /// # Errors
    ///
    /// If its format isn't known.
    pub(super) fn finish(&mut self) -> Result<Option<Media>, ProviderError> {
        let rest = std::mem::take(&mut self.held);
        self.decode(&rest)?;
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return Ok(None);
        }
        let format = self.format.as_deref();
        if format == Some("pcm16") {
            let mut file = wave_header(bytes.len());
            file.extend_from_slice(&bytes);
            return Ok(Some(Media::new("audio/wav", file)));
        }
        let found = sound_type(&bytes).or_else(|| type_of_format(format?));
        let media_type = found.ok_or_else(|| {
            let why = "its format isn't known; set `audio.format` in the request";
            not_passed_on("a sound", why)
        })?;
        Ok(Some(Media::new(media_type, bytes)))
    }

    fn push(&mut self, data: &str) -> Result<(), ProviderError> {
        self.held.extend(data.split_ascii_whitespace());
        // A server may pad each piece by itself.
        let whole = self.held.len() / 4 * 4;
        if !self.held.is_char_boundary(whole) {
            return Err(no_base64());
        }
        let rest = self.held.split_off(whole);
        let groups = std::mem::replace(&mut self.held, rest);
        self.decode(&groups)
    }

    fn decode(&mut self, groups: &str) -> Result<(), ProviderError> {
        let decoded = STANDARD.decode_vec(groups, &mut self.bytes);
        decoded.map_err(|_| no_base64())
    }
}

fn no_base64() -> ProviderError {
    not_passed_on("a sound", "its `data` isn't in base64")
}

/// Returns the type of a sound by its first bytes.
fn sound_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        _ if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE") => Some("audio/wav"),
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2 | 0xfa, ..] => Some("audio/mpeg"),
        [0xff, 0xf1 | 0xf9, ..] => Some("audio/aac"),
        [b'f', b'L', b'a', b'C', ..] => Some("audio/flac"),
        [b'O', b'g', b'g', b'S', ..] => Some("audio/ogg"),
        _ => None,
    }
}

fn type_of_format(format: &str) -> Option<&'static str> {
    Some(match format {
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "aac" => "audio/aac",
        "opus" => "audio/opus",
        _ => return None,
    })
}

/// Returns the header of a WAV file with so many bytes of samples.
fn wave_header(bytes: usize) -> Vec<u8> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let mut header = Vec::with_capacity(44);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&bytes.saturating_add(36).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16_u32.to_le_bytes());
    header.extend_from_slice(&1_u16.to_le_bytes()); // samples as they are
    header.extend_from_slice(&1_u16.to_le_bytes()); // channels
    header.extend_from_slice(&PCM_RATE.to_le_bytes());
    header.extend_from_slice(&(PCM_RATE * 2).to_le_bytes());
    header.extend_from_slice(&2_u16.to_le_bytes()); // bytes of a sample
    header.extend_from_slice(&16_u16.to_le_bytes()); // bits of a sample
    header.extend_from_slice(b"data");
    header.extend_from_slice(&bytes.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sound(format: Option<&str>, pieces: &[&str]) -> Result<Option<Media>, String> {
        let mut sound = SpokenSound::new(format.map(str::to_owned));
        for piece in pieces {
            let taken = sound.take(&json!({ "data": piece })).map(drop);
            taken.map_err(|error| error.to_string())?;
        }
        sound.finish().map_err(|error| error.to_string())
    }

    #[test]
    fn pieces_are_joined_wherever_they_are_cut_and_padded() {
        let bytes: Vec<u8> = b"fLaC".iter().copied().chain(0..=90).collect();
        let expected = Media::new("audio/flac", &bytes);
        let text = STANDARD.encode(&bytes);
        for at in 0..=text.len() {
            let (head, tail) = text.split_at(at);
            assert_eq!(sound(None, &[head, tail]).unwrap(), Some(expected.clone()));
        }
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            let pieces = [STANDARD.encode(head), STANDARD.encode(tail)];
            let pieces = [&*pieces[0], &*pieces[1]];
            assert_eq!(sound(None, &pieces).unwrap(), Some(expected.clone()));
        }
    }

    #[test]
    fn samples_without_a_header_become_a_file() {
        let samples: Vec<u8> = (0..=255).collect();
        let media = sound(Some("pcm16"), &[&STANDARD.encode(&samples)]);
        let file = media.unwrap().unwrap().to_bytes().unwrap();
        assert_eq!(file[44..], samples);
        assert_eq!(file[..8], *b"RIFF\x24\x01\x00\x00");
        assert_eq!(file[24..28], 24_000_u32.to_le_bytes());
        assert_eq!(file[40..44], 256_u32.to_le_bytes());
    }

    #[test]
    fn a_sound_without_a_known_format_or_in_no_base64_is_an_error_that_names_it() {
        let text = STANDARD.encode("words");
        let opus = sound(Some("opus"), &[&text]).unwrap().unwrap();
        assert_eq!(opus.media_type, "audio/opus");
        let error = sound(None, &[&text]).unwrap_err();
        assert!(
            error.contains("a sound") && error.contains("audio.format"),
            "{error}"
        );
        for odd in ["!!!!", "AAA", "é=é="] {
            let error = sound(Some("wav"), &[odd]).unwrap_err();
            assert!(error.contains("base64"), "{error}");
        }
        assert_eq!(sound(Some("wav"), &[]).unwrap(), None);
    }
}
