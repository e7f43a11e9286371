use std::{fmt, str::FromStr};

use crate::log::{Lsn, Position};

/// A cursor as text: an LSN, and if known the tag of the epoch that wrote its record.
///
/// ```
/// use unbroken::dialect::Cursor;
///
/// let bare: Cursor = "12".parse()?;
/// assert_eq!(bare.0.lsn.get(), 12);
/// let tagged: Cursor = "12.0000k3f".parse()?;
/// assert_eq!(tagged.to_string(), "12.0000k3f");
/// # Ok::<_, unbroken::dialect::InvalidCursor>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(pub Position);

/// The error of a string that is not a [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a cursor is the LSN of the last event that was received, or the whole SSE id that came with it"
)]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (lsn, tag) = match text.split_once('.') {
            Some((lsn, tag)) => (lsn, Some(tag.parse().map_err(|_| InvalidCursor)?)),
            None => (text, None),
        };
        // `u64` would accept a sign.
        if !lsn.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidCursor);
        }
        let lsn = Lsn::new(lsn.parse().map_err(|_| InvalidCursor)?);
        Ok(Self(match tag {
            _ if lsn == Lsn::ZERO => Position::START,
            tag => Position { lsn, tag },
        }))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.tag {
            Some(tag) => write!(f, "{}.{tag}", self.0.lsn),
            None => self.0.lsn.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Epoch;

    #[test]
    fn both_forms_are_read_back() {
        let tagged = Cursor(Position::tagged(Lsn::new(7), Epoch::first().tag()));
        assert_eq!(tagged.to_string().parse(), Ok(tagged));
        assert_eq!("7".parse(), Ok(Cursor(Position::after(Lsn::new(7)))));
    }

    #[test]
    fn a_tag_before_the_first_record_is_ignored() {
        assert_eq!("0.0000000".parse(), Ok(Cursor(Position::START)));
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        for bad in [
            "",
            " 7",
            "+7",
            "-1",
            "7.",
            "7.k3f",
            ".0000000",
            "7.0000000.1",
            "1e3",
            "99999999999999999999",
            "seven",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad}");
        }
    }
}
