use std::{sync::Arc, time::SystemTime};

use crate::io::{DiskIo, SystemIo};

/// Options of a [`Disk`](crate::Disk) store.
///
/// ```
/// use unbroken_disk::DiskOptions;
///
/// let options = DiskOptions::new().segment_bytes(16 << 20);
/// assert_eq!(options.max_append_bytes, 16 << 20);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DiskOptions {
    /// The size of a log file in bytes, between 64 KiB and 1 GiB. Default 64 MiB.
    ///
    /// Deleted sessions give their space back by whole files. Values outside the range are clamped.
    pub segment_bytes: u32,
    /// The largest number of bytes of one append, at most 1 GiB. Default 16 MiB.
    ///
    /// A larger append gets [`StoreError::TooLarge`](unbroken::store::StoreError::TooLarge), and so does a session
    /// with a request of more than 1 GiB.
    pub max_append_bytes: usize,
    /// The largest number of tombstones. Default 100,000, which take up at most 100 MB of memory, and a
    /// few hundred bytes each in the files.
    ///
    /// Beyond that the tombstones that end first are removed: the oldest, where all last equally long. A
    /// late retry of a session without a tombstone starts it again. The number also holds for a store
    /// that was written with a larger one.
    pub max_tombstones: usize,
    pub(crate) wall_clock: Option<SystemTime>,
    pub(crate) io: Arc<dyn DiskIo>,
}

const SEGMENT_MIN: u32 = 64 << 10;
const MAX: u32 = 1 << 30;

impl DiskOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

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

    /// Sets [`max_tombstones`](field@Self::max_tombstones).
    pub fn max_tombstones(mut self, count: usize) -> Self {
        self.max_tombstones = count;
        self
    }

    /// Sets the wall-clock time at the moment of opening. Default: the host's clock.
    pub fn wall_clock(mut self, now: SystemTime) -> Self {
        self.wall_clock = Some(now);
        self
    }

    /// Sets the calls that write and sync log files. Default [`SystemIo`].
    pub fn io(mut self, io: impl DiskIo) -> Self {
        self.io = Arc::new(io);
        self
    }

    pub(crate) fn clamped(mut self) -> Self {
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
            max_tombstones: 100_000,
            wall_clock: None,
            io: Arc::new(SystemIo::default()),
        }
    }
}
