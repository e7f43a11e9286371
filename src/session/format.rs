use std::fmt;

use bytes::Bytes;

use crate::log::Ending;

/// How records are written, as far as the registry must know: the terminal records that it writes
/// itself.
pub trait Format: fmt::Debug + Send + Sync + 'static {
    /// Stored with every session; a library that doesn't know the number leaves the session alone.
    fn number(&self) -> u16;

    /// The terminal record for an ending.
    fn ending(&self, ending: &Ending) -> Bytes;
}
