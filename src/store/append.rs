use std::time::Duration;

use super::AbortRequest;
use crate::log::Outcome;

/// How the session stands after an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterAppend {
    /// More is to come.
    Streaming,
    /// A person or a client tool is asked, and the session goes on when the answer is there.
    Waiting,
    /// The last record of the append is the terminal event; nothing follows it.
    Seal(Seal),
}

/// The end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// How it ended.
    pub outcome: Outcome,
    /// For how long it is kept from now, by the store's clock.
    pub keep: Duration,
}

/// What an append tells its writer.
#[derive(Debug, Clone, Default)]
pub struct Appended {
    /// Somebody wants the session stopped.
    pub abort: Option<AbortRequest>,
}
