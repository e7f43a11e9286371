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
}

impl HasMachine for MemorySession {
    fn machine(&self) -> &SessionMachine {
        &self.machine
    }
}
