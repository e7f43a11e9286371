use std::fmt;

use super::EpochTag;

/// A log sequence number: 1, 2, 3, … within a session. 0 is "before the first".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Lsn(u64);

impl Lsn {
    /// Before the first record.
    pub const ZERO: Self = Self(0);
    /// Past every record that there can be.
    pub const MAX: Self = Self(u64::MAX);

    /// The LSN with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The LSN after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The LSN `count` after this one; stays at [`Lsn::MAX`].
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The LSN before this one; stays at 0.
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

/// Where a reader stands: the last LSN that it has, and, where its cursor carried one, the tag of
/// the epoch that wrote that record.
///
/// The tag lets a store that lost acknowledged records see that the record at this LSN is not the
/// one that the reader was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The last LSN that the reader has.
    pub lsn: Lsn,
    /// The tag of the epoch that wrote the record at `lsn`. Means nothing at [`Lsn::ZERO`].
    pub tag: Option<EpochTag>,
}

impl Position {
    /// Before the first record.
    pub const START: Self = Self {
        lsn: Lsn::ZERO,
        tag: None,
    };

    /// After the record at `lsn`, whoever wrote it.
    pub const fn after(lsn: Lsn) -> Self {
        Self { lsn, tag: None }
    }

    /// After the record that the epoch with `tag` wrote at `lsn`.
    pub const fn tagged(lsn: Lsn, tag: EpochTag) -> Self {
        Self {
            lsn,
            tag: Some(tag),
        }
    }
}
