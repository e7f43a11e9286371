//! The records of a recording: a byte that tells the kind, and the content.
//!
//! | byte | content |
//! |---|---|
//! | `B` | nothing: the recording begins |
//! | `H` | the [head](super::recorded_head) |
//! | `F`, `I`, `N`, `L`, `D` | a frame: the bytes as they came |
//! | `T` | trailers |
//! | `E` | the [end](super::recording_end) |

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

use super::{
    header_pairs::HeaderPairs,
    splitter::{BodyFrame, FrameKind},
};

const BEGIN: u8 = b'B';
const TRAILERS: u8 = b'T';

/// Returns the record that begins a recording.
pub(super) const fn begin() -> Bytes {
    Bytes::from_static(&[BEGIN])
}

/// Returns true if the record begins a recording.
pub(super) fn is_begin(record: &[u8]) -> bool {
    record.first() == Some(&BEGIN)
}

/// Returns true if the record is an event, a line, or opaque bytes.
///
/// Bytes of an event stream that are no event don't count: an event source to which only those are left has all.
pub(super) fn is_frame(record: &[u8]) -> bool {
    read_frame(record).is_some_and(|(kind, _)| kind != FrameKind::NoEvent)
}

/// Writes the record of a frame. It has one byte more than the frame.
pub(super) fn write_frame(frame: &BodyFrame, out: &mut BytesMut) {
    out.put_u8(match frame.kind {
        FrameKind::Event => b'F',
        FrameKind::EventWithId => b'I',
        FrameKind::NoEvent => b'N',
        FrameKind::Line => b'L',
        FrameKind::Opaque => b'D',
    });
    out.put_slice(&frame.bytes);
}

/// Returns the frame of a record, or `None` if the record is something else.
pub(super) fn read_frame(record: &[u8]) -> Option<(FrameKind, &[u8])> {
    let (tag, bytes) = record.split_first()?;
    let kind = match tag {
        b'F' => FrameKind::Event,
        b'I' => FrameKind::EventWithId,
        b'N' => FrameKind::NoEvent,
        b'L' => FrameKind::Line,
        b'D' => FrameKind::Opaque,
        _ => return None,
    };
    Some((kind, bytes))
}

/// Writes the record of a body's trailers.
pub(super) fn write_trailers(trailers: &HeaderMap, out: &mut BytesMut) {
    out.put_u8(TRAILERS);
    let written = serde_json::to_writer(out.writer(), &HeaderPairs::of(trailers));
    written.expect("texts are JSON, and the buffer grows");
}

/// Returns the trailers of a record, or `None` if the record is something else.
pub(super) fn read_trailers(record: &[u8]) -> Option<HeaderMap> {
    let (&TRAILERS, json) = record.split_first()? else {
        return None;
    };
    let pairs: HeaderPairs = serde_json::from_slice(json).ok()?;
    pairs.into_map()
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn a_frame_is_read_back() {
        for (kind, tag, counts) in [
            (FrameKind::Event, 'F', true),
            (FrameKind::EventWithId, 'I', true),
            (FrameKind::NoEvent, 'N', false),
            (FrameKind::Line, 'L', true),
            (FrameKind::Opaque, 'D', true),
        ] {
            let bytes = Bytes::from_static(b"\xff\x00 text\n\n");
            let mut out = BytesMut::new();
            write_frame(
                &BodyFrame {
                    kind,
                    bytes: bytes.clone(),
                },
                &mut out,
            );
            assert_eq!(char::from(out[0]), tag);
            assert_eq!(read_frame(&out), Some((kind, &bytes[..])));
            assert_eq!(is_frame(&out), counts);
            assert!(!is_begin(&out));
            assert_eq!(read_trailers(&out), None);
        }
    }

    #[test]
    fn other_records_are_no_frames() {
        assert!(is_begin(&begin()));
        for other in [&b""[..], b"B", b"H{}", b"T[]", b"E{}", b"x"] {
            assert_eq!(read_frame(other), None, "{other:?}");
            assert!(!is_frame(other), "{other:?}");
            assert_eq!(is_begin(other), other == b"B");
        }
    }

    #[test]
    fn trailers_are_read_back() {
        let mut trailers = HeaderMap::new();
        trailers.append("x-sum", HeaderValue::from_static("1"));
        trailers.append("x-sum", HeaderValue::from_bytes(b"\xfc\t\"").unwrap());
        trailers.append(header::WARNING, HeaderValue::from_static(""));
        let mut out = BytesMut::new();
        write_trailers(&trailers, &mut out);
        assert_eq!(read_trailers(&out), Some(trailers));
        for other in [
            &b""[..],
            b"T",
            b"T{}",
            b"T[[\"a b\",\"\"]]",
            b"T[[\"a\",\"\\n\"]]",
            b"B",
        ] {
            assert_eq!(read_trailers(other), None, "{other:?}");
        }
    }
}
