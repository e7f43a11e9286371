use std::collections::VecDeque;

use crate::chat::{ChatEvent, ProviderError};

/// Makes events of the bytes of one response. No I/O and no clock.
///
/// What comes out doesn't depend on where the bytes are split. After an error, or once it
/// [is done](Self::is_done), it is given nothing more.
pub(crate) trait Decode: Send + Sync {
    /// Takes the next bytes. Says whether the server said something with them, which a comment or
    /// half a line is not.
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<ChatEvent>) -> Result<bool, ProviderError>;

    /// Whether the server said that this was all.
    fn is_done(&self) -> bool;

    /// Nothing more comes: gives what is still to be said, `complete` last, or says that the answer
    /// was cut.
    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError>;
}
