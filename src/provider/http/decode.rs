use std::collections::VecDeque;

use crate::chat::{ChatEvent, ProviderError, Usage};

/// Decodes the bytes of one response into events. No I/O and no clock.
///
/// The events don't depend on the boundaries between `push`es. After an error, or once it [is
/// done](Self::is_done), it gets no more bytes.
pub(crate) trait Decode: Send + Sync {
    /// Takes the next bytes. Returns true if they complete a message of the server; a comment or
    /// half a line doesn't.
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<ChatEvent>) -> Result<bool, ProviderError>;

    /// Returns true if the server marked the answer as complete.
    fn is_done(&self) -> bool;

    /// Returns true if the answer is whole, though its usage may follow: the server is waited for only a
    /// moment longer.
    fn is_finished(&self) -> bool {
        self.is_done()
    }

    /// Returns the usage of the turn so far, if the server tells it before its end.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// Ends the stream of bytes. Appends the events that are left, `complete` last.
    ///
    /// # Errors
    ///
    /// If the answer was cut.
    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError>;
}
