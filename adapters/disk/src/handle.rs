use std::{
    fmt, fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{oneshot, watch},
    task::spawn_blocking,
};

use unbroken::{
    BoxFuture,
    store::{
        StoreError,
        table::{SessionTable, StoreClock, TombstoneEntry},
    },
};

use crate::{
    compactor::Compactor,
    error::{DiskOpenError, DiskWriteError},
    health::{DiskHealth, HealthSender},
    layout::StoreLayout,
    live_bytes::{LiveBytes, TombstoneLocation},
    lock::DirectoryLock,
    options::DiskOptions,
    recover::RecoveredLog,
    segments::{FoundSegments, SegmentFiles, Segments},
    session::DiskTable,
    write_batch::WriteBatch,
    writer::{BatchAccess, DiskWriter, WriteJob},
};

/// A store in files of its own, in one directory of this host. Clones share one store.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), unbroken_disk::DiskOpenError> {
/// # let path = std::env::temp_dir().join(format!("unbroken-doc-{}", std::process::id()));
/// use unbroken::store::{Durability, Store};
/// use unbroken_disk::{Disk, DiskOptions};
///
/// let store = Disk::open(&path, DiskOptions::new()).await?;
/// assert_eq!(store.durability(), Durability::Host);
///
/// let second = Disk::open(&path, DiskOptions::new()).await;
/// assert!(second.is_err(), "one store at a time");
/// store.close().await;
/// # std::fs::remove_dir_all(path).unwrap();
/// # Ok(())
/// # }
/// ```
///
/// A session that was deleted or has expired leaves its id, its owner and the digest of its request, for
/// the time of its tombstone; [`max_tombstones`](field@DiskOptions::max_tombstones) bounds their number.
///
/// All sessions share files that only grow at the end, and all waiting writes share one fsync. The
/// directory takes at most about twice the live bytes, plus three files of
/// [`segment_bytes`](field@DiskOptions::segment_bytes) and a reserve of 256 KiB. Records are read from the disk; the memory of an
/// idle session does not depend on its records.
///
/// # Failures
///
/// * **A crash or a power cut.** Only the last batch can be incomplete, and it was not acknowledged.
///   It is dropped when the store is opened.
/// * **No room**: a full disk or quota, a limit of the size of files (a process that doesn't ignore SIGXFSZ is
///   ended by one of its own), no file descriptor, no memory. Writes return
///   [`StoreError::Unavailable`] and reads show the records that were stable before. The writes of
///   running sessions are repeated by their writers. Each write is tried; before the first that
///   follows, the store removes what the failed one left. After a failed fsync it also writes the end
///   of the log once more, since the system may have dropped it from memory without having written
///   it. Once a second the store removes files whose sessions have expired; a reserve of 256 KiB
///   lets it move what is still needed of them. [`health`](Self::health) is
///   [`Stalled`](DiskHealth::Stalled) until 256 KiB more fit on the disk.
/// * **Any other failed write or fsync** (a broken disk, one that became read-only, a lock file or a
///   directory that was removed). The store acknowledges nothing any more, and
///   [`health`](Self::health) is [`RestartNeeded`](DiskHealth::RestartNeeded). Close the store and open
///   it again, or end the process.
///
///   The source of the error of a write is a [`DiskWriteError`](crate::DiskWriteError) in both cases.
/// * **A corrupt file.** A read of a damaged record returns [`StoreError::Corrupt`]; records before and
///   after it can be read. Damage to the last records can't be told from a crash: the log is shorter,
///   and positions beyond its end get [`StoreError::Rewound`]. Damage to the description of a session,
///   which is stored before its records, loses the session. Where it has the request of a session whose
///   ending waits in the outbox, [`endings`](unbroken::store::Store::endings) leaves that ending out.
/// * **A change of the host's clock.** The clock is read only when the store is opened, and its time
///   counts only if it is later than the last time in the files. Expiry is off by as much as the clock
///   was, and nothing else changes.
#[derive(Clone)]
pub struct Disk {
    pub(crate) table: DiskTable,
    pub(crate) opened: Arc<SegmentFiles>,
    path: Arc<Path>,
    jobs: Arc<JobSender>,
    health: watch::Receiver<DiskHealth>,
}

/// The sender of jobs to the writer thread.
#[derive(Debug)]
struct JobSender {
    // `None` once the store is closed.
    jobs: Mutex<Option<mpsc::Sender<WriteJob>>>,
    closed: watch::Receiver<()>,
}

impl Disk {
    /// Opens the store in this directory for this process alone, and creates the directory if
    /// necessary.
    ///
    /// It reads every file in the directory. No session has a lease afterwards, so sessions that were
    /// running when the store was last open can be claimed at once. An ending that was not delivered can be
    /// taken at once too, under the next number of its delivery. Cancel safe: if the future is dropped, the
    /// store closes again.
    ///
    /// # Errors
    ///
    /// [`DiskOpenError::Locked`] if the store is open elsewhere, [`DiskOpenError::Unsupported`],
    /// [`DiskOpenError::Io`].
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn open(path: impl AsRef<Path>, options: DiskOptions) -> Result<Self, DiskOpenError> {
        let path = path.as_ref().to_owned();
        let open = spawn_blocking(move || Self::open_now(&path, &options.clamped()));
        open.await.expect("nothing panics while a store is opened")
    }

    /// Closes the store for all its handles, and returns once it may be opened again.
    ///
    /// Earlier writes are completed first; later ones return [`StoreError::Unavailable`]. A store whose
    /// last handle is dropped closes by itself soon after. Cancel safe.
    pub async fn close(&self) {
        drop(self.jobs.lock().take());
        let mut closed = self.jobs.closed.clone();
        // No value is ever sent: the channel closes when the thread ends.
        while closed.changed().await.is_ok() {}
    }

    /// Returns the clock that decides the expiry of sessions. It shows the host's wall-clock time at the
    /// opening of the store, and follows the monotonic clock from then on.
    pub fn clock(&self) -> &StoreClock {
        self.table.clock()
    }

    /// Returns the state of the store's writes.
    ///
    /// It changes with the first write that fails, and with the first that succeeds again.
    pub fn health(&self) -> DiskHealth {
        self.health.borrow().clone()
    }

    /// Returns a watch over [`health`](Self::health), whose sender is dropped when the store is closed.
    ///
    /// ```no_run
    /// # async fn serve() {}
    /// # async fn run(store: unbroken_disk::Disk) {
    /// let mut health = store.watch_health();
    /// tokio::select! {
    ///     () = serve() => {}
    ///     // A supervisor starts the process again, and the store is opened again.
    ///     Ok(broken) = health.wait_for(|health| health.needs_restart()) => {
    ///         eprintln!("{}", *broken);
    ///         std::process::exit(1);
    ///     }
    /// }
    /// # }
    /// ```
    pub fn watch_health(&self) -> watch::Receiver<DiskHealth> {
        self.health.clone()
    }

    /// Returns the store's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_now(path: &Path, options: &DiskOptions) -> Result<Self, DiskOpenError> {
        let failed = |source| DiskOpenError::Io {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = DirectoryLock::take(path)?;
        let layout = StoreLayout::read_or_create(path)?;
        let salt = layout.salt();
        let found = RecoveredLog::read(path, salt).map_err(failed)?;
        layout.upgrade(path).map_err(failed)?;
        let mut segments = Segments::resume(
            lock,
            path,
            options.io.clone(),
            options.segment_bytes,
            salt,
            FoundSegments {
                sizes: found.sizes.clone(),
                end: found.end,
            },
        )
        .map_err(failed)?;
        let (health, watched) = HealthSender::new();
        match segments.hold_reserve().map_err(DiskWriteError::of) {
            Err(error @ DiskWriteError::Stalled(_)) => health.failed(&error),
            Err(DiskWriteError::RestartNeeded(error)) => {
                return Err(failed(io::Error::new(error.kind(), error)));
            }
            Ok(()) => {}
        }
        let wall = options.wall_clock.unwrap_or_else(SystemTime::now);
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let table = SessionTable::new(StoreClock::at(wall.max(found.time)));
        table.index().set_max_tombstones(options.max_tombstones);
        let live_bytes = LiveBytes::default();
        insert_recovered(&table, found, &live_bytes);
        let opened = segments.opened.clone();
        let writer = DiskWriter {
            table: table.clone(),
            segments,
            max_append_bytes: options.max_append_bytes,
            compactor: Compactor::new(live_bytes, options.segment_bytes.into()),
            now: table.now(),
            health,
        };
        let (jobs, todo) = mpsc::channel();
        let (closing, closed) = watch::channel(());
        thread::Builder::new()
            .name("unbroken-disk".to_owned())
            .spawn(move || {
                // The writer holds the lock.
                writer.run(&todo);
                drop(closing);
            })
            .map_err(failed)?;
        Ok(Self {
            table,
            opened,
            path: path.into(),
            jobs: Arc::new(JobSender {
                jobs: Mutex::new(Some(jobs)),
                closed,
            }),
            health: watched,
        })
    }

    /// Runs an operation on the writer thread, and waits until it is stable.
    pub(crate) fn write<T>(
        &self,
        run: impl FnOnce(&mut WriteBatch) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
    {
        Box::pin(async move {
            let (reply, result) = oneshot::channel();
            let job = WriteJob {
                now: self.table.now(),
                run: Box::new(move |access| match access {
                    BatchAccess::Open(batch) => {
                        let result = run(batch);
                        Some(Box::new(move |error: Option<&StoreError>| {
                            let _ = reply.send(error.map_or(result, |error| Err(error.clone())));
                        }))
                    }
                    BatchAccess::Lost(error) => {
                        let _ = reply.send(Err(error));
                        None
                    }
                }),
            };
            self.jobs.send(job)?;
            let closed = |_| StoreError::unavailable(true, StoreClosed);
            result.await.map_err(closed)?
        })
    }
}

impl JobSender {
    fn lock(&self) -> MutexGuard<'_, Option<mpsc::Sender<WriteJob>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, job: WriteJob) -> Result<(), StoreError> {
        let sent = self.lock().as_ref().map(|jobs| jobs.send(job).is_ok());
        match sent {
            Some(true) => Ok(()),
            Some(false) | None => Err(StoreError::unavailable(false, StoreClosed)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store is closed; open it again")]
struct StoreClosed;

/// Adds the recovered sessions and tombstones to the table, unless they are over.
fn insert_recovered(table: &DiskTable, found: RecoveredLog, live_bytes: &LiveBytes) {
    let now = table.now();
    let mut index = table.index();
    index.raise_last_number(found.last_number);
    for (number, (id, session)) in found.sessions {
        let presence = session.machine.check_present(now);
        if !matches!(presence, Err(StoreError::NotFound)) {
            live_bytes.update(0, session.live_bytes());
            index.insert_numbered(number, &id, session);
        }
    }
    for (number, (left, location)) in found.tombstones {
        if left.until > now {
            index.insert_tombstone(TombstoneEntry {
                id: left.id,
                number,
                tombstone: left.tombstone,
                until: left.until,
                data: TombstoneLocation::new(location, live_bytes),
            });
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("path", &self.path)
            .field("sessions", &self.table.index().len())
            .field("health", &*self.health.borrow())
            .finish_non_exhaustive()
    }
}
