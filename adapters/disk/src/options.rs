use std::{sync::Arc, time::SystemTime};

use super::{DiskIo, SystemIo};

/// The options of a [`Disk`](super::Disk) store.
///
/// ```
/// use unbroken_disk::DiskOptions;
///
/// let options = DiskOptions::default().segment_bytes(16 << 20);
/// assert_eq!(options.max_append_bytes, 16 << 20);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DiskOptions {
    /// The size in bytes at which a new log file is begun. Between 64 KiB and 1 GiB. Default 64 MiB.
    ///
    /// The space of deleted sessions is freed by whole files.
    pub segment_bytes: u32,
    /// The most bytes of one append; at most 1 GiB. Default 16 MiB.
    pub max_append_bytes: usize,
    pub(crate) wall_clock: Option<SystemTime>,
    pub(crate) io: Arc<dyn DiskIo>,
}

const MIN_SEGMENT: u32 = 64 << 10;
const MAX_BYTES: u32 = 1 << 30;

impl DiskOptions {
    /// Sets [`segment_bytes`](field@Self::segment_bytes).
    pub fn segment_bytes(mut self, bytes: u32) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Sets [`max_append_bytes`](field@Self::max_append_bytes).
    pub fn max_append_bytes(mut self, bytes: usize) -> Self {
        self.max_append_bytes = bytes;
        self
    }

    /// Sets the wall-clock time at which the store is opened. Default: the clock of the host.
    pub fn wall_clock(mut self, now: SystemTime) -> Self {
        self.wall_clock = Some(now);
        self
    }

    /// Sets the implementation that writes and syncs log files. Default [`SystemIo`].
    pub fn io(mut self, io: impl DiskIo) -> Self {
        self.io = Arc::new(io);
        self
    }

    pub(crate) fn clamped(mut self) -> Self {
        self.segment_bytes = self.segment_bytes.clamp(MIN_SEGMENT, MAX_BYTES);
        self.max_append_bytes = self.max_append_bytes.min(MAX_BYTES as usize);
        self
    }
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            max_append_bytes: 16 << 20,
            wall_clock: None,
            io: Arc::new(SystemIo::default()),
        }
    }
}
