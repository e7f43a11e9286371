use bytes::Bytes;

use super::answer_usage::AnswerUsage;
use crate::{
    chat::{Aborted, ChatEvent, Complete, ErrorEvent, has_kind},
    log::{Chunk, Ending, ErrorCode},
    record::RecordingFormat,
    session::{Format, LogFold, Sessions, SessionsBuilder},
    store::{Memory, SessionMeta, Store},
};

/// The format of chat sessions: each record is the JSON of a [`ChatEvent`].
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ChatFormat;

impl ChatFormat {
    /// Creates the format.
    pub const fn new() -> Self {
        Self
    }
}

impl Format for ChatFormat {
    fn number(&self) -> u16 {
        1
    }

    fn ending(&self, ending: &Ending) -> Bytes {
        terminal_event(ending).to_json().freeze()
    }

    /// Returns the kind of the terminal event, its code and message if it is an error, its finish reason and its
    /// usage; no words of the answer or of a client.
    fn summary(&self, terminal: &[u8]) -> Bytes {
        let summary: ChatEvent = match serde_json::from_slice(terminal) {
            Ok(ChatEvent::Complete(it)) => Complete {
                finish_reason: it.finish_reason,
                usage: it.usage,
                ..Complete::new()
            }
            .into(),
            Ok(ChatEvent::Aborted(it)) => Aborted {
                usage: it.usage,
                ..Aborted::new()
            }
            .into(),
            Ok(ChatEvent::Error(it)) => ErrorEvent {
                usage: it.usage,
                ..ErrorEvent::new(it.code, it.message).recoverable(it.recoverable)
            }
            .into(),
            _ => return Bytes::new(),
        };
        summary.to_json().freeze()
    }

    fn fold(&self) -> Option<Box<dyn LogFold>> {
        Some(Box::new(TurnsUsage(AnswerUsage::after(None))))
    }
}

/// The usage of the turns that a log tells of, for the terminal event of an orphan.
struct TurnsUsage(AnswerUsage);

impl LogFold for TurnsUsage {
    fn push(&mut self, records: &Chunk) {
        for record in records.records() {
            if has_kind(record.bytes, "restarted") {
                self.0 = AnswerUsage::after(None);
            } else if has_kind(record.bytes, "turn")
                && let Ok(turn) = serde_json::from_slice(record.bytes)
            {
                self.0.apply(turn);
            }
        }
    }

    fn ending(&self, ending: &Ending) -> Bytes {
        let event = self.0.clone().apply(terminal_event(ending));
        event.to_json().freeze()
    }
}

impl Sessions {
    /// Creates a builder of a registry of chat sessions and [recordings](crate::record) whose logs live in `store`.
    ///
    /// A session that names no format is one of a chat.
    pub fn builder(store: impl Store) -> SessionsBuilder {
        SessionsBuilder::new(store, ChatFormat::new()).format(RecordingFormat::new())
    }

    /// Creates a registry of chat sessions and recordings in the memory of this process, with the default limits.
    ///
    /// ```
    /// let sessions = unbroken::session::Sessions::in_memory();
    /// assert_eq!(sessions.running(), 0);
    /// ```
    pub fn in_memory() -> Self {
        Self::builder(Memory::new()).build()
    }
}

/// Returns true if a session is one of a chat. One of another format has the name of a service of chats by mistake.
pub(super) fn is_chat(meta: &SessionMeta) -> bool {
    meta.format == ChatFormat::new().number()
}

/// Returns the terminal event of an ending that the registry decides.
pub(super) fn terminal_event(ending: &Ending) -> ChatEvent {
    let error = |code, message: &str, recoverable| {
        ErrorEvent::new(code, message)
            .recoverable(recoverable)
            .into()
    };
    match ending {
        Ending::Complete => Complete::new().into(),
        Ending::Aborted { reason } => match reason {
            Some(reason) => Aborted::new().reason(&**reason).into(),
            None => Aborted::new().into(),
        },
        Ending::Idle => error(
            ErrorCode::Timeout,
            "The model was silent for too long. Try again.",
            true,
        ),
        Ending::Age => error(
            ErrorCode::Timeout,
            "The answer took too long. Try again, or ask for less.",
            true,
        ),
        Ending::EventBytes => error(
            ErrorCode::Limit,
            "A part of the answer was larger than this server takes.",
            false,
        ),
        Ending::SessionBytes | Ending::SessionEvents => error(
            ErrorCode::Limit,
            "The answer grew longer than this server takes. Ask for less.",
            false,
        ),
        Ending::GivenUp => error(
            ErrorCode::Limit,
            "The answer waited for a reply, and more answers wait than this server keeps; this one \
             waited longest. Ask again, and reply sooner.",
            true,
        ),
        Ending::Panicked => error(
            ErrorCode::Internal,
            "The server failed while it answered. Try again.",
            true,
        ),
        Ending::Interrupted => error(
            ErrorCode::Interrupted,
            "The server stopped before the answer was done. Try again.",
            true,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Outcome;

    #[test]
    fn every_ending_is_a_terminal_event_of_its_outcome() {
        for ending in [
            Ending::Complete,
            Ending::Aborted { reason: None },
            Ending::Aborted {
                reason: Some("enough".into()),
            },
            Ending::Idle,
            Ending::Age,
            Ending::EventBytes,
            Ending::SessionBytes,
            Ending::SessionEvents,
            Ending::GivenUp,
            Ending::Panicked,
            Ending::Interrupted,
        ] {
            let record = ChatFormat::new().ending(&ending);
            let event: ChatEvent = serde_json::from_slice(&record).unwrap();
            match (&event, ending.outcome()) {
                (ChatEvent::Complete(_), Outcome::Complete)
                | (ChatEvent::Aborted(_), Outcome::Aborted) => {}
                (ChatEvent::Error(error), Outcome::Error(code)) => {
                    assert_eq!(error.code.as_str(), code.as_str());
                    assert!(!error.message.is_empty());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_terminal_event_of_an_abort_has_its_reason() {
        let record = ChatFormat::new().ending(&Ending::Aborted {
            reason: Some("enough".into()),
        });
        assert_eq!(record, r#"{"type":"aborted","reason":"enough"}"#);
    }
}
