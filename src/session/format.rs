use std::fmt;

use bytes::Bytes;

use crate::log::{Chunk, Ending};

/// The encoding of the terminal records that the registry writes itself.
///
/// All other records come from the [`Source`](super::Source) as bytes. `ChatFormat` in
/// [`durable`](crate::durable) is the format of chat sessions.
pub trait Format: fmt::Debug + Send + Sync + 'static {
    /// Returns the format's number, which is stored with every session. A registry claims no session of a number
    /// that none of its formats has.
    fn number(&self) -> u16;

    /// Encodes the terminal record of an ending.
    fn ending(&self, ending: &Ending) -> Bytes;

    /// Returns what the [outbox](crate::store::Store::endings) tells of a terminal record even if the session
    /// is deleted before its ending is delivered, such as the usage. Default: nothing.
    fn summary(&self, terminal: &[u8]) -> Bytes {
        let _ = terminal;
        Bytes::new()
    }

    /// Returns a new fold that makes the terminal record of an orphan that isn't continued, from its log. `None`,
    /// the default, leaves it to [`ending`](Self::ending), and the log isn't read.
    fn fold(&self) -> Option<Box<dyn LogFold>> {
        None
    }
}

/// A fold over the log of an orphan that this server seals, for a terminal record with what only the log tells,
/// such as the tokens used.
///
/// If the log can't be read in half of what is left of the lease, if the fold panics, or if the store finds its
/// record too large, the terminal record is that of [`Format::ending`]: the ending comes first.
pub trait LogFold: Send {
    /// Takes the next records. They come in order, from the first one on. Called on a task of the registry: it
    /// must not block.
    fn push(&mut self, records: &Chunk);

    /// Encodes the terminal record of this ending. One that is larger than
    /// [`Limits::event_bytes`](field@super::Limits::event_bytes) isn't taken.
    fn ending(&self, ending: &Ending) -> Bytes;
}

/// Returns the summary of the last record of a chunk, which is the terminal one. Nothing without a format.
pub(super) fn summary(format: Option<&dyn Format>, sealing: &Chunk) -> Bytes {
    let terminal = format.zip(sealing.records().last());
    terminal.map_or_else(Bytes::new, |(format, record)| format.summary(record.bytes))
}
