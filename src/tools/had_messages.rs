use super::encoded::Encoded;
use crate::chat::Message;

/// The messages of a conversation that the model has had, oldest first.
#[derive(Default)]
pub(super) struct HadMessages {
    parts: Vec<Encoded<Vec<Message>>>,
}

impl HadMessages {
    /// Adds messages at the end.
    pub(super) fn extend(&mut self, messages: Vec<Message>) {
        if !messages.is_empty() {
            self.parts.push(Encoded::new(messages));
        }
    }

    /// Returns all messages.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.parts.iter().flat_map(Encoded::decode).collect()
    }
}
