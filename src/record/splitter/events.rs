use super::{
    FrameKind,
    line_start::{Field, LineStart},
};

/// Finds the ends of the events in an event stream. A line ends with CR, LF or CRLF.
///
/// An event ends with the CR or LF of its empty line. A client may act on it then, so it doesn't wait for the LF that
/// may follow a CR: that LF belongs to the frame after. Only where the line before ended with CRLF is the CR of the
/// empty line one half of a CRLF, and the frame ends with the byte after.
#[derive(Debug, Default)]
pub(super) struct EventScanner {
    line: LineStart,
    before: Before,
    // The bytes before the first line that isn't empty, and whether that line has ended.
    blank: usize,
    begun: bool,
    // There was a field that makes an event.
    event: bool,
    own_id: bool,
}

/// The last byte, as far as an LF after it has another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Before {
    #[default]
    Other,
    /// A CR that ended a line.
    Cr,
    /// The LF of a CRLF.
    CrLf,
    /// The CR of the empty line after a CRLF. The event is whole; an LF belongs to it.
    LastCr,
}

impl EventScanner {
    /// Looks for the end of the frame in its next bytes. Returns the number of those that belong to it, and its kind;
    /// `None` if all of them do and it isn't whole.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Option<(usize, FrameKind)> {
        let mut at = 0;
        while let Some(&first) = bytes.get(at) {
            match self.before {
                Before::LastCr => return Some((at + usize::from(first == b'\n'), self.end())),
                Before::Cr if first == b'\n' => {
                    self.before = Before::CrLf;
                    self.blank += usize::from(!self.begun);
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let rest = &bytes[at..];
            let Some(len) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                self.line.extend(rest);
                self.before = Before::Other;
                return None;
            };
            self.line.extend(&rest[..len]);
            let cr = rest[len] == b'\r';
            at += len + 1;
            match self.line.end() {
                LineStart::Empty if !self.begun => self.blank += 1,
                LineStart::Empty if cr && self.before == Before::CrLf => {
                    self.before = Before::LastCr;
                    continue;
                }
                LineStart::Empty => return Some((at, self.end())),
                LineStart::Field(field) => {
                    self.begun = true;
                    self.own_id |= field == Field::Id;
                    self.event |= field != Field::Id;
                }
                _ => self.begun = true,
            }
            self.before = if cr { Before::Cr } else { Before::Other };
        }
        None
    }

    /// Ends the frame before its next byte, since it has as many as it may have: `held`. Returns the number of those that
    /// are a frame, and its kind; `None` if it may not end here.
    pub(super) fn overflow(&mut self, held: usize) -> Option<(usize, FrameKind)> {
        if self.before == Before::LastCr {
            return Some((held, self.end()));
        }
        let blank = std::mem::take(&mut self.blank);
        (blank > 0).then_some((blank, FrameKind::NoEvent))
    }

    /// Ends the last frame at the end of the body.
    pub(super) fn finish(&mut self) -> FrameKind {
        if self.before == Before::LastCr {
            self.end()
        } else {
            FrameKind::NoEvent
        }
    }

    fn end(&mut self) -> FrameKind {
        let frame = std::mem::take(self);
        match (frame.event, frame.own_id) {
            (true, false) => FrameKind::Event,
            (true, true) => FrameKind::EventWithId,
            (false, _) => FrameKind::NoEvent,
        }
    }
}
