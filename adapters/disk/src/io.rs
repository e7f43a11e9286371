use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use crate::files;

/// The calls with which a [`Disk`](crate::Disk) store changes its log files.
///
/// The store makes them from its one writer thread, and while it is opened. [`Disk`](crate::Disk) says
/// what follows from an error. An implementation can measure, throttle, or fail on purpose. Files are
/// read without it.
pub trait DiskIo: fmt::Debug + Send + Sync + 'static {
    /// Creates a file, or empties the one that a failed call left, and opens it to be read and
    /// written.
    ///
    /// # Errors
    ///
    /// Those of the system. The file may have been created.
    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        options.open(path)
    }

    /// Sets the length of `file`. A longer file gets a hole.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    /// Writes all of `bytes` to `file` at the offset `at`.
    ///
    /// # Errors
    ///
    /// Those of the system. Some of the bytes may have been written.
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        files::write(file, bytes, at)
    }

    /// Makes all writes to `file`, and its length, survive a power cut.
    ///
    /// # Errors
    ///
    /// Those of the system. All writes since the last success may be lost.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Makes the names in a directory survive a power cut.
    ///
    /// # Errors
    ///
    /// Those of the system. Files that were created or removed since the last success may be absent or
    /// present.
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        files::sync_directory(path)
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// Those of the system. The file may have been removed.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The calls of the operating system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemIo;

impl DiskIo for SystemIo {}
