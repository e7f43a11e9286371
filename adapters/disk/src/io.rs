use std::{fmt, fs::File, io};

use super::files;

/// The calls with which a [`Disk`](super::Disk) store writes its log files.
///
/// The store makes the calls on its one writer thread. After any error it writes nothing more: see
/// [`Disk`](super::Disk). An implementation can meter, throttle or encrypt the writes, or make them fail
/// in a test. Files are opened, read and removed without it.
pub trait DiskIo: fmt::Debug + Send + Sync + 'static {
    /// Writes all of `bytes` into `file`, starting at the offset `at`.
    ///
    /// # Errors
    ///
    /// Returns the error of the system. Some of the bytes may have been written.
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        files::write(file, bytes, at)
    }

    /// Syncs `file`, so that its content survives a power cut.
    ///
    /// # Errors
    ///
    /// Returns the error of the system. Bytes that were written since the last success may be lost.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// The calls of the operating system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemIo;

impl DiskIo for SystemIo {}
