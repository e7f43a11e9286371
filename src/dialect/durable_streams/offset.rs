use std::fmt;

use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::{
    dialect::{Cursor, Problem, Refusal},
    log::Position,
};

/// The offset at which a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offset {
    /// After a record.
    At(Position),
    /// At the current end of the stream.
    Now,
}

/// Displays a position as an offset: the LSN in 20 digits, so that offsets are ordered as strings, and
/// the tag of its epoch.
pub(super) struct OffsetDisplay(pub(super) Position);

impl fmt::Display for OffsetDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0.lsn.get())?;
        match self.0.tag {
            Some(tag) => write!(f, ".{tag}"),
            None => Ok(()),
        }
    }
}

impl Offset {
    /// Parses the parameter `offset`, if present.
    ///
    /// A `+` is not decoded as a space, unlike in forms, because no offset has a space, and a refusal is
    /// better than a stream from a wrong position.
    pub(super) fn of(head: &Parts) -> Result<Option<Self>, Refusal> {
        let query = head.uri.query().unwrap_or_default();
        let mut offsets = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .filter(|(name, _)| *name == "offset")
            .map(|(_, value)| value);
        let Some(offset) = offsets.next() else {
            return Ok(None);
        };
        if offsets.next().is_some() {
            return Err(malformed(
                "the request has two parameters `offset`; send one",
            ));
        }
        let offset = percent_decode_str(offset).decode_utf8_lossy();
        match &*offset {
            "-1" => Ok(Some(Self::At(Position::START))),
            "now" => Ok(Some(Self::Now)),
            offset => match offset.parse() {
                Ok(Cursor(position)) => Ok(Some(Self::At(position))),
                Err(_) => Err(malformed(
                    "an offset is a `Stream-Next-Offset` as it was given, `-1` or `now`",
                )),
            },
        }
    }
}

pub(super) fn malformed(detail: &'static str) -> Refusal {
    Refusal::new(Problem::MalformedCursor, detail)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::log::{Epoch, Lsn};

    fn of(uri: &str) -> Result<Option<Offset>, Problem> {
        let (head, ()) = Request::get(uri).body(()).unwrap().into_parts();
        Offset::of(&head).map_err(|refusal| refusal.problem)
    }

    #[test]
    fn every_position_is_parsed_back() {
        let tagged = Position::tagged(Lsn::new(12), Epoch::first().tag());
        for position in [
            Position::START,
            Position::after(Lsn::new(7)),
            tagged,
            Position::after(Lsn::MAX),
        ] {
            let uri = format!("/?live=sse&offset={}", OffsetDisplay(position));
            assert_eq!(of(&uri), Ok(Some(Offset::At(position))), "{uri}");
        }
    }

    #[test]
    fn offsets_are_ordered_as_strings() {
        let tag = Epoch::first().tag();
        let written: Vec<_> = [1, 2, 9, 10, 99, 100, u64::MAX]
            .map(|lsn| OffsetDisplay(Position::tagged(Lsn::new(lsn), tag)).to_string())
            .into();
        assert!(written.is_sorted(), "{written:?}");
        assert!(OffsetDisplay(Position::START).to_string() < written[0]);
    }

    #[test]
    fn start_now_and_no_offset_are_parsed() {
        assert_eq!(of("/"), Ok(None));
        assert_eq!(of("/?offsets=1"), Ok(None));
        assert_eq!(of("/?offset=-1"), Ok(Some(Offset::At(Position::START))));
        assert_eq!(of("/?offset=now"), Ok(Some(Offset::Now)));
    }

    #[test]
    fn a_malformed_offset_is_refused() {
        for query in [
            "offset",
            "offset=",
            "offset=0,1",
            "offset=0%201",
            "offset=0+1",
            "offset=-2",
            "offset=NOW",
            "offset=1&offset=1",
            "offset=1&offset=2",
            "offset=1.x",
            "offset=/",
        ] {
            let refused = of(&format!("/?{query}"));
            assert_eq!(refused, Err(Problem::MalformedCursor), "{query}");
        }
    }
}
