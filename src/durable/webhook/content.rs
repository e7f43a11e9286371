/// The content of an answer that a [`Webhook`](super::Webhook) sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WebhookContent {
    /// No content: who, when, how it ended, and the usage. The receiver reads the answer by its id, if it needs it.
    ///
    /// The id of the session is sent all the same. Under [`AnyoneWithTheId`](crate::access::AnyoneWithTheId) it is
    /// all that reading, stopping or deleting the session takes, so that the receiver and its logs can do that too.
    Omit,
    /// The text of the answer: `text`.
    Text,
    /// The answer as messages, with its calls of tools and their results: `messages`.
    #[default]
    Answer,
    /// The answer as messages, and the `request` that it was asked for with, which may hold the whole conversation.
    AnswerAndRequest,
}
