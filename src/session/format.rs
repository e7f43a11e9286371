use std::fmt;

use bytes::Bytes;

use crate::log::Ending;

/// The encoding of the terminal records that the registry writes itself.
///
/// All other records come from the [`Source`](super::Source) as bytes. `ChatFormat` in
/// [`durable`](crate::durable) is the format of chat sessions.
pub trait Format: fmt::Debug + Send + Sync + 'static {
    /// Returns the format's number, which is stored with every session. A registry doesn't claim
    /// sessions of another number.
    fn number(&self) -> u16;

    /// Encodes the terminal record of an ending.
    fn ending(&self, ending: &Ending) -> Bytes;
}
