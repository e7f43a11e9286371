use super::line_start::LineStart;

/// The beginning of a body that says to be an event stream, until it shows whether it is one: at the first letters of
/// the first line that isn't empty.
///
/// Servers give this type to raw text too, and their clients read it as raw text. It must come at once and unchanged.
#[derive(Debug, Default)]
pub(super) struct StreamOpening {
    seen: usize,
    mark: bool,
    line: LineStart,
}

/// The nature of a body that says to be an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpeningVerdict {
    Events {
        /// The body begins with a byte order mark.
        mark: bool,
    },
    Opaque,
}

/// UTF-8's byte order mark.
pub(in crate::record) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl StreamOpening {
    /// Takes the next byte. `None` if the body may still be both.
    pub(super) fn push(&mut self, byte: u8) -> Option<OpeningVerdict> {
        let at = self.seen;
        self.seen += 1;
        if at < BYTE_ORDER_MARK.len() && (at == 0 || self.mark) {
            self.mark = byte == BYTE_ORDER_MARK[at];
            if self.mark {
                return None;
            }
            if at > 0 {
                return Some(OpeningVerdict::Opaque);
            }
        }
        let start = if matches!(byte, b'\r' | b'\n') {
            self.line.end()
        } else {
            self.line.push(byte);
            self.line
        };
        match start {
            LineStart::Empty | LineStart::Name { .. } => None,
            LineStart::Field(_) | LineStart::Comment => {
                Some(OpeningVerdict::Events { mark: self.mark })
            }
            LineStart::Other => Some(OpeningVerdict::Opaque),
        }
    }

    /// Returns true if there was nothing but empty lines and perhaps a byte order mark.
    pub(super) fn is_blank(&self) -> bool {
        let part_of_mark = self.mark && self.seen < BYTE_ORDER_MARK.len();
        self.line == LineStart::Empty && !part_of_mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the verdict, and the number of bytes that it took.
    fn verdict(body: &[u8]) -> Option<(OpeningVerdict, usize)> {
        let mut opening = StreamOpening::default();
        let found = body.iter().position(|&byte| {
            // A second call would be one too many.
            matches!(opening.push(byte), Some(OpeningVerdict::Events { .. }))
        });
        if let Some(at) = found {
            let mark = body.starts_with(BYTE_ORDER_MARK);
            return Some((OpeningVerdict::Events { mark }, at + 1));
        }
        let mut opening = StreamOpening::default();
        let at = body
            .iter()
            .position(|&byte| opening.push(byte) == Some(OpeningVerdict::Opaque))?;
        Some((OpeningVerdict::Opaque, at + 1))
    }

    #[test]
    fn an_event_stream_begins_with_a_field_or_a_comment() {
        for (body, bytes) in [
            ("data: x", 5),
            (":", 1),
            ("id\n", 3),
            ("\r\n\n\revent:", 10),
            ("\u{feff}retry:", 9),
            ("\u{feff}\n:", 5),
        ] {
            let mark = body.starts_with('\u{feff}');
            let expected = Some((OpeningVerdict::Events { mark }, bytes));
            assert_eq!(verdict(body.as_bytes()), expected, "{body:?}");
        }
    }

    #[test]
    fn another_body_shows_at_its_first_letters() {
        for (body, bytes) in [
            (&b"Hello"[..], 1),
            (b"\n\nHello", 3),
            (b"{\"error\":1}", 1),
            (b"data is", 5),
            (b"dat\n", 4),
            (b"\x1f\x8b", 1),
            (b"\xef\xbb\xbe", 3),
            (b"\xef\xbb\xbf\xef\xbb\xbfdata:", 4),
            (b"\n\xef\xbb\xbfdata:", 2),
        ] {
            assert_eq!(
                verdict(body),
                Some((OpeningVerdict::Opaque, bytes)),
                "{body:?}"
            );
        }
    }

    #[test]
    fn a_body_that_may_be_both_has_no_verdict() {
        for (body, blank) in [
            ("", true),
            ("\r\n\n", true),
            ("\u{feff}", true),
            ("\u{feff}\n", true),
            ("data", false),
            ("\ni", false),
        ] {
            let mut opening = StreamOpening::default();
            assert!(body.bytes().all(|byte| opening.push(byte).is_none()));
            assert_eq!(opening.is_blank(), blank, "{body:?}");
        }
        let mut opening = StreamOpening::default();
        assert_eq!(opening.push(BYTE_ORDER_MARK[0]), None);
        assert!(!opening.is_blank());
    }
}
