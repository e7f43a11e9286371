use std::fmt;

use serde::{Deserialize, Serialize};

/// How a session ended. What the terminal event said in words is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The provider's stream came to its end.
    Complete,
    /// Somebody stopped it.
    Aborted,
    /// It failed.
    Error(ErrorCode),
}

/// Why a session failed. On the wire these are the words of PROTOCOL section 1, "Events".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The provider returned an error, or its stream was cut.
    Provider,
    /// It was silent for too long, or ran for too long.
    Timeout,
    /// Its writer died, or the server was shut down before it was done.
    Interrupted,
    /// It passed a limit.
    Limit,
    /// The provider panicked, or a bug of ours.
    Internal,
}

/// Where a session stands, as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Events are still to come.
    Streaming,
    /// A person or a client tool is asked, and hasn't answered yet.
    Waiting,
    /// It is sealed; this is how it ended.
    Ended(Outcome),
}

impl Status {
    /// How the session ended, if it has.
    pub const fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Streaming | Self::Waiting => None,
            Self::Ended(outcome) => Some(outcome),
        }
    }

    /// The word for it on the wire: `streaming`, `waiting`, `complete`, `aborted` or `error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Waiting => "waiting",
            Self::Ended(Outcome::Complete) => "complete",
            Self::Ended(Outcome::Aborted) => "aborted",
            Self::Ended(Outcome::Error(_)) => "error",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 5] = [
        Self::Provider,
        Self::Timeout,
        Self::Interrupted,
        Self::Limit,
        Self::Internal,
    ];

    /// The word for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::Limit => "limit",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
