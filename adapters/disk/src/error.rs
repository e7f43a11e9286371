use std::{io, path::PathBuf};

/// An error of opening a [`Disk`](super::Disk) store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskOpenError {
    /// The store is open already, in another process or in this one.
    #[error("{} is open already; close that store, or stop the process that has it open", path.display())]
    Locked {
        /// The store's directory.
        path: PathBuf,
    },
    /// The store was written by a later version of this library.
    #[error("{} has layout {layout}, which this version does not know; upgrade the server", path.display())]
    Unsupported {
        /// The store's directory.
        path: PathBuf,
        /// The layout that the directory declares.
        layout: String,
    },
    /// The directory or a file in it can't be created, read or written.
    #[error("{} can't be opened as a store; check that it is a directory that this process may write to, on a healthy disk with free space", path.display())]
    Io {
        /// The store's directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}
