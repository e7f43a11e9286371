use std::{fmt, fs::File, io};

use super::files;

/// The calls by which a [`Disk`](super::Disk) store changes its log files.
///
/// The store makes them from its one writer thread, and takes any error for the loss of the disk: see
/// [`Disk`](super::Disk). An implementation of its own can meter, throttle, encrypt, or fail on
/// purpose. Files are opened, read and removed without it.
pub trait DiskIo: fmt::Debug + Send + Sync + 'static {
    /// Writes all of `bytes` into `file`, from the offset `at` on.
    ///
    /// # Errors
    ///
    /// Those of the system. Some of the bytes may be in the file then.
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        files::write(file, bytes, at)
    }

    /// Makes what was written to `file` survive a power cut.
    ///
    /// # Errors
    ///
    /// Those of the system. What was written since the last success may be lost then.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// The system's own calls.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemIo;

impl DiskIo for SystemIo {}
