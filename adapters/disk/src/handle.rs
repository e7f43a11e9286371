use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use fs4::FileExt;
use tokio::{
    sync::{oneshot, watch},
    task::spawn_blocking,
};

use super::{
    DiskOpenError, DiskOptions,
    compactor::{Compactor, LiveBytes},
    files,
    recover::RecoveredLog,
    segments::{SegmentFiles, Segments},
    session::DiskSession,
    write_batch::WriteBatch,
    writer::{BatchAccess, DiskWriter, WriteJob},
};
use unbroken::store::{
    BoxFuture, StoreError,
    table::{SessionTable, StoreClock},
};

/// A store that keeps sessions in files of one directory. Clones share the sessions.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), unbroken_disk::DiskOpenError> {
/// # let path = std::env::temp_dir().join(format!("unbroken-doc-{}", std::process::id()));
/// use unbroken::store::{Durability, Store};
/// use unbroken_disk::{Disk, DiskOptions};
///
/// let store = Disk::open(&path, DiskOptions::default()).await?;
/// assert_eq!(store.durability(), Durability::Host);
///
/// let second = Disk::open(&path, DiskOptions::default()).await;
/// assert!(second.is_err(), "one store at a time");
/// store.close().await;
/// # std::fs::remove_dir_all(path).unwrap();
/// # Ok(())
/// # }
/// ```
///
/// All sessions share append-only files, and all writes that wait share one fsync. The directory takes
/// at most about twice the live bytes and three files of
/// [`segment_bytes`](field@DiskOptions::segment_bytes). Records are read from the disk. The memory of
/// an idle session does not depend on the size of its log.
///
/// # Failures
///
/// * **A crash or a power cut.** Only the last batch can be incomplete, and it was not acknowledged. It
///   is dropped when the store is opened.
/// * **A failed write or fsync.** The content of the disk is unknown from then on, so the store
///   acknowledges nothing more: every write fails with [`StoreError::Unavailable`] and
///   `maybe_applied`, and reads return what was stable before, until the store is closed and opened
///   again. A full disk is such a failure.
/// * **Corruption of a file.** A record that can't be read fails with [`StoreError::Corrupt`]; the
///   records around it stay readable. Corruption of the last records can't be distinguished from a
///   crash: the log is shorter, and positions beyond its end are [`StoreError::Rewound`]. Corruption of
///   the metadata of a session loses the session.
/// * **A change of the host's clock.** The clock is read only when the store is opened, and never
///   taken to be before the last time that was written. Expiry is wrong by as much as the clock.
#[derive(Clone)]
pub struct Disk {
    pub(crate) table: SessionTable<DiskSession>,
    pub(crate) opened: Arc<SegmentFiles>,
    path: Arc<Path>,
    jobs: Arc<JobSender>,
}

/// The sender of jobs to the writer thread.
#[derive(Debug)]
struct JobSender {
    // `None` once the store is closed.
    jobs: Mutex<Option<mpsc::Sender<WriteJob>>>,
    closed: watch::Receiver<()>,
}

impl Disk {
    /// Opens the store in a directory, for this process alone. Creates the directory if it is absent.
    ///
    /// Reads every file in the directory. The leases of sessions that were running when the store was
    /// last open are free: they can be claimed at once. Cancel safe: if the future is dropped, the
    /// store is closed again.
    ///
    /// # Errors
    ///
    /// * [`DiskOpenError::Locked`] if the store is open already.
    /// * [`DiskOpenError::Unsupported`] if a later version wrote it.
    /// * [`DiskOpenError::Io`] if the directory or a file can't be created, read or written.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn open(path: impl AsRef<Path>, options: DiskOptions) -> Result<Self, DiskOpenError> {
        let path = path.as_ref().to_owned();
        let open = spawn_blocking(move || Self::open_now(&path, &options.clamped()));
        open.await.expect("nothing panics while a store is opened")
    }

    /// Closes the store for all its handles, and returns when it may be opened again.
    ///
    /// Earlier calls are completed first; later ones fail with [`StoreError::Unavailable`]. A store
    /// whose last handle is dropped closes too, a moment later. Cancel safe.
    pub async fn close(&self) {
        drop(self.jobs.lock().take());
        let mut closed = self.jobs.closed.clone();
        // No value is sent: the channel closes when the thread ends.
        while closed.changed().await.is_ok() {}
    }

    /// Returns the clock of the store: that of the host when the store was opened, and from then on the
    /// monotonic one.
    pub fn clock(&self) -> &StoreClock {
        self.table.clock()
    }

    /// Returns the directory of the store.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_now(path: &Path, options: &DiskOptions) -> Result<Self, DiskOpenError> {
        let failed = |source| DiskOpenError::Io {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = lock(path)?;
        let salt = layout(path)?;
        let recovered = RecoveredLog::read(path, salt).map_err(failed)?;
        let segments = Segments::resume(
            path,
            options.io.clone(),
            options.segment_bytes,
            salt,
            recovered.sizes.clone(),
            recovered.end,
        )
        .map_err(failed)?;
        let wall = options.wall_clock.unwrap_or_else(SystemTime::now);
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let table = SessionTable::new(StoreClock::at(wall.max(recovered.time)));
        let live_bytes = LiveBytes::default();
        insert_recovered(&table, recovered, &live_bytes);
        let opened = segments.opened.clone();
        let writer = DiskWriter {
            table: table.clone(),
            segments,
            max_append: options.max_append_bytes,
            compactor: Compactor::new(live_bytes, options.segment_bytes.into()),
            now: table.now(),
            lost: None,
        };
        let (jobs, todo) = mpsc::channel();
        let (closing, closed) = watch::channel(());
        thread::Builder::new()
            .name("unbroken-disk".to_owned())
            .spawn(move || {
                writer.run(&todo);
                drop(lock);
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
        })
    }

    /// Runs a function on the writer thread, and waits until its changes are stable.
    pub(crate) fn write<T>(
        &self,
        run: impl FnOnce(&mut WriteBatch) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
    {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let job = WriteJob {
                now: self.table.now(),
                run: Box::new(move |access| match access {
                    BatchAccess::Open(batch) => {
                        let done = run(batch);
                        Some(Box::new(move |error: Option<&StoreError>| {
                            let _ = reply.send(error.map_or(done, |error| Err(error.clone())));
                        }))
                    }
                    BatchAccess::Lost(error) => {
                        let _ = reply.send(Err(error.clone()));
                        None
                    }
                }),
            };
            self.jobs.send(job)?;
            let closed = |_| StoreError::unavailable(true, StoreClosed);
            answer.await.map_err(closed)?
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

/// Locks the directory, until the file is dropped or the process ends.
fn lock(path: &Path) -> Result<File, DiskOpenError> {
    let failed = |source| DiskOpenError::Io {
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("lock"))
        .map_err(failed)?;
    match FileExt::try_lock(&file) {
        Ok(()) => Ok(file),
        Err(fs4::TryLockError::WouldBlock) => Err(DiskOpenError::Locked {
            path: path.to_owned(),
        }),
        Err(fs4::TryLockError::Error(error)) => Err(failed(error)),
    }
}

const LAYOUT: &str = "unbroken 1";

/// Reads the salt of the store; writes one if the store is new.
fn layout(path: &Path) -> Result<u64, DiskOpenError> {
    let failed = |source| DiskOpenError::Io {
        path: path.to_owned(),
        source,
    };
    let file = path.join("layout");
    match fs::read_to_string(&file) {
        Ok(text) => {
            let text = text.trim_end();
            let salt = text
                .strip_prefix(LAYOUT)
                .and_then(|rest| rest.strip_prefix(' '));
            salt.and_then(|salt| u64::from_str_radix(salt, 16).ok())
                .ok_or_else(|| DiskOpenError::Unsupported {
                    path: path.to_owned(),
                    layout: text.to_owned(),
                })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !super::segments::list(path).map_err(failed)?.is_empty() {
                return Err(failed(io::Error::new(
                    io::ErrorKind::NotFound,
                    "there are logs but no file named layout; put it back",
                )));
            }
            let salt = getrandom::u64().map_err(|error| failed(io::Error::other(error)))?;
            // Its first byte is not zero, unlike the bytes behind the end of a log.
            let salt = salt | 1;
            write_layout(path, &file, salt).map_err(failed)?;
            Ok(salt)
        }
        Err(error) => Err(failed(error)),
    }
}

fn write_layout(path: &Path, file: &Path, salt: u64) -> io::Result<()> {
    let temporary = path.join("layout.new");
    fs::write(&temporary, format!("{LAYOUT} {salt:016x}\n"))?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(temporary, file)?;
    files::sync_directory(path)
}

/// Inserts the recovered sessions into the table.
fn insert_recovered(
    table: &SessionTable<DiskSession>,
    recovered: RecoveredLog,
    live_bytes: &LiveBytes,
) {
    let now = table.now();
    for (number, (id, mut session)) in recovered.sessions {
        if session.machine.check_present(now).is_err() {
            session.discard();
        }
        live_bytes.changed(0, session.live_bytes());
        let due = session.machine.due(now);
        let mut index = table.index();
        index.insert_as(number, &id, session);
        if let Some(due) = due {
            index.ended(number, due);
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("path", &self.path)
            .field("sessions", &self.table.index().len())
            .finish_non_exhaustive()
    }
}
