use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, StatusCode, response};
use serde::{Deserialize, Serialize};

use super::{Framing, header_pairs::HeaderPairs, kept_headers::kept};
use crate::log::Lsn;

const TAG: u8 = b'H';

/// The head of a recorded response, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordedHead {
    status: StatusCode,
    headers: HeaderMap,
    framing: Framing,
}

impl RecordedHead {
    /// The LSN of a head, after the record with which a recording begins.
    pub(super) const LSN: Lsn = Lsn::new(2);
}

/// The JSON of a head.
#[derive(Debug, Serialize, Deserialize)]
struct WrittenHead {
    status: u16,
    headers: HeaderPairs,
    framing: Framing,
}

impl RecordedHead {
    /// Returns what is kept of a head: of the headers those that are kept by default, and those in `added`.
    pub(super) fn of(parts: &response::Parts, framing: Framing, added: &[HeaderName]) -> Self {
        Self {
            status: parts.status,
            headers: kept(&parts.headers, added),
            framing,
        }
    }

    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// Appends the kept headers to those of a response.
    pub(super) fn append_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
    }

    /// Writes the record of the head.
    pub(super) fn write(&self, out: &mut BytesMut) {
        out.put_u8(TAG);
        let written = WrittenHead {
            status: self.status.as_u16(),
            headers: HeaderPairs::of(&self.headers),
            framing: self.framing,
        };
        serde_json::to_writer(out.writer(), &written)
            .expect("texts are JSON, and the buffer grows");
    }

    /// Returns the head of a record, or `None` if the record is something else.
    pub(super) fn read(record: &[u8]) -> Option<Self> {
        let (&TAG, json) = record.split_first()? else {
            return None;
        };
        let written: WrittenHead = serde_json::from_slice(json).ok()?;
        Some(Self {
            status: StatusCode::from_u16(written.status).ok()?,
            headers: written.headers.into_map()?,
            framing: written.framing,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response};

    use super::*;

    #[test]
    fn a_head_is_written_as_json_and_read_back() {
        let response = Response::builder()
            .status(206)
            .header("content-type", "text/event-stream")
            .header("set-cookie", "secret")
            .header("x-model", "a")
            .body(())
            .unwrap();
        let (parts, ()) = response.into_parts();
        let head = RecordedHead::of(&parts, Framing::Events, &[]);
        let mut out = BytesMut::new();
        head.write(&mut out);
        assert_eq!(
            out,
            r#"H{"status":206,"headers":[["content-type","text/event-stream"]],"framing":"events"}"#
        );
        assert_eq!(RecordedHead::read(&out), Some(head));
    }

    #[test]
    fn every_byte_of_a_value_survives() {
        let bytes: Vec<u8> = (0..=255)
            .filter(|&it| it == b'\t' || (it >= 32 && it != 127))
            .collect();
        let mut parts = Response::new(()).into_parts().0;
        let value = HeaderValue::from_bytes(&bytes).unwrap();
        parts.headers.append("content-disposition", value.clone());
        let head = RecordedHead::of(&parts, Framing::Bytes, &[]);
        let mut out = BytesMut::new();
        head.write(&mut out);
        let read = RecordedHead::read(&out).unwrap();
        let mut headers = HeaderMap::new();
        read.append_headers(&mut headers);
        assert_eq!(headers["content-disposition"], value);
        assert_eq!(
            (read.framing(), read.status()),
            (Framing::Bytes, StatusCode::OK)
        );
    }

    #[test]
    fn other_records_are_no_heads() {
        for other in [
            &b""[..],
            b"H",
            b"B",
            br#"{"status":200,"headers":[],"framing":"lines"}"#,
            br#"H{"status":99,"headers":[],"framing":"lines"}"#,
            br#"H{"status":200,"headers":[["a b",""]],"framing":"lines"}"#,
            br#"H{"status":200,"headers":[],"framing":"words"}"#,
            "H{\"status\":200,\"headers\":[[\"a\",\"\u{100}\"]],\"framing\":\"lines\"}".as_bytes(),
        ] {
            assert_eq!(RecordedHead::read(other), None, "{other:?}");
        }
        let lines = br#"H{"status":200,"headers":[],"framing":"lines"}"#;
        assert!(RecordedHead::read(lines).is_some());
    }
}
