//! File calls that fail, or do nothing, at a test's command.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use unbroken_disk::{DiskIo, SystemIo};

/// Faulty file calls. Clones share their faults.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyIo(Arc<Switches>);

#[derive(Debug, Default)]
struct Switches {
    writes: AtomicUsize,
    syncs: AtomicUsize,
    skip: AtomicBool,
}

impl FaultyIo {
    /// Makes the next `count` writes fail.
    pub(crate) fn fail_writes(&self, count: usize) {
        self.0.writes.store(count, SeqCst);
    }

    /// Makes the next `count` fsyncs fail.
    pub(crate) fn fail_syncs(&self, count: usize) {
        self.0.syncs.store(count, SeqCst);
    }

    /// Makes writes and fsyncs succeed without effect, as on a disk that loses its cache at a power
    /// cut, or makes them work again.
    pub(crate) fn skip(&self, skip: bool) {
        self.0.skip.store(skip, SeqCst);
    }

    fn run(&self, failures: &AtomicUsize, call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let decrement = |left: usize| left.checked_sub(1);
        if failures.fetch_update(SeqCst, SeqCst, decrement).is_ok() {
            return Err(io::Error::other("the test fails this call"));
        }
        if self.0.skip.load(SeqCst) {
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
