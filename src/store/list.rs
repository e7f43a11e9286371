use std::num::NonZeroUsize;

use super::SessionState;
use crate::log::{ChatId, Owner, SessionId};

/// Which sessions to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this owner's.
    pub owner: Option<Owner>,
    /// Only this conversation's.
    pub chat: Option<ChatId>,
    /// Only those that stand so.
    pub status: Option<StatusFilter>,
    /// After the page that gave this in [`Listing::next`]. Clients send it, so it can be anything:
    /// where the store can't read it, the page is empty and the last one.
    pub after: Option<String>,
    /// The most sessions of a page; `None` for the store's own page size.
    pub limit: Option<NonZeroUsize>,
}

/// Which statuses to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusFilter {
    /// Streaming.
    Streaming,
    /// Waiting.
    Waiting,
    /// Ended as complete.
    Complete,
    /// Ended as aborted.
    Aborted,
    /// Ended by an error.
    Error,
}

impl StatusFilter {
    /// The filter with this word, as on the wire.
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

    /// The word, as on the wire.
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
    /// Its id.
    pub id: SessionId,
    /// Where it stands, or stood a moment ago.
    pub state: SessionState,
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The sessions, newest first.
    pub sessions: Vec<Listed>,
    /// What to ask the next page with; `None` on the last one. Opaque: each store makes its own,
    /// of at most 512 bytes of visible ASCII, so that it can stand in a query.
    pub next: Option<String>,
}
