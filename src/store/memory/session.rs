use bytes::Bytes;

use super::log::RecordLog;
use crate::store::{machine::SessionMachine, table::HasMachine};

/// What is kept of a session.
#[derive(Debug, Clone)]
pub(super) struct MemorySession {
    pub(super) machine: SessionMachine,
    // Empty once the session is sealed: nobody will claim it.
    pub(super) request: Bytes,
    pub(super) log: RecordLog,
    // Whether the log and request were dropped because the session is gone.
    pub(super) cleared: bool,
}

impl MemorySession {
    /// Drops what a tombstone doesn't need.
    pub(super) fn clear(&mut self) {
        self.log = RecordLog::default();
        self.request = Bytes::new();
        self.cleared = true;
    }
}

impl HasMachine for MemorySession {
    fn machine(&self) -> &SessionMachine {
        &self.machine
    }
}
