//! The beginning of a response: tells a stream from what servers send in place of one.
//!
//! The official SDKs of `OpenAI` read any response as server-sent events, whatever its type, so that a
//! web page, an error or a whole answer in JSON is an empty answer to them. Ollama's clients read any
//! response as lines of JSON. A stream with a wrong type is read here too; nothing else is an answer.

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::value::RawValue;

use super::{
    Protocol,
    failure::{self, InPlaceOfStream},
    reported::reported,
};
use crate::chat::ProviderError;

// No event is this far away: only space before a stream is.
const MAX_SPACE: usize = 64 * 1024;
const BOM: &[u8] = "\u{feff}".as_bytes();

/// The content type of a response, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContentType {
    Stream,
    Json,
    /// JSON that describes a problem (RFC 9457).
    Problem,
    Html,
    Text,
    Other,
    Absent,
}

/// The bytes that were read before it is clear whether they are a stream. No I/O and no clock.
#[derive(Debug)]
pub(super) struct Opening {
    content_type: ContentType,
    protocol: &'static Protocol,
    max_bytes: usize,
    read: Vec<u8>,
    // The bytes of `read` that are a byte order mark and white space.
    space: usize,
    // The bytes of `read` in which a line's end was looked for.
    searched: usize,
    // The first line isn't the whole JSON, so that all of the body is read.
    is_long: bool,
}

/// The bytes so far, as an [`Opening`] understands them.
#[derive(Debug)]
pub(super) enum Opened {
    /// More bytes are needed. At the end: the body was cut.
    Undecided,
    /// A stream begins with these bytes.
    Stream(Vec<u8>),
    /// The answer, as the bytes of a stream.
    Whole(Vec<u8>),
    /// It is no answer.
    Refused(ProviderError),
}

impl Opening {
    /// Creates the opening of a response with these headers.
    ///
    /// # Errors
    ///
    /// If the body is compressed, which it wasn't asked for.
    pub(super) fn new(
        headers: &HeaderMap,
        protocol: &'static Protocol,
        max_bytes: usize,
    ) -> Result<Self, ProviderError> {
        let plain = |value: &HeaderValue| {
            let value = value.as_bytes().trim_ascii();
            value.is_empty() || value.eq_ignore_ascii_case(b"identity")
        };
        if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
            return Err(failure::no_stream(InPlaceOfStream::Compressed));
        }
        Ok(Self {
            content_type: ContentType::of(headers.get(CONTENT_TYPE)),
            protocol,
            max_bytes,
            read: Vec::new(),
            space: 0,
            searched: 0,
            is_long: false,
        })
    }

    /// Takes the next bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Opened {
        self.read.extend_from_slice(bytes);
        self.decide(false)
    }

    /// Takes the end of the body, however it ended.
    pub(super) fn end(&mut self) -> Opened {
        self.decide(true)
    }

    /// Returns the meaning of a content type that isn't a stream's, unless the bytes said otherwise.
    pub(super) fn other_than_stream(&self) -> Option<InPlaceOfStream> {
        match self.content_type {
            ContentType::Stream | ContentType::Absent => None,
            ContentType::Json | ContentType::Problem => Some(InPlaceOfStream::Json),
            ContentType::Html => Some(InPlaceOfStream::Html),
            ContentType::Text => Some(InPlaceOfStream::Text),
            ContentType::Other => Some(InPlaceOfStream::Other),
        }
    }

    fn decide(&mut self, ended: bool) -> Opened {
        if is_compressed(&self.read) {
            return Opened::Refused(failure::no_stream(InPlaceOfStream::Compressed));
        }
        if !ended && self.read.len() < BOM.len() && BOM.starts_with(&self.read) {
            return Opened::Undecided;
        }
        if self.space == 0 && self.read.starts_with(BOM) {
            self.space = BOM.len();
        }
        let is_space = |byte: &&u8| byte.is_ascii_whitespace();
        self.space += self.read[self.space..].iter().take_while(is_space).count();
        let text = &self.read[self.space..];
        let Some(first) = text.first() else {
            return match self.other_than_stream() {
                Some(_) if ended => Opened::Refused(failure::no_stream(InPlaceOfStream::Nothing)),
                _ if ended || self.read.len() > MAX_SPACE => self.stream(),
                _ => Opened::Undecided,
            };
        };
        match first {
            b'<' => Opened::Refused(failure::no_stream(InPlaceOfStream::Html)),
            b'{' | b'[' | b'"' => self.json(ended),
            // The first byte of compressed data, perhaps.
            0x1f | 0x28 if self.read.len() == 1 && !ended => Opened::Undecided,
            _ => match is_field(text) {
                None if self.content_type != ContentType::Stream && !ended => Opened::Undecided,
                Some(true) => {
                    self.content_type = ContentType::Stream;
                    self.stream()
                }
                _ => self.stream(),
            },
        }
    }

    fn json(&mut self, ended: bool) -> Opened {
        if !self.is_long {
            let unseen = &self.read[self.searched.max(self.space)..];
            let end = unseen.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let end = end.map(|end| self.read.len() - unseen.len() + end);
            self.searched = self.read.len();
            if let Some(end) = end.filter(|end| end - self.space <= self.max_bytes) {
                match decode(&self.read[self.space..end]) {
                    Ok(json) => return self.value(&json),
                    Err(_) => self.is_long = true,
                }
            }
        }
        if self.read.len() > self.max_bytes {
            return Opened::Refused(failure::too_long(self.max_bytes));
        }
        if !ended {
            return Opened::Undecided;
        }
        match decode(&self.read[self.space..]) {
            Ok(json) => self.value(&json),
            // Lines of which the first is broken, or JSON that was cut.
            Err(_) if self.content_type == ContentType::Stream => self.stream(),
            Err(error) if error.is_eof() => Opened::Undecided,
            Err(_) => Opened::Refused(failure::no_stream(InPlaceOfStream::Json)),
        }
    }

    fn value(&mut self, json: &str) -> Opened {
        if (self.protocol.is_line)(json) && !self.is_long {
            self.content_type = ContentType::Stream;
            return self.stream();
        }
        if let Some(bytes) = (self.protocol.as_stream)(json) {
            return Opened::Whole(bytes);
        }
        // The decoder knows an error inside a stream.
        if self.content_type == ContentType::Stream {
            return self.stream();
        }
        // A sentence alone is no error: any server may say one.
        let error = reported(json, false).filter(|_| !json.starts_with('"'));
        let problem = || failure::refused(None, None, None);
        let problem = (self.content_type == ContentType::Problem).then(problem);
        Opened::Refused(
            error
                .or(problem)
                .unwrap_or_else(|| failure::no_stream(InPlaceOfStream::Json)),
        )
    }

    fn stream(&mut self) -> Opened {
        Opened::Stream(std::mem::take(&mut self.read))
    }
}

impl ContentType {
    fn of(header: Option<&HeaderValue>) -> Self {
        let Some(value) = header else {
            return Self::Absent;
        };
        let value = value.as_bytes();
        let end = value.iter().position(|byte| matches!(byte, b';' | b','));
        let essence = value[..end.unwrap_or(value.len())].trim_ascii();
        match essence.to_ascii_lowercase().as_slice() {
            b"" => Self::Absent,
            b"text/event-stream"
            | b"application/x-ndjson"
            | b"application/ndjson"
            | b"application/jsonl"
            | b"application/x-jsonlines"
            | b"application/stream+json" => Self::Stream,
            b"application/problem+json" => Self::Problem,
            b"application/json" | b"text/json" => Self::Json,
            b"text/html" | b"application/xhtml+xml" => Self::Html,
            b"text/plain" => Self::Text,
            essence if essence.ends_with(b"+json") => Self::Json,
            _ => Self::Other,
        }
    }
}

// The magic bytes of gzip and zstd. Neither is UTF-8. Brotli has none.
fn is_compressed(bytes: &[u8]) -> bool {
    matches!(bytes, [0x1f, 0x8b, ..] | [0x28, 0xb5, ..])
}

// Returns true if this begins with a field of a server-sent event, or a comment. `None` if more bytes
// are needed.
fn is_field(text: &[u8]) -> Option<bool> {
    const FIELDS: [&[u8]; 5] = [b":", b"data", b"event", b"id", b"retry"];
    if FIELDS.iter().any(|field| text.starts_with(field)) {
        return Some(true);
    }
    if FIELDS.iter().any(|field| field.starts_with(text)) {
        return None;
    }
    Some(false)
}

/// Returns bytes that are JSON as text. Bytes that are no UTF-8 are replaced, as in a stream.
fn decode(json: &[u8]) -> serde_json::Result<String> {
    let json = String::from_utf8_lossy(json).into_owned();
    serde_json::from_str::<&RawValue>(&json)?;
    Ok(json)
}

#[cfg(test)]
mod tests;
