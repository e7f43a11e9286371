//! The beginning of a response: tells a stream from what servers send in place of one.
//!
//! The official SDKs of `OpenAI` read any response as server-sent events, whatever its type, so that a
//! web page, an error or a whole answer in JSON is an empty answer to them. Ollama's clients read any
//! response as lines of JSON. A stream with a wrong type is read here too; nothing else is an answer.

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use super::{
    Protocol,
    error_body::error_in,
    failure::{self, InPlaceOfStream},
};
use crate::chat::{ProviderError, has_reserved_name};

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
                    Ok(value) => return self.value(&value),
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
            Ok(value) => self.value(&value),
            // Lines of which the first is broken, or JSON that was cut.
            Err(_) if self.content_type == ContentType::Stream => self.stream(),
            Err(error) if error.is_eof() => Opened::Undecided,
            Err(_) => Opened::Refused(failure::no_stream(InPlaceOfStream::Json)),
        }
    }

    fn value(&mut self, value: &Value) -> Opened {
        if (self.protocol.is_line)(value) && !self.is_long {
            self.content_type = ContentType::Stream;
            return self.stream();
        }
        if let Some(bytes) = (self.protocol.as_stream)(value) {
            return Opened::Whole(bytes);
        }
        // The decoder knows an error inside a stream.
        if self.content_type == ContentType::Stream {
            return self.stream();
        }
        let problem = || failure::refused(None, None, None);
        let problem = (self.content_type == ContentType::Problem).then(problem);
        Opened::Refused(
            error_in(value)
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

/// Decodes JSON. A reserved name is an error.
fn decode(json: &[u8]) -> serde_json::Result<Value> {
    if has_reserved_name(json) {
        return Err(serde::de::Error::custom("a reserved name"));
    }
    serde_json::from_slice(json)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARTS: [&[u8]; 24] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b",",
        b":",
        b"1",
        b" ",
        b"\n",
        b"\r\n",
        b"<",
        b"x",
        b"(",
        b"\"whole\":\"Hi\"",
        b"{\"line\":1}",
        b"{\"error\":{\"code\":404}}",
        b"data: x",
        b"id",
        b"\xef\xbb\xbf",
        b"\x1f",
        b"\x8b",
        b"\xb5",
        &[b'x'; 600],
    ];

    static PROTOCOL: Protocol = Protocol {
        path: &[],
        accept: "",
        as_stream: |value| {
            let whole = value.get("whole")?.as_str()?;
            Some(whole.as_bytes().to_vec())
        },
        is_line: |value| value.get("line").is_some(),
    };

    fn opening(content_type: &str, max_bytes: usize) -> Opening {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        Opening::new(&headers, &PROTOCOL, max_bytes).unwrap()
    }

    // Returns what `body` is, in pieces of `size` bytes.
    fn open(content_type: &str, body: &[u8], size: usize) -> String {
        let mut opening = opening(content_type, 1000);
        let mut rest = body.chunks(size);
        let mut opened = Opened::Undecided;
        while let Opened::Undecided = opened {
            let Some(piece) = rest.next() else {
                opened = opening.end();
                break;
            };
            opened = opening.push(piece);
        }
        match opened {
            Opened::Undecided => "cut off".into(),
            Opened::Stream(read) => {
                let rest: Vec<u8> = rest.flatten().copied().collect();
                assert_eq!([read, rest].concat(), body, "{content_type}");
                "a stream".into()
            }
            Opened::Whole(bytes) => format!("whole: {}", String::from_utf8(bytes).unwrap()),
            Opened::Refused(error) => error.to_string(),
        }
    }

    fn open_in_any_pieces(content_type: &str, body: &[u8]) -> String {
        let whole = open(content_type, body, usize::MAX);
        for size in 1..8 {
            let pieces = open(content_type, body, size);
            assert_eq!(pieces, whole, "{content_type}, pieces of {size}: {body:?}");
        }
        whole
    }

    #[test]
    fn a_stream_of_any_type_is_one() {
        for content_type in [
            "",
            "text/event-stream",
            "Text/Event-Stream; charset=utf-8",
            "application/x-ndjson",
            "application/json",
            "text/html; charset=UTF-8",
            "text/plain; charset=utf-8",
            "application/octet-stream",
            "of-none",
        ] {
            for body in [
                "data: {}\n\n",
                "\u{feff}data: {}\n\n",
                "\n\n: ping\n\n",
                ":",
                "event: error\n",
                "id: 7\n",
                "retry: 1\n",
                "{\"line\": 1}\n{\"line\": 2}\n",
                "",
            ] {
                let (json, html) = ("application/json", "text/html; charset=UTF-8");
                let must_be_something = [json, html, "text/plain; charset=utf-8"];
                let odd = ["application/octet-stream", "of-none"];
                let nothing =
                    must_be_something.contains(&content_type) || odd.contains(&content_type);
                let expected = if body.is_empty() && nothing {
                    "sent nothing"
                } else {
                    "a stream"
                };
                let opened = open_in_any_pieces(content_type, body.as_bytes());
                assert!(
                    opened.contains(expected),
                    "{content_type}, {body:?}: {opened}"
                );
            }
        }
    }

    #[test]
    fn json_in_place_of_a_stream_is_read() {
        for (body, expected) in [
            (r#"{"whole":"Hi"}"#, "whole: Hi"),
            ("\u{feff} {\n \"whole\":\r\n \"Hi\"\n}\n", "whole: Hi"),
            (r#"{"whole":"Hi","error":null}"#, "whole: Hi"),
            (
                r#"{"error":{"code":"model_not_found"}}"#,
                "doesn't have this model",
            ),
            (
                r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#,
                "asked too much",
            ),
            (
                "{\n\"error\": \"model 'm' not found\"}",
                "doesn't have this model",
            ),
            (
                r#"{"object":"error","message":"M","code":404}"#,
                "doesn't have this model",
            ),
            (
                r#"{"type":"error","error":{"type":"rate_limit_error"}}"#,
                "reported an error",
            ),
            (
                r#"{"detail":"Not Found","status":404}"#,
                "doesn't have this model",
            ),
            (r#"{"errors":[{"message":"M","code":401}]}"#, "credentials"),
            (
                r#"{"error_code":"BAD_REQUEST","message":"M"}"#,
                "reported an error",
            ),
            (r#"{"hello":1}"#, "JSON"),
            ("[]", "JSON"),
            ("\"busy\"", "JSON"),
            (r#"{"whole":"#, "cut off"),
            ("{nonsense}\n{}", "JSON"),
        ] {
            for content_type in [
                "application/json; charset=utf-8",
                "application/vnd.x+json",
                "",
            ] {
                let opened = open_in_any_pieces(content_type, body.as_bytes());
                assert!(
                    opened.contains(expected),
                    "{content_type}, {body}: {opened}"
                );
            }
        }
        let problem = open_in_any_pieces("application/problem+json", br#"{"title":"T"}"#);
        assert!(problem.contains("reported an error"), "{problem}");
        let problem = br#"{"title":"T","status":400}"#;
        let problem = open_in_any_pieces("application/problem+json", problem);
        assert!(problem.contains("refused the request"), "{problem}");
    }

    proptest! {
        #[test]
        fn any_bytes_mean_the_same_in_any_pieces(
            content_type in prop::sample::select(vec![
                "", "text/event-stream", "application/json", "application/problem+json", "text/html",
                "text/plain", "x",
            ]),
            body in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..10),
        ) {
            open_in_any_pieces(content_type, &body.concat());
        }
    }

    #[test]
    fn web_pages_and_compressed_data_are_named() {
        for content_type in ["", "text/html", "text/event-stream", "application/json"] {
            for (body, expected) in [
                (&b"<!DOCTYPE html>"[..], "web page"),
                (b"\r\n<html>", "web page"),
                (&[0x1f, 0x8b, 8, 0], "compressed"),
                (&[0x28, 0xb5, 0x2f, 0xfd], "compressed"),
            ] {
                let opened = open_in_any_pieces(content_type, body);
                assert!(opened.contains(expected), "{content_type}: {opened}");
            }
        }
        for (encoding, compressed) in [
            ("gzip", true),
            ("br", true),
            ("Identity", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
            assert_eq!(
                Opening::new(&headers, &PROTOCOL, 9).is_err(),
                compressed,
                "{encoding}"
            );
        }
    }

    #[test]
    fn a_body_of_json_is_limited() {
        let mut opening = opening("application/json", 100);
        assert!(matches!(opening.push(b"{\"whole\": \""), Opened::Undecided));
        assert!(matches!(opening.push(&[b'x'; 80]), Opened::Undecided));
        let Opened::Refused(error) = opening.push(&[b'x'; 80]) else {
            panic!("no limit")
        };
        assert_eq!(error.code(), crate::log::ErrorCode::Limit);
        let mut opening = super::tests::opening("", 100);
        assert!(matches!(
            opening.push(&vec![b'\n'; MAX_SPACE + 1]),
            Opened::Stream(_)
        ));
    }
}
