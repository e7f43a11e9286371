use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ChatExchange;
use crate::{
    chat::{ChatEvent, Usage},
    dialect::{ChatMessage, Dialect, HISTORY_NOTE},
    log::{Chunk, Outcome, SessionId},
};

/// The part of an exchange that is known when its session begins, stored in the first record.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::durable) struct HistoryNote {
    form: String,
    number: u64,
    messages: Vec<ChatMessage>,
}

impl HistoryNote {
    /// The field of `session_info`.
    pub(in crate::durable) const NAME: &'static str = HISTORY_NOTE;

    pub(super) fn new(dialect: &dyn Dialect, number: u64, messages: Vec<ChatMessage>) -> Self {
        Self {
            form: dialect.message_form().unwrap_or_default().to_owned(),
            number,
            messages,
        }
    }

    /// Returns the note of a session; `None` if it kept no chat in the form of this dialect.
    pub(in crate::durable) fn of(
        notes: &Map<String, Value>,
        dialect: &dyn Dialect,
    ) -> Option<Self> {
        let note = Self::deserialize(notes.get(Self::NAME)?).ok()?;
        (dialect.message_form() == Some(&*note.form)).then_some(note)
    }

    /// Reads the note in the first record of a log.
    pub(super) fn of_log(log: &[Chunk], dialect: &dyn Dialect) -> Option<Self> {
        let first = log.first()?.records().next()?;
        match serde_json::from_slice(first.bytes).ok()? {
            ChatEvent::SessionInfo(info) => Self::of(&info.extra, dialect),
            _ => None,
        }
    }

    /// Returns true if the notes of a start have a message of the assistant, which its answer continues.
    pub(in crate::durable) fn continues(notes: &Map<String, Value>) -> bool {
        let messages = notes.get(Self::NAME).and_then(|note| note.get("messages"));
        let last = messages.and_then(Value::as_array).and_then(|it| it.last());
        last.is_some_and(|message| message["role"] == "assistant")
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Creates the exchange of a session, with its answer as far as that is in the log.
    pub(in crate::durable) fn exchange(
        &self,
        dialect: &dyn Dialect,
        (session, ending_id): (&SessionId, String),
        log: &[Chunk],
        outcome: Outcome,
        usage: Option<Usage>,
    ) -> ChatExchange {
        ChatExchange {
            ending_id,
            session: session.clone(),
            number: self.number,
            messages: dialect.answered(session, self.messages.clone(), log),
            outcome,
            usage,
        }
    }
}
