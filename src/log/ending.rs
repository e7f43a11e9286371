use std::sync::Arc;

use super::{ErrorCode, Outcome};

/// An ending that the registry writes because the source wrote no terminal record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The source ended without a terminal record.
    Complete,
    /// The session was aborted.
    Aborted {
        /// The reason that the abort gave.
        reason: Option<Arc<str>>,
    },
    /// The source was silent for longer than `Limits::idle`.
    Idle,
    /// The session ran for longer than `Limits::age`.
    Age,
    /// One record was larger than `Limits::event_bytes`.
    EventBytes,
    /// All records together were larger than `Limits::session_bytes`.
    SessionBytes,
    /// There were more records than `Limits::session_events`.
    SessionEvents,
    /// The session waited for a person or a client tool, and gave up its place: more waited than
    /// `Limits::waiting` or `Limits::waiting_per_owner`.
    GivenUp,
    /// The source panicked.
    Panicked,
    /// The writer died, and another server sealed the orphan.
    Interrupted,
}

impl Ending {
    /// Returns the outcome to seal the session with.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Complete => Outcome::Complete,
            Self::Aborted { .. } => Outcome::Aborted,
            Self::Idle | Self::Age => Outcome::Error(ErrorCode::Timeout),
            Self::EventBytes | Self::SessionBytes | Self::SessionEvents | Self::GivenUp => {
                Outcome::Error(ErrorCode::Limit)
            }
            Self::Panicked => Outcome::Error(ErrorCode::Internal),
            Self::Interrupted => Outcome::Error(ErrorCode::Interrupted),
        }
    }
}
