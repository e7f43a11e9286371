use std::sync::Arc;

use super::{ErrorCode, Outcome};

/// An ending that the registry itself writes, because the source did not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The source came to its end without a terminal record of its own.
    Complete,
    /// Somebody stopped it.
    Aborted {
        /// Why, as they said.
        reason: Option<Arc<str>>,
    },
    /// The source was silent for longer than `Limits::idle`.
    Idle,
    /// It ran for longer than `Limits::age`.
    Age,
    /// A record passed `Limits::event_bytes`.
    EventBytes,
    /// The records passed `Limits::session_bytes`.
    SessionBytes,
    /// There were more than `Limits::session_events`.
    SessionEvents,
    /// The source panicked.
    Panicked,
    /// The writer died, and another server found what it left.
    Interrupted,
}

impl Ending {
    /// The outcome that it seals the session with.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Complete => Outcome::Complete,
            Self::Aborted { .. } => Outcome::Aborted,
            Self::Idle | Self::Age => Outcome::Error(ErrorCode::Timeout),
            Self::EventBytes | Self::SessionBytes | Self::SessionEvents => {
                Outcome::Error(ErrorCode::Limit)
            }
            Self::Panicked => Outcome::Error(ErrorCode::Internal),
            Self::Interrupted => Outcome::Error(ErrorCode::Interrupted),
        }
    }
}
