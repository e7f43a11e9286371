//! The seam between the store and its disk.

use std::{fs::File, io};

use super::files;

/// What goes wrong with the disk: nothing, unless a test says so.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    #[cfg(feature = "testing")]
    told: DiskFaults,
}

#[cfg_attr(
    not(feature = "testing"),
    expect(clippy::unused_self, reason = "the same shape as with the feature")
)]
impl Faults {
    #[cfg(feature = "testing")]
    pub(super) fn by(told: DiskFaults) -> Self {
        Self { told }
    }

    pub(super) fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        #[cfg(feature = "testing")]
        match self.told.take(&self.told.0.writes)? {
            Told::Lie => return Ok(()),
            Told::Nothing => {}
        }
        files::write(file, bytes, at)
    }

    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        #[cfg(feature = "testing")]
        match self.told.take(&self.told.0.syncs)? {
            Told::Lie => return Ok(()),
            Told::Nothing => {}
        }
        file.sync_data()
    }
}

#[cfg(feature = "testing")]
pub use self::told::DiskFaults;
#[cfg(feature = "testing")]
use self::told::Told;

#[cfg(feature = "testing")]
mod told {
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        },
    };

    /// What a test tells the disk under a [`Disk`](crate::store::Disk) store to do. Clones are the
    /// same disk.
    #[derive(Debug, Clone, Default)]
    pub struct DiskFaults(pub(super) Arc<Switches>);

    #[derive(Debug, Default)]
    pub(super) struct Switches {
        pub(super) writes: AtomicUsize,
        pub(super) syncs: AtomicUsize,
        lies: AtomicBool,
    }

    pub(super) enum Told {
        Nothing,
        Lie,
    }

    impl DiskFaults {
        /// The next so many writes fail.
        pub fn fail_writes(&self, count: usize) {
            self.0.writes.store(count, SeqCst);
        }

        /// The next so many fsyncs fail.
        pub fn fail_syncs(&self, count: usize) {
            self.0.syncs.store(count, SeqCst);
        }

        /// From now on writes and fsyncs succeed and do nothing: a disk that lies, and loses what
        /// it was given when the power goes. Or it is honest again.
        pub fn lie(&self, lie: bool) {
            self.0.lies.store(lie, SeqCst);
        }

        pub(super) fn take(&self, left: &AtomicUsize) -> io::Result<Told> {
            let less = |left: usize| left.checked_sub(1);
            if left.fetch_update(SeqCst, SeqCst, less).is_ok() {
                return Err(io::Error::other("a test wants the disk to fail"));
            }
            Ok(if self.0.lies.load(SeqCst) {
                Told::Lie
            } else {
                Told::Nothing
            })
        }
    }
}
