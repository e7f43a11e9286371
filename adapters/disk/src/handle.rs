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

/// Keeps sessions in files of its own, in one directory of this host. A clone is a handle to the
/// same sessions.
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
/// All sessions share files that only grow at the end, and an fsync is shared by all that wait for
/// one. The directory takes at most about twice what is alive and three files of
/// [`segment_bytes`](field@DiskOptions::segment_bytes). Records are read from the disk; an idle session
/// costs some 1.3 KB of memory, whatever it holds.
///
/// # What can go wrong
///
/// * **A crash, a power cut.** Only the last batch can be half there, and nobody was told of it. It
///   is dropped when the store is opened.
/// * **A failed write or fsync.** What is on the disk is unknown from then on, so nothing is
///   acknowledged any more: every write answers [`StoreError::Unavailable`] with `maybe_applied`,
///   and reads show what was stable before, until the store is closed and opened again. That
///   includes a disk that is full.
/// * **Harm to a file.** A record that can't be read answers [`StoreError::Corrupt`]; whoever has
///   the records around it reads on. Harm to the last records can't be told from a crash: a shorter
///   log is left, in which positions beyond are [`StoreError::Rewound`]. Harm to what describes a
///   session, before its records, loses the session.
/// * **The host's clock is set.** It is asked only when the store is opened, and never believed
///   below the last time that was written. Expiry is off by as much as the clock was, nothing else.
#[derive(Clone)]
pub struct Disk {
    pub(crate) table: SessionTable<DiskSession>,
    pub(crate) opened: Arc<SegmentFiles>,
    path: Arc<Path>,
    door: Arc<JobSender>,
}

/// The way to the writer.
#[derive(Debug)]
struct JobSender {
    // `None` once the store is closed.
    jobs: Mutex<Option<mpsc::Sender<WriteJob>>>,
    closed: watch::Receiver<()>,
}

impl Disk {
    /// Opens the store in this directory, which is made if it isn't there, for this process alone.
    ///
    /// Reads every file in it. Sessions that were running when the store was last open are nobody's:
    /// they can be claimed at once. Cancel safe: a store that was opened for nobody closes again.
    ///
    /// # Errors
    ///
    /// [`DiskOpenError::Locked`] if it is open elsewhere, [`DiskOpenError::Unsupported`],
    /// [`DiskOpenError::Io`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn open(path: impl AsRef<Path>, options: DiskOptions) -> Result<Self, DiskOpenError> {
        let path = path.as_ref().to_owned();
        let open = spawn_blocking(move || Self::open_now(&path, &options.within_reason()));
        open.await.expect("nothing panics while a store is opened")
    }

    /// Closes the store, for all its handles: what was asked for is done first, whatever is asked
    /// after that answers [`StoreError::Unavailable`]. Returns when it may be opened again.
    ///
    /// A store whose last handle is dropped closes too, a moment later. Cancel safe.
    pub async fn close(&self) {
        drop(self.door.lock().take());
        let mut closed = self.door.closed.clone();
        // Nothing is ever sent: it ends with the thread.
        while closed.changed().await.is_ok() {}
    }

    /// The clock that its sessions live by: the host's at the time of opening, and from then on the
    /// monotonic one.
    pub fn clock(&self) -> &StoreClock {
        self.table.clock()
    }

    /// The store's directory.
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
        let found = RecoveredLog::read(path, salt).map_err(failed)?;
        let segments = Segments::resume(
            path,
            options.io.clone(),
            options.segment_bytes,
            salt,
            found.sizes.clone(),
            found.end,
        )
        .map_err(failed)?;
        let wall = options.wall_clock.unwrap_or_else(SystemTime::now);
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let table = SessionTable::new(StoreClock::at(wall.max(found.time)));
        let live = LiveBytes::default();
        shelve(&table, found, &live);
        let opened = segments.opened.clone();
        let writer = DiskWriter {
            table: table.clone(),
            segments,
            max_append: options.max_append_bytes,
            tidy: Compactor::new(live, options.segment_bytes.into()),
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
            door: Arc::new(JobSender {
                jobs: Mutex::new(Some(jobs)),
                closed,
            }),
        })
    }

    /// Has the writer do this, and waits until it is stable.
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
                run: Box::new(move |outlook| match outlook {
                    BatchAccess::Work(work) => {
                        let done = run(work);
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
            self.door.send(job)?;
            let gone = |_| StoreError::unavailable(true, StoreClosed);
            answer.await.map_err(gone)?
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

/// The right to the directory, until it is dropped or the process ends.
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

/// The salt of the store, which a new one is given.
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
            // Its first byte is not zero: that is what lies behind the end of a log.
            let salt = salt | 1;
            begin(path, &file, salt).map_err(failed)?;
            Ok(salt)
        }
        Err(error) => Err(failed(error)),
    }
}

fn begin(path: &Path, file: &Path, salt: u64) -> io::Result<()> {
    let draft = path.join("layout.new");
    fs::write(&draft, format!("{LAYOUT} {salt:016x}\n"))?;
    File::open(&draft)?.sync_all()?;
    fs::rename(draft, file)?;
    files::sync_directory(path)
}

/// Puts what was found where it can be found.
fn shelve(table: &SessionTable<DiskSession>, found: RecoveredLog, live: &LiveBytes) {
    let now = table.now();
    for (number, (id, mut kept)) in found.sessions {
        if kept.machine.check_present(now).is_err() {
            kept.clear();
        }
        live.changed(0, kept.live());
        let due = kept.machine.due(now);
        let mut index = table.index();
        index.insert_as(number, &id, kept);
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
