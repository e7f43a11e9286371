//! Refusals of what only chats have, beside those of every session.

pub(super) use crate::exchange::refusals::*;
use crate::{
    chat::InputOutcome,
    dialect::{Problem, Refusal},
};

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
