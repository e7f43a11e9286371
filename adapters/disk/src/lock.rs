use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use fs4::FileExt;

use crate::error::DiskOpenError;

/// The lock of a store's directory, until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
    path: PathBuf,
}

impl DirectoryLock {
    /// Locks the directory.
    pub(crate) fn take(directory: &Path) -> Result<Self, DiskOpenError> {
        let failed = |source| DiskOpenError::Io {
            path: directory.to_owned(),
            source,
        };
        let path = directory.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Self { file, path }),
            Err(fs4::TryLockError::WouldBlock) => Err(DiskOpenError::Locked {
                path: directory.to_owned(),
            }),
            Err(fs4::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Checks that the locked file is still the one in the directory. Without it, another process can
    /// open the store, or the directory is gone with all files in it.
    pub(crate) fn check(&self) -> io::Result<()> {
        if is_same(&self.file, &self.path)? {
            return Ok(());
        }
        Err(io::Error::other(
            "the store's lock was removed or replaced while the store was open",
        ))
    }
}

#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let identity = |of: std::fs::Metadata| (of.dev(), of.ino());
    Ok(identity(file.metadata()?) == identity(std::fs::metadata(path)?))
}

/// A file that is open can't be removed on Windows.
#[cfg(not(unix))]
fn is_same(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}
