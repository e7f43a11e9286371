use std::fmt;

use super::{ChatMessage, Refusal, Start};
use crate::chat::ChatRequest;

/// The field of `session_info` with what the history gets of a request. It is for servers only.
pub(crate) const HISTORY_NOTE: &str = "history";

/// The part of decoding a start that needs the chat's earlier messages, which a
/// [`History`](crate::durable::History) has.
///
/// A layer with a history calls [`narrow`](Self::narrow), checks what is left against the
/// [fields that clients may choose](crate::durable::ClientFields), and then calls [`recall`](Self::recall). A layer
/// without one calls neither, and refuses the start if it [needs](Self::is_needed) the messages.
pub trait Recall: fmt::Debug + Send + Sync {
    /// Returns true if the request doesn't bring the conversation itself.
    fn is_needed(&self) -> bool;

    /// Removes from a request the messages that the client doesn't give but repeats: all but its new message, or
    /// its outputs of tools.
    fn narrow(&self, request: &mut ChatRequest);

    /// Puts the conversation into the request of a start. `chat` has the messages of the chat, oldest first, with
    /// those of answers that run.
    ///
    /// Returns the messages that the answer is for. From the one with the id of the first of them on, they
    /// replace those of the chat; if it has none, they follow. The last one is the assistant's if the answer
    /// continues it.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if the chat doesn't have what the client names.
    fn recall(&self, chat: &[ChatMessage], start: &mut Start) -> Result<Vec<ChatMessage>, Refusal>;
}
