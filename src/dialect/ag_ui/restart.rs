//! Answers that begin anew: the client gets the conversation as it was before them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    event::AgUiEvent,
    fold::AgUiFold,
    request::{EXAMPLE, WHAT},
};
use crate::{
    chat::{ChatEvent, SessionInfo, has_kind},
    dialect::{
        Refusal, body,
        frames::JsonFrames,
        handed_over::{HANDED_OVER, has_handed_over},
    },
    log::Chunk,
};

/// The conversation that the client sent, stored in the first record as `agUi`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ConversationNote {
    /// The messages, as they came; `None` if they are too large for a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<Vec<Value>>,
}

impl ConversationNote {
    pub(super) const NAME: &'static str = "agUi";

    /// Returns the note of a `RunAgentInput`, and one for messages that are too large for a record.
    pub(super) fn of_body(body: &Bytes) -> Result<(Value, Value), Refusal> {
        let note: Self = body::read_subject(body, WHAT, EXAMPLE)?;
        Ok((json!(note), json!(Self::default())))
    }

    /// Returns the note of a session, if it has one.
    pub(super) fn of(info: &SessionInfo) -> Option<Self> {
        let note = info.extra.get(Self::NAME)?;
        Self::deserialize(note).ok()
    }
}

/// Returns the reason why the clients of a session can't be told to begin anew.
pub(super) fn obstacle(log: &[Chunk]) -> Option<&'static str> {
    let mut records = log.iter().flat_map(Chunk::records);
    let first = records.find(|record| has_kind(record.bytes, "session_info"));
    let note = match first.map(|record| serde_json::from_slice(record.bytes)) {
        Some(Ok(ChatEvent::SessionInfo(info))) => ConversationNote::of(&info),
        _ => None,
    };
    match note {
        None => Some("the conversation isn't kept with the answer"),
        Some(ConversationNote { messages: None }) => {
            Some("the conversation is too large to be kept with the answer")
        }
        Some(_) => has_handed_over(log).then_some(HANDED_OVER),
    }
}

impl AgUiFold {
    /// Writes the conversation before the answer, which replaces the messages that the client has. Writes nothing if
    /// the session has no conversation.
    pub(super) fn drop_answer(&mut self, out: &mut JsonFrames) {
        let Some(messages) = &self.conversation else {
            return;
        };
        let of_reasoning = |message: &Value| message["role"] == "reasoning";
        if !self.reasoning.is_empty() && !messages.iter().any(of_reasoning) {
            // `@ag-ui/client` keeps messages of reasoning over a snapshot that has none. As messages of another
            // role, the second snapshot drops them.
            let former = self.reasoning.drain(..);
            let former = former.map(|id| json!({"id": id, "role": "assistant", "content": ""}));
            let messages: Vec<_> = messages.iter().cloned().chain(former).collect();
            out.push(&AgUiEvent::MessagesSnapshot {
                messages: &messages,
            });
        }
        self.reasoning.clear();
        out.push(&AgUiEvent::MessagesSnapshot { messages });
        self.written_calls.clear();
        self.cut_calls.clear();
        self.with_state = None;
    }
}
