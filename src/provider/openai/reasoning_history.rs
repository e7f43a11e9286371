/// The messages of the model whose reasoning is sent back to the server as text, for
/// [`OpenAiBuilder::reasoning_history`](super::OpenAiBuilder::reasoning_history).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReasoningHistory {
    /// None: most servers don't know the field, and some refuse it.
    #[default]
    LeaveOut,
    /// Those that call tools, with an empty text if there is no reasoning. DeepSeek and Moonshot refuse a
    /// conversation in which one lacks the field.
    WithCalls,
    /// All that have reasoning, and those that call tools.
    All,
}
