/// The content of an answer that a [`Webhook`](super::Webhook) sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WebhookContent {
    /// No content: who, when, how it ended, and the usage. The receiver reads the answer by its id, if it needs it.
    Omit,
    /// The answer: `text` and `messages`.
    #[default]
    Answer,
    /// The answer and the `request` that it was asked for with, which may hold the whole conversation.
    AnswerAndRequest,
}
