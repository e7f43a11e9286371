use std::str::FromStr;

use crate::{
    dialect::{Cursor, InvalidCursor},
    log::Position,
};

/// The `id` of an SSE event: the position of its record, and the number of the event if the record has
/// several. The last event of a record has no number: `12.0000k3f.1`, `12.0000k3f.2`, `12.0000k3f`.
///
/// TanStack's client drops an event whose id it has seen, so ids are unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) at: Position,
    /// The number of events of the record at `at` up to this one; `None` for all of them.
    pub(super) events: Option<usize>,
}

impl FromStr for EventId {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (cursor, events) = match text.match_indices('.').nth(1) {
            Some((at, _)) => (&text[..at], Some(count(&text[at + 1..])?)),
            None => (text, None),
        };
        let Cursor(at) = cursor.parse()?;
        Ok(Self { at, events })
    }
}

fn count(text: &str) -> Result<usize, InvalidCursor> {
    // `usize` would accept a sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| InvalidCursor)
    } else {
        Err(InvalidCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Epoch, Lsn};

    #[test]
    fn every_form_of_an_id_is_parsed() {
        let tag = Epoch::first().tag();
        let at = Position::tagged(Lsn::new(7), tag);
        let read = |text: &str| text.parse::<EventId>();
        assert_eq!(read(&format!("7.{tag}")), Ok(EventId { at, events: None }));
        let events = Some(2);
        assert_eq!(read(&format!("7.{tag}.2")), Ok(EventId { at, events }));
        let (at, events) = (Position::after(Lsn::new(7)), None);
        assert_eq!(read("7"), Ok(EventId { at, events }));
    }

    #[test]
    fn a_malformed_id_is_refused() {
        for bad in [
            "",
            "x",
            "7.",
            "7.0000000.",
            "7.0000000.x",
            "7.0000000.+1",
            "7.0000000.1.1",
            "7..1",
        ] {
            assert_eq!(bad.parse::<EventId>(), Err(InvalidCursor), "{bad}");
        }
    }
}
