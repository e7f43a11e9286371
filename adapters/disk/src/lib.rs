//! [`unbroken`] on a local disk: a store that keeps logs in files, on one host, for one process at a
//! time.
//!
//! ```no_run
//! use unbroken::session::Sessions;
//! use unbroken_disk::{Disk, DiskOptions};
//!
//! # async fn run() -> Result<(), unbroken_disk::DiskOpenError> {
//! let store = Disk::open("unbroken-sessions", DiskOptions::default()).await?;
//! let sessions = Sessions::builder(store).build();
//! # drop(sessions);
//! # Ok(())
//! # }
//! ```
//!
//! # Files
//!
//! All sessions share append-only files, which one thread writes. Writes that come while it is busy
//! wait, and are then written as one batch and made stable by one fsync, however many sessions they
//! belong to. Nothing is acknowledged or visible before that. A batch is a header and frames. Each
//! frame has a CRC-32C over its content: the number of the session, LSNs, epoch and bytes. The state of
//! each session and the locations of its records are kept in memory. Records are read from the disk,
//! outside the worker threads of the runtime.
//!
//! A session that is sealed, or has many small frames, is written again as one run. Space is freed by
//! whole files, from the oldest on: while more bytes are dead than live, the live frames of the oldest
//! file are written again at the end. The directory takes at most about twice the live bytes and three
//! files.
//!
//! One process has the store open, so the writers of the previous process are gone: all leases are
//! free when it is opened.
//!
//! # Why no engine
//!
//! The store uses no database engine. Engines index each record for a lookup that a log doesn't need,
//! and some refuse the whole database for one flipped bit. `docs/disk-engines.md` of the repository has
//! the measurements.

mod batch_header;
mod compactor;
mod error;
mod files;
mod frame;
mod handle;
mod io;
mod options;
mod pending;
mod read;
mod recover;
mod segments;
mod session;
mod store;
mod write_batch;
mod writer;

pub use self::{
    error::DiskOpenError,
    handle::Disk,
    io::{DiskIo, SystemIo},
    options::DiskOptions,
};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
