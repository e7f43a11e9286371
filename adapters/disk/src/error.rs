use std::{io, path::PathBuf, sync::Arc};

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
    /// The store was written by a later version of this library, or its file `layout` is damaged.
    #[error("{} has the layout `{layout}`, which this version does not know; upgrade the server, or give it another directory", path.display())]
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

/// The source of a [`StoreError::Unavailable`](unbroken::store::StoreError::Unavailable) of a write that
/// the disk did not take.
///
/// ```
/// use std::sync::Arc;
/// use unbroken::store::StoreError;
/// use unbroken_disk::DiskWriteError;
///
/// fn is_lasting(error: &StoreError) -> bool {
///     let StoreError::Unavailable { source, .. } = error else {
///         return false;
///     };
///     matches!(source.downcast_ref(), Some(DiskWriteError::RestartNeeded(_)))
/// }
/// # let full = Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
/// # assert!(!is_lasting(&StoreError::unavailable(true, DiskWriteError::Stalled(full))));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DiskWriteError {
    /// The disk, a quota, the size that a file may have, the file descriptors or the memory are used up. The store
    /// goes on by itself.
    #[error("the store has no room to write; free space on its disk and it goes on by itself")]
    Stalled(#[source] Arc<io::Error>),
    /// The disk failed in another way. The store writes nothing until it is opened again.
    #[error(
        "the store can't write any more; restart needed: check the disk and restart the process"
    )]
    RestartNeeded(#[source] Arc<io::Error>),
}

impl DiskWriteError {
    /// Classifies an error of the operating system.
    pub(crate) fn of(error: io::Error) -> Self {
        let error = Arc::new(error);
        if is_lack_of_room(&error) {
            Self::Stalled(error)
        } else {
            Self::RestartNeeded(error)
        }
    }
}

/// Returns true if the call may succeed later without a repair or a restart.
fn is_lack_of_room(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let of_descriptors = cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE));
    of_descriptors
        || matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge
                | io::ErrorKind::OutOfMemory
                | io::ErrorKind::Interrupted
        )
}
