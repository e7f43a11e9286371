use std::time::Duration;

use bytes::Bytes;

use super::AbortRequest;
use crate::log::{Chunk, Outcome};

/// The status of a session after an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterAppend {
    /// The session runs, and more records follow.
    Streaming,
    /// The session waits for the answer of a person or of a client tool.
    Waiting,
    /// The session ends: the last record of the append is the terminal event, and nothing follows
    /// it.
    Seal(Seal),
}

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The way in which the session ended.
    pub outcome: Outcome,
    /// The retention: how long the session is kept from now on, by the store's clock.
    pub keep: Duration,
    /// What the outbox tells of the ending even if the session is deleted meanwhile, such as the usage. It is
    /// not kept if the session has no [outbox](field@super::SessionMeta::outbox).
    pub summary: Bytes,
}

impl Seal {
    /// Creates a seal without a summary.
    pub const fn new(outcome: Outcome, keep: Duration) -> Self {
        Self {
            outcome,
            keep,
            summary: Bytes::new(),
        }
    }

    /// Sets the [summary](field@Self::summary).
    pub fn summary(mut self, summary: Bytes) -> Self {
        self.summary = summary;
        self
    }
}

/// The result of [`Store::append`](super::Store::append).
#[derive(Debug, Clone, Default)]
pub struct Appended {
    /// The abort request, if one is stored.
    pub abort: Option<AbortRequest>,
    /// The last records of the log, if the store keeps them in the memory of the process and has moved
    /// them to another buffer. A caller that holds them too holds this chunk instead, so that they are in
    /// memory once.
    pub kept: Option<Chunk>,
}
