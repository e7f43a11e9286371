use bytes::Bytes;

use super::log::RecordLog;
use crate::store::{machine::SessionMachine, table::HasMachine};

/// The data of one session.
#[derive(Debug, Clone)]
pub(super) struct MemorySession {
    pub(super) machine: SessionMachine,
    // Empty once the session is sealed and its ending is not in the outbox: it can't be claimed any more.
    pub(super) request: Bytes,
    pub(super) log: RecordLog,
}

impl MemorySession {
    /// Drops the request if nobody needs it any more.
    pub(super) fn drop_request(&mut self) {
        if self.machine.is_sealed() && self.machine.ending_due().is_none() {
            self.request = Bytes::new();
        }
    }
}

impl HasMachine for MemorySession {
    fn machine(&self) -> &SessionMachine {
        &self.machine
    }
}
