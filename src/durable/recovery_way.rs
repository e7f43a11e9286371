use std::fmt;

/// A way in which an interrupted answer goes on.
///
/// A provider may [decline](crate::chat::ProviderError::cannot_continue) each before its first event. The next way
/// of [`Recovery`](super::Recovery) is tried then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecoveryWay {
    /// Lets the provider read the rest of the very same answer from the model's server: nothing is lost, and
    /// nothing is paid for twice.
    ///
    /// The provider gets [`reattach`](field@crate::chat::ChatRequest::reattach), and the answer so far with the
    /// [state of its stream](crate::chat::Transcript::stream_state). Arguments that were being streamed go on under
    /// their id. Between two turns, when the tools of one are done, the model is called for the next.
    ///
    /// Only for providers that look at `reattach`.
    Reattach,
    /// Calls the provider with the answer so far: its text as the last message, and all of it as
    /// [`so_far`](field@crate::chat::ChatRequest::so_far). The answer continues in the same log. Arguments that were
    /// being streamed are [cut](field@crate::chat::ToolInput::cut): their call begins anew, under another id.
    ///
    /// Only for providers that continue a partial answer. One of an application's own that doesn't look at
    /// `so_far` gives the text twice, and a layer that runs tools must read it, or it runs the same calls again.
    Resume,
    /// Calls the provider again with the stored request. The answer is paid for twice: the usage in its ending is
    /// that of the new attempt alone. Only an answer that ends before the new attempt begins has the usage of the
    /// one before.
    ///
    /// Before the provider's first event, a `restarted` event tells clients to drop what they have. The provider
    /// gets the earlier runs of tools as [`runs`](field@crate::chat::ChatRequest::runs). With a dialect that can't
    /// express `restarted`, this way is left out. It is declined for answers that clients of the dialect
    /// can't drop ([`restart_obstacle`](crate::dialect::Dialect::restart_obstacle)).
    ///
    /// The native dialect and Durable Streams express it. The others do by an option, off by default:
    /// `AiSdk::restarts` for pages of `ai` 7, `AgUi::restarts`, and `OpenAiResponses::restarts`.
    Restart,
}

/// Writes the name of the way: `reattach`, `resume`, `restart`.
impl fmt::Display for RecoveryWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reattach => "reattach",
            Self::Resume => "resume",
            Self::Restart => "restart",
        })
    }
}
