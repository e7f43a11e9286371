use std::fmt;

use super::EpochTag;

/// A log sequence number: 1, 2, 3, … within a session. 0 is "before the first".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Lsn(u64);

impl Lsn {
    /// The position before the first record.
    pub const ZERO: Self = Self(0);
    /// The largest LSN, past every record.
    pub const MAX: Self = Self(u64::MAX);

    /// Creates the LSN with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the LSN after this one; [`Lsn::MAX`] stays as it is.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// Returns the LSN that is `count` after this one, at most [`Lsn::MAX`].
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// Returns the LSN before this one; 0 stays 0.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a reader: the last LSN that it has, and the tag of the epoch that wrote that
/// record, if the reader's cursor carried one.
///
/// With the tag, a store that lost acknowledged records detects that the record at this LSN is not
/// the one that the reader has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The last LSN that the reader has.
    pub lsn: Lsn,
    /// The tag of the epoch that wrote the record at `lsn`. Ignored at [`Lsn::ZERO`].
    pub tag: Option<EpochTag>,
}

impl Position {
    /// The position before the first record.
    pub const START: Self = Self {
        lsn: Lsn::ZERO,
        tag: None,
    };

    /// Creates the position after the record at `lsn`, written by any epoch.
    pub const fn after(lsn: Lsn) -> Self {
        Self { lsn, tag: None }
    }

    /// Creates the position after the record that the epoch with `tag` wrote at `lsn`.
    pub const fn tagged(lsn: Lsn, tag: EpochTag) -> Self {
        Self {
            lsn,
            tag: Some(tag),
        }
    }
}
