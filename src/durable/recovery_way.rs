use std::fmt;

/// A way in which an interrupted answer goes on.
///
/// A provider may [decline](crate::chat::ProviderError::cannot_continue) each before its first event. The next way
/// of [`Recovery`](super::Recovery) is tried then.
///
/// # The seam
///
/// A provider declines [`Resume`](Self::Resume) unless its model goes on from a partial text: by configuration for
/// `provider::OpenAi` and genai, by default for `provider::Ollama`. Some servers and models say the last words again
/// all the same, or the whole answer. The first text of the new call is therefore held back until it is sure that it
/// goes on, which is a few tokens at most times. Then one of these happens:
///
/// * Text that goes on passes unchanged.
/// * A repeat of the last words, or of the whole partial text, is cut off.
/// * Where the answer begins anew and differs, the way is declined, and nothing of it is stored. The tokens that it took
///   until then are in no usage.
///
/// Only the turn that was cut counts. Between the tools of a turn and the next turn there is nothing to continue: the
/// model is called as ever, which no provider declines.
///
/// A repeat must be longer than chance. Without a space between the texts (`jumps over` and `jumps over the dog`) it
/// begins at the beginning of a word or a line, and has at least five letters, or three if they are the whole partial
/// text. Otherwise it has at least 24 bytes with four different words (the whole text, within one line: 12 bytes with
/// three), which the text has nowhere else, and is within one line, because lines come twice in code, tables and
/// songs. An answer begins anew if it has two words and eight bytes of the beginning, without a space before;
/// otherwise 24 bytes with four different words, and at the beginning of a line a whole line or 64 bytes.
///
/// The check can't notice:
///
/// * other words for what was said, and a beginning in other words;
/// * a repeat that is shorter, or that begins in the middle of a word: the word `Par` that is begun again as `Paris`;
/// * a repeat of several lines at the end of a line;
/// * space that is missing or comes twice;
/// * text after more than 256 KiB of new thinking.
///
/// It takes for a repeat what a text says twice, in a row and for the first time: half a line of a song.
/// [`Recovery::check_seam`](super::Recovery::check_seam) turns it off.
///
/// A turn that was cut in its thinking, before its text, is begun anew by every provider. Thinking that comes again
/// word for word is cut off; where it differs, both thoughts stand in the log.
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
    /// `AiSdk::restarts` for pages of `ai` from 7.0.70 on, `AgUi::restarts`, and `OpenAiResponses::restarts`.
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
