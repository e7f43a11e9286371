use std::num::NonZeroUsize;

use super::SessionState;
use crate::log::{ChatId, Outcome, Owner, SessionId, Status};

/// A selection of sessions for [`Store::list`](super::Store::list). All conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Selects the sessions of this owner; `None` selects those of all owners.
    pub owner: Option<Owner>,
    /// Selects the sessions of this conversation; `None` selects those of all.
    pub chat: Option<ChatId>,
    /// Selects the sessions with this status; `None` selects those with any.
    pub status: Option<StatusFilter>,
    /// The [`Listing::next`] of the page before; `None` for the first page.
    ///
    /// Clients send it, so it may hold any text. If the store can't read it, the page is empty and
    /// the last one.
    pub after: Option<String>,
    /// The largest number of sessions in a page; `None` leaves the number to the store.
    pub limit: Option<NonZeroUsize>,
}

/// A status to select sessions by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusFilter {
    /// Sessions that are running.
    Streaming,
    /// Sessions that wait for an answer.
    Waiting,
    /// Sessions that are complete.
    Complete,
    /// Sessions that were aborted.
    Aborted,
    /// Sessions that ended with an error of any code.
    Error,
}

impl StatusFilter {
    /// Returns the filter that selects sessions with this status.
    pub const fn of(status: Status) -> Self {
        match status {
            Status::Streaming => Self::Streaming,
            Status::Waiting => Self::Waiting,
            Status::Ended(Outcome::Complete) => Self::Complete,
            Status::Ended(Outcome::Aborted) => Self::Aborted,
            Status::Ended(Outcome::Error(_)) => Self::Error,
        }
    }

    /// Returns the filter with this word on the wire, or `None` if there is no such word.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "streaming" => Self::Streaming,
            "waiting" => Self::Waiting,
            "complete" => Self::Complete,
            "aborted" => Self::Aborted,
            "error" => Self::Error,
            _ => return None,
        })
    }

    /// Returns the word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Waiting => "waiting",
            Self::Complete => "complete",
            Self::Aborted => "aborted",
            Self::Error => "error",
        }
    }
}

/// A session in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The id of the session.
    pub id: SessionId,
    /// The state of the session, which may lag behind the writes.
    pub state: SessionState,
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The sessions, newest first.
    pub sessions: Vec<Listed>,
    /// The value of [`Filter::after`] for the next page; `None` on the last page.
    ///
    /// It is opaque. Each store makes its own, of at most 512 bytes of visible ASCII, so that it
    /// fits into a query.
    pub next: Option<String>,
}
