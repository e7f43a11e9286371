use std::fmt;

use serde::{Deserialize, Serialize};

/// The way in which a session ended. The terminal event in the log has the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The provider's stream ended.
    Complete,
    /// The session was stopped by an abort.
    Aborted,
    /// The session failed.
    Error(ErrorCode),
}

/// The reason why a session failed.
///
/// `Display` and serde give the word on the wire, for example `timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The provider returned an error, or its stream was cut.
    Provider,
    /// The provider was silent for too long, or the session ran for too long.
    Timeout,
    /// The writer died, or the server shut down before the session ended.
    Interrupted,
    /// The session exceeded a limit on bytes or events.
    Limit,
    /// The provider panicked, or this library has a bug.
    Internal,
}

/// The status of a session, as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// The session runs, and more events follow.
    Streaming,
    /// The session waits for the answer of a person or of a client tool.
    Waiting,
    /// The session is sealed, with this outcome.
    Ended(Outcome),
}

impl Status {
    /// Returns the outcome, or `None` if the session has not ended.
    pub const fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Streaming | Self::Waiting => None,
            Self::Ended(outcome) => Some(outcome),
        }
    }

    /// Returns the word on the wire: `streaming`, `waiting`, `complete`, `aborted` or `error`.
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
    /// All codes, in no order that anything may depend on.
    pub const ALL: &'static [Self] = &[
        Self::Provider,
        Self::Timeout,
        Self::Interrupted,
        Self::Limit,
        Self::Internal,
    ];

    /// Returns the code with this word on the wire, or `None` if there is no such word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// Returns the word on the wire.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_codes_have_their_words_on_the_wire() {
        let outcomes = [
            Outcome::Complete,
            Outcome::Aborted,
            Outcome::Error(ErrorCode::Limit),
        ];
        let ended = outcomes.map(Status::Ended);
        let statuses = [Status::Streaming, Status::Waiting]
            .into_iter()
            .chain(ended);
        let words: Vec<_> = statuses.map(Status::as_str).collect();
        let expected = ["streaming", "waiting", "complete", "aborted", "error"];
        assert_eq!(words, expected);
        let words: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        let expected = ["provider", "timeout", "interrupted", "limit", "internal"];
        assert_eq!(words, expected);
    }

    #[test]
    fn each_error_code_has_a_word_of_its_own() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_word(code.as_str()), Some(*code));
        }
        for word in ["", "Provider", "limit ", "complete"] {
            assert_eq!(ErrorCode::from_word(word), None, "{word}");
        }
    }
}
