//! A store for [`unbroken`] in files of its own, on one host, for one process at a time.
//!
//! ```no_run
//! # async fn open() -> Result<(), unbroken_disk::DiskOpenError> {
//! use unbroken::session::Sessions;
//! use unbroken_disk::{Disk, DiskOptions};
//!
//! let store = Disk::open("/var/lib/my-app/sessions", DiskOptions::new()).await?;
//! let sessions = Sessions::builder(store).build();
//! # Ok(())
//! # }
//! ```
//!
//! Acknowledged records survive the end of the process and a power cut. [`Disk`] describes the failures
//! that the store handles. A store is open in one process at a time; when it is opened, all leases are
//! free, since their owners are gone.
//!
//! # Files
//!
//! All sessions share log files that only grow at the end. One thread writes them. Operations that
//! arrive while it writes are collected, written as one batch and made stable by one fsync, for any
//! number of sessions. Only then are they acknowledged and visible to readers. A batch is a header and
//! frames; each frame has a CRC-32C over its content: the session, the LSNs, the epoch and the records.
//! The state of each session, and the locations of its records, are kept in memory. Records are read
//! from the disk, off the runtime's workers.
//!
//! A session that was deleted or swept is replaced by a frame with its tombstone, which needs no other.
//! While the ending of a deleted session waits in the outbox, it is replaced by a frame with its state, in
//! which the ending is.
//! A session that has ended, or has many small extents, is written once more in one place. Space is
//! given back by whole files, from the oldest on: while more bytes are dead than live, the frames of the
//! oldest file that are still needed are written again at the end. The directory takes at most about
//! twice the live bytes, plus three files. A file `reserve` of 256 KiB keeps room for that work on a full
//! disk.
//!
//! The file `layout` has the number of the layout of all files. A directory with a number that this version
//! doesn't know is refused. One with an earlier number is read, and written in the latest layout from then on.
//!
//! # Figures
//!
//! The page `docs/disk-engines.md` in the repository compares this store with database engines, and says
//! why it is built on none. `benches/disk` is the program that measures it.

mod batch_header;
mod burial;
mod compactor;
mod error;
mod files;
mod frame;
mod handle;
mod health;
mod io;
mod layout;
#[cfg(test)]
mod layout_fixture;
mod live_bytes;
mod location;
mod lock;
mod options;
mod outbox;
mod pending;
mod read;
mod recover;
mod reserve;
mod segments;
mod session;
mod store;
mod write_batch;
mod writer;

pub use self::{
    error::{DiskOpenError, DiskWriteError},
    handle::Disk,
    health::DiskHealth,
    io::{DiskIo, SystemIo},
    options::DiskOptions,
};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
