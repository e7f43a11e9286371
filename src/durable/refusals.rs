//! Refusals for the errors of sessions and stores.

use std::{error::Error, time::Duration};

use crate::{
    chat::InputOutcome,
    dialect::{Problem, Refusal},
    log::Position,
    session::{Busy, ReadError, StartError},
    store::StoreError,
};

impl From<Busy> for Refusal {
    fn from(error: Busy) -> Self {
        busy(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        store(&error)
    }
}

impl From<StartError> for Refusal {
    fn from(error: StartError) -> Self {
        match error {
            StartError::InUse => in_use(),
            StartError::Gone(_) => gone(),
            StartError::Store(error) => store(&error),
            StartError::TooLarge => {
                tracing::error!(error = &error as &dyn Error, "a session can't be started");
                Self::new(
                    Problem::Internal,
                    "the server is misconfigured; tell its operator",
                )
            }
        }
    }
}

/// The `Retry-After` for a store or a provider that is unavailable.
pub(super) const SOON: Duration = Duration::from_secs(2);

/// Refuses a session that is absent, or that the policy closes, in the same words.
pub(super) fn not_found() -> Refusal {
    Refusal::new(
        Problem::NotFound,
        "there is no session with this id that you may use; start one with a POST to where the \
         service is mounted",
    )
}

pub(super) fn forbidden(detail: &'static str) -> Refusal {
    Refusal::new(Problem::Forbidden, detail)
}

pub(super) fn gone() -> Refusal {
    Refusal::new(
        Problem::Gone,
        "the session was deleted or has expired; start a new one under another id",
    )
}

pub(super) fn in_use() -> Refusal {
    Refusal::new(
        Problem::IdInUse,
        "a session with this id exists for another request; use another id, or none",
    )
}

pub(super) fn guessable_key() -> Refusal {
    Refusal::new(
        Problem::MalformedId,
        "without an owner a key has at least 22 characters, chosen at random: others could find the \
         answer by a shorter one; send a longer key, or none",
    )
}

/// Refuses a request that relies on a conversation which the server doesn't keep.
pub(super) fn no_history() -> Refusal {
    Refusal::new(
        Problem::WrongShape,
        "this server doesn't keep the conversation (the application sets `DurableLayer::history` if it does); \
         send all `messages`",
    )
}

/// Refuses a start whose conversation can't be loaded now.
pub(super) fn chat_unavailable() -> Refusal {
    Refusal::new(
        Problem::StoreUnavailable,
        "the server can't load the messages of this chat; try again, nothing was lost",
    )
    .retry_after(SOON)
}

pub(super) fn chat_busy() -> Refusal {
    Refusal::new(
        Problem::ChatBusy,
        "another answer of this conversation is still being written; wait for its end, or stop it",
    )
}

pub(super) fn busy(busy: Busy) -> Refusal {
    let problem = match busy {
        Busy::ShuttingDown => Problem::ShuttingDown,
        Busy::Running | Busy::RunningPerOwner => Problem::OverLimit,
    };
    Refusal::new(problem, busy.to_string()).retry_after(busy.retry_after())
}

/// Makes the refusal for a store's error.
pub(super) fn store(error: &StoreError) -> Refusal {
    match error {
        StoreError::NotFound => not_found(),
        StoreError::Gone(_) => gone(),
        StoreError::Corrupt { .. } => corrupt(error),
        StoreError::Unsupported { .. } => unsupported(),
        StoreError::TooLarge { max } => too_large(*max),
        error => {
            tracing::warn!(error = error as &dyn Error, "the store failed");
            unavailable()
        }
    }
}

/// Makes the refusal for a reader that can't start at `after`.
pub(super) fn read(error: &ReadError, after: Position) -> Refusal {
    match error {
        ReadError::NotFound => not_found(),
        ReadError::Gone(_) => gone(),
        ReadError::Rewound { tail } if after.tag.is_some() => Refusal::new(
            Problem::LogRewound,
            format!(
                "the log no longer holds what your cursor stands at, it ends at LSN {tail}; \
                 drop what you have and read from the start"
            ),
        ),
        ReadError::Rewound { tail } => Refusal::new(
            Problem::CursorPastTail,
            format!("the log ends at LSN {tail}; send the last LSN that you received"),
        ),
        ReadError::Corrupt { .. } => corrupt(error),
        ReadError::Unsupported { .. } => unsupported(),
        ReadError::ShutDown => Refusal::new(
            Problem::ShuttingDown,
            "this server is shutting down; read on from the last LSN in a moment",
        )
        .retry_after(Duration::from_secs(1)),
        ReadError::Unavailable => unavailable(),
    }
}

pub(super) fn not_open() -> Refusal {
    Refusal::new(
        Problem::InputAnswered,
        "the question is no longer open: it is answered or withdrawn, or the session has ended; see the \
         session's events for the outcome",
    )
}

/// Makes the refusal for an answer to a question of a session that has ended, with what was decided.
pub(super) fn decided(outcome: Option<&InputOutcome>) -> Refusal {
    let decided = match outcome {
        Some(InputOutcome::Accept) => "it was accepted",
        Some(InputOutcome::Decline) => "it was declined",
        Some(InputOutcome::Cancel) => "it was cancelled",
        Some(InputOutcome::Timeout) => "nobody answered it in time",
        Some(InputOutcome::Other(_)) => "it was decided otherwise",
        None => "the answer ended before anybody decided it",
    };
    Refusal::new(
        Problem::InputAnswered,
        format!(
            "this reply comes too late, and changes nothing: {decided}; load the conversation again"
        ),
    )
}

fn corrupt(error: &(dyn Error + 'static)) -> Refusal {
    tracing::error!(error, "a log can't be read");
    Refusal::new(
        Problem::Corrupt,
        "the next event of this session can't be read; start a new session",
    )
}

/// Refuses a start whose request the store can't take, now or later.
fn too_large(max: usize) -> Refusal {
    tracing::warn!(max, "a request is larger than the store takes");
    Refusal::new(
        Problem::BodyTooLarge,
        format!(
            "the server's store takes a request of at most {max} bytes; send a shorter conversation"
        ),
    )
}

fn unsupported() -> Refusal {
    Refusal::new(
        Problem::UnsupportedFormat,
        "a newer server wrote this session and this one can't read it; try again, \
         another server may answer",
    )
    .retry_after(SOON)
}

pub(super) fn unavailable() -> Refusal {
    Refusal::new(
        Problem::StoreUnavailable,
        "the server can't reach its store; try again, nothing was lost",
    )
    .retry_after(SOON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_the_store_never_takes_is_refused_for_good_with_the_limit() {
        let error = StoreError::TooLarge { max: 1_048_576 };
        let refusal = Refusal::from(StartError::from(error));
        assert_eq!(refusal.problem, Problem::BodyTooLarge);
        assert_eq!(refusal.problem.status(), 413);
        assert_eq!(refusal.retry_after, None);
        assert!(refusal.detail.contains("1048576 bytes"), "{refusal:?}");
    }
}
