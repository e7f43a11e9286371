use std::{fmt, fs::File, io};

use crate::files;

/// The calls with which a [`Disk`](crate::Disk) store changes its log files.
///
/// The store makes them from its one writer thread. After an error it writes no more; see
/// [`Disk`](crate::Disk). An implementation can measure, throttle, or fail on purpose. Files are
/// opened, read and removed without it.
pub trait DiskIo: fmt::Debug + Send + Sync + 'static {
    /// Writes all of `bytes` to `file` at the offset `at`.
    ///
    /// # Errors
    ///
    /// Those of the system. Some of the bytes may have been written.
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        files::write(file, bytes, at)
    }

    /// Makes all writes to `file` survive a power cut.
    ///
    /// # Errors
    ///
    /// Those of the system. All writes since the last success may be lost.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// The calls of the operating system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemIo;

impl DiskIo for SystemIo {}
