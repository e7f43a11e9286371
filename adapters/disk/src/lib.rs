//! The store that keeps logs in files of its own, on one host, for one process at a time.
//!
//! # What is on the disk
//!
//! Files that only grow at the end, one after the other, shared by all sessions. One thread writes
//! them. What is asked for while it is busy waits, and is then written as one batch and made stable
//! by one fsync, however many sessions it belongs to; only after that is any of it acknowledged or
//! shown. A batch is a head and frames, each with a CRC-32C over all that it says: whose it is, its
//! LSNs, its epoch, its bytes. Where each session stands, and where in the files its records lie, is
//! kept in memory; records are read from the disk, off the runtime's workers.
//!
//! A session that has ended, or has grown many small pieces, is written once more in one place.
//! Space is given back by whole files, from the oldest on: while more is dead than alive, what is
//! needed of the oldest is written again at the end. The directory takes at most about twice what is
//! alive and three files.
//!
//! A store opens for one process, so whoever had a session before is gone: all leases are free.
//!
//! # Why no engine
//!
//! Three were measured, in a bare loop that adds one record and the new state of each session and
//! syncs, and this store as a whole, with a task for each session that awaits its acknowledgement;
//! two cores that others used too, ext4, an fsync of 0.1 ms, the better of two runs. Appends per
//! second, records of 60 bytes and of 1 KiB:
//!
//! | | one session | 1,000 sessions |
//! |---|---|---|
//! | fjall 3.1.13 | 10,000; 7,800 | 290,000; 159,000 |
//! | redb 3 | 4,700; 4,100 | 93,000; 46,000 |
//! | `rusqlite` 0.37, WAL | 8,900; 6,700 | 60,000; 9,800 |
//! | one file, bare loop, no state | 10,900; 9,800 | 5,600,000; 1,700,000 |
//! | this store | 6,400; 6,200 | 164,000; 129,000 |
//!
//! fjall is fast enough and kept well (last release in October 2026, some 475,000 downloads in 90
//! days). But of 103 bits flipped one at a time in its last batch, 76 made the whole database refuse
//! to open; here that batch is dropped, or one session answers `Corrupt`. It needs Rust 1.90, and
//! all of its 3.x versions before 3.1.6 of July 2026 are withdrawn. redb aborted the process with a
//! stack overflow on a flipped bit. `rusqlite` can't take 2,000 sessions of 20 records of 1 KiB a
//! second, and brings C. All of them index each record for a lookup that a log doesn't need.
//! `benches/disk` has the program that measures this store.
//!
//! An idle session costs 1.3 KB of memory, whatever it holds; a store with 50,000 sessions in
//! 370 MB opens in half a second.

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
