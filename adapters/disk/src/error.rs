use std::{io, path::PathBuf};

/// The error of [`Disk::open`](crate::Disk::open).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskOpenError {
    /// The store is open in another process, or in this one.
    #[error("{} is open already; close that store, or stop the process that has it", path.display())]
    Locked {
        /// The store's directory.
        path: PathBuf,
    },
    /// The store was written by a later version of this library.
    #[error("{} has layout {layout}, which this version does not know; upgrade the server", path.display())]
    Unsupported {
        /// The store's directory.
        path: PathBuf,
        /// The content of the store's file `layout`.
        layout: String,
    },
    /// The directory, or a file in it, can't be created, read or written.
    #[error("{} can't be opened as a store; check that it is a directory that this process may write to, on a disk that is well and has room", path.display())]
    Io {
        /// The store's directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}
