use std::time::Duration;

use super::AbortRequest;
use crate::log::{Chunk, Outcome};

/// The status of a session after an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The way in which the session ended.
    pub outcome: Outcome,
    /// The retention: how long the session is kept from now on, by the store's clock.
    pub keep: Duration,
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
