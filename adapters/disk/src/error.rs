use std::{io, path::PathBuf};

/// Why a [`Disk`](super::Disk) store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskOpenError {
    /// Somebody has it open: another process, or this one.
    #[error("{} is open already; close that store, or stop the process that has it", path.display())]
    Locked {
        /// The store's directory.
        path: PathBuf,
    },
    /// It was written by a later version of this library.
    #[error("{} has layout {layout}, which this version does not know; upgrade the server", path.display())]
    Unsupported {
        /// The store's directory.
        path: PathBuf,
        /// What it says of itself.
        layout: String,
    },
    /// The directory or a file in it can't be made, read or written.
    #[error("{} can't be opened as a store; check that it is a directory that this process may write to, on a disk that is well and has room", path.display())]
    Io {
        /// The store's directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
