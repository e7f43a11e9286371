//! File calls that fail, or do nothing, at a test's command.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use unbroken_disk::{DiskIo, SystemIo};

/// Faulty file calls. Clones share their faults.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyIo(Arc<Switches>);

#[derive(Debug, Default)]
struct Switches {
    fault: Mutex<Option<Fault>>,
    failed: AtomicUsize,
    calls: Mutex<Vec<(IoCall, u64)>>,
    // The longest write that fits; 0 for all.
    longest: AtomicUsize,
    // The bytes that a file may have; 0 for all.
    largest_file: AtomicUsize,
    skip: AtomicBool,
}

/// A call of `DiskIo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IoCall {
    Create,
    SetLen,
    Write,
    Sync,
    SyncDirectory,
    Remove,
}

pub(crate) const CALLS: [IoCall; 6] = [
    IoCall::Create,
    IoCall::SetLen,
    IoCall::Write,
    IoCall::Sync,
    IoCall::SyncDirectory,
    IoCall::Remove,
];

/// Errors of a call.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: IoCall,
    /// The number of calls that fail.
    count: usize,
    error: FaultError,
}

#[derive(Debug, Clone, Copy)]
enum FaultError {
    Os(i32),
    Other,
}

impl FaultError {
    fn error(self) -> io::Error {
        match self {
            Self::Os(errno) => io::Error::from_raw_os_error(errno),
            Self::Other => io::Error::other("the test fails this call"),
        }
    }
}

impl FaultyIo {
    /// Makes the next `count` writes fail.
    pub(crate) fn fail_writes(&self, count: usize) {
        self.set(IoCall::Write, count, FaultError::Other);
    }

    /// Makes the next `count` fsyncs fail.
    pub(crate) fn fail_syncs(&self, count: usize) {
        self.set(IoCall::Sync, count, FaultError::Other);
    }

    /// Makes the next `count` calls fail with an error of the system. A write fails in its middle; an
    /// fsync makes nothing stable, and what was written since the last one stays visible.
    pub(crate) fn fail(&self, call: IoCall, count: usize, errno: i32) {
        self.set(call, count, FaultError::Os(errno));
    }

    fn set(&self, call: IoCall, count: usize, error: FaultError) {
        *self.0.fault.lock().unwrap() = Some(Fault { call, count, error });
    }

    /// Leaves room for writes of so many bytes, and none for longer ones.
    pub(crate) fn leave_room_for(&self, bytes: usize) {
        self.0.longest.store(bytes, SeqCst);
    }

    /// Lets no file have more than so many bytes.
    pub(crate) fn limit_files_to(&self, bytes: usize) {
        self.0.largest_file.store(bytes, SeqCst);
    }

    /// Makes all calls work again.
    pub(crate) fn heal(&self) {
        *self.0.fault.lock().unwrap() = None;
        self.leave_room_for(0);
    }

    /// Returns the number of calls that failed.
    pub(crate) fn failed(&self) -> usize {
        self.0.failed.load(SeqCst)
    }

    /// Returns all calls, with the offset or the length.
    pub(crate) fn calls(&self) -> Vec<(IoCall, u64)> {
        self.0.calls.lock().unwrap().clone()
    }

    /// Makes writes and fsyncs succeed without effect, as on a disk that loses its cache at a power
    /// cut, or makes them work again.
    pub(crate) fn skip(&self, skip: bool) {
        self.0.skip.store(skip, SeqCst);
    }

    /// Counts a call, and returns its error if it is to fail.
    fn check(&self, call: IoCall, at: u64) -> io::Result<()> {
        self.0.calls.lock().unwrap().push((call, at));
        let mut fault = self.0.fault.lock().unwrap();
        match &mut *fault {
            Some(fault) if fault.call == call && fault.count > 0 => {
                fault.count -= 1;
                self.0.failed.fetch_add(1, SeqCst);
                Err(fault.error.error())
            }
            _ => Ok(()),
        }
    }
}

impl DiskIo for FaultyIo {
    fn create(&self, path: &Path) -> io::Result<File> {
        let created = SystemIo::default().create(path);
        self.check(IoCall::Create, 0)?;
        created
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.check(IoCall::SetLen, len)?;
        SystemIo::default().set_len(file, len)
    }

    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let longest = self.0.longest.load(SeqCst);
        if longest > 0 && bytes.len() > longest {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let largest = self.0.largest_file.load(SeqCst);
        if largest > 0 && at + bytes.len() as u64 > largest as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if let Err(error) = self.check(IoCall::Write, at) {
            SystemIo::default().write(file, &bytes[..bytes.len() / 2], at)?;
            return Err(error);
        }
        if self.0.skip.load(SeqCst) {
            return Ok(());
        }
        SystemIo::default().write(file, bytes, at)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.check(IoCall::Sync, 0)?;
        if self.0.skip.load(SeqCst) {
            return Ok(());
        }
        SystemIo::default().sync(file)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.check(IoCall::SyncDirectory, 0)?;
        SystemIo::default().sync_directory(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(IoCall::Remove, 0)?;
        SystemIo::default().remove(path)
    }
}
