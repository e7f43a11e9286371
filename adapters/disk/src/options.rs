use std::{sync::Arc, time::SystemTime};

use super::{DiskIo, SystemIo};

/// How a [`Disk`](super::Disk) store is kept.
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
    /// After how many bytes a new file is begun; what is deleted gives its space back by whole
    /// files. Between 64 KiB and 1 GiB. Default 64 MiB.
    pub segment_bytes: u32,
    /// The most bytes that one append may have; at most 1 GiB. Default 16 MiB.
    pub max_append_bytes: usize,
    pub(crate) wall_clock: Option<SystemTime>,
    pub(crate) io: Arc<dyn DiskIo>,
}

const SEGMENT_MIN: u32 = 64 << 10;
const MAX: u32 = 1 << 30;

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

    /// Sets the time of the host's clock at the moment of opening, instead of asking for it.
    pub fn wall_clock(mut self, now: SystemTime) -> Self {
        self.wall_clock = Some(now);
        self
    }

    /// Sets the calls by which log files are written and synced. Default [`SystemIo`].
    pub fn io(mut self, io: impl DiskIo) -> Self {
        self.io = Arc::new(io);
        self
    }

    pub(crate) fn within_reason(mut self) -> Self {
        self.segment_bytes = self.segment_bytes.clamp(SEGMENT_MIN, MAX);
        self.max_append_bytes = self.max_append_bytes.min(MAX as usize);
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
