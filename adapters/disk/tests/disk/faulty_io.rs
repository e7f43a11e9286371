//! A disk that fails or lies when a test says so.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use unbroken_disk::{DiskIo, SystemIo};

/// Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyIo(Arc<Switches>);

#[derive(Debug, Default)]
struct Switches {
    writes: AtomicUsize,
    syncs: AtomicUsize,
    lies: AtomicBool,
}

impl FaultyIo {
    /// The next so many writes fail.
    pub(crate) fn fail_writes(&self, count: usize) {
        self.0.writes.store(count, SeqCst);
    }

    /// The next so many fsyncs fail.
    pub(crate) fn fail_syncs(&self, count: usize) {
        self.0.syncs.store(count, SeqCst);
    }

    /// From now on writes and fsyncs succeed and do nothing, as on a disk that loses its cache when
    /// the power goes; or they work again.
    pub(crate) fn lie(&self, lie: bool) {
        self.0.lies.store(lie, SeqCst);
    }

    fn run(&self, failures: &AtomicUsize, call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let less = |left: usize| left.checked_sub(1);
        if failures.fetch_update(SeqCst, SeqCst, less).is_ok() {
            return Err(io::Error::other("the test fails this call"));
        }
        if self.0.lies.load(SeqCst) {
            return Ok(());
        }
        call()
    }
}

impl DiskIo for FaultyIo {
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        self.run(&self.0.writes, || {
            SystemIo::default().write(file, bytes, at)
        })
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.run(&self.0.syncs, || SystemIo::default().sync(file))
    }
}
