use bytes::Bytes;

use super::log::RecordLog;
use crate::store::{machine::SessionMachine, table::HasMachine};

/// The data of one session.
#[derive(Debug, Clone)]
pub(super) struct MemorySession {
    pub(super) machine: SessionMachine,
    // Empty once the session is sealed, since it can't be claimed any more.
    pub(super) request: Bytes,
    pub(super) log: RecordLog,
    // True once the log and the request were dropped because the session is gone.
    pub(super) discarded: bool,
}

impl MemorySession {
    /// Drops the data that a tombstone does not need.
    pub(super) fn discard(&mut self) {
        self.log = RecordLog::default();
        self.request = Bytes::new();
        self.discarded = true;
    }
}

impl HasMachine for MemorySession {
    fn machine(&self) -> &SessionMachine {
        &self.machine
    }
}
