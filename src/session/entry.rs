use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    sync::{OnceCell, mpsc, watch},
    time::Instant,
};

use super::{hot::HotLog, writer::WriterCommand};
use crate::{
    log::{Epoch, EpochTag, Lsn, Position, SessionId},
    store::{RecordPage, SessionMeta, StoreError},
};

/// One session in the memory of one server: its hot log, its ownership and its clients.
pub(super) struct SessionEntry {
    pub(super) id: SessionId,
    pub(super) log: HotLog,
    meta: OnceLock<Arc<SessionMeta>>,
    // Handles and readers. Changes from 0 only under the registry's lock.
    clients: AtomicUsize,
    /// True while a task (writer or follower) publishes into the hot log. Set and read under the
    /// registry's lock where it decides whether the entry is dropped.
    pub(super) fed: AtomicBool,
    /// True once a reader was given the terminal record.
    pub(super) delivered: AtomicBool,
    owned: Mutex<Option<Ownership>>,
    opened: watch::Sender<Option<Result<(), StoreError>>>,
    reads: Mutex<HashMap<(Lsn, Option<EpochTag>), SharedRead>>,
}

type SharedRead = Weak<OnceCell<RecordPage>>;

/// The right to write a session, by this server's clock.
#[derive(Debug, Clone)]
pub(super) struct Ownership {
    pub(super) epoch: Epoch,
    /// The end of the lease, counted from before the renewal was sent.
    pub(super) lease_until: Instant,
    pub(super) commands: mpsc::UnboundedSender<WriterCommand>,
}

impl SessionEntry {
    pub(super) fn new(id: SessionId, log: HotLog) -> Self {
        Self {
            id,
            log,
            meta: OnceLock::new(),
            clients: AtomicUsize::new(0),
            fed: AtomicBool::new(false),
            delivered: AtomicBool::new(false),
            owned: Mutex::new(None),
            opened: watch::Sender::new(None),
            reads: Mutex::default(),
        }
    }

    /// Records that the session exists, or why it doesn't, and wakes the callers of
    /// [`opened`](Self::opened).
    pub(super) fn open(&self, result: Result<Arc<SessionMeta>, StoreError>) {
        let result = result.map(|meta| {
            let _ = self.meta.set(meta);
        });
        self.opened.send_replace(Some(result));
    }

    /// Fails the callers of [`opened`](Self::opened) if the task that should have opened the entry
    /// is gone.
    pub(super) fn open_if_unset(&self) {
        self.opened.send_if_modified(|opened| {
            let unset = opened.is_none();
            if unset {
                let lost =
                    StoreError::unavailable(true, "the task that started the session is gone");
                *opened = Some(Err(lost));
            }
            unset
        });
    }

    /// Waits until the entry is open. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the session doesn't exist, or could not be created.
    pub(super) async fn opened(&self) -> Result<(), StoreError> {
        let mut opened = self.opened.subscribe();
        let result = match opened.wait_for(Option::is_some).await {
            Ok(result) => result.clone(),
            Err(_) => None,
        };
        result.unwrap_or(Err(StoreError::NotFound))
    }

    /// Returns the session's metadata, once the entry is open.
    pub(super) fn meta(&self) -> Option<&Arc<SessionMeta>> {
        self.meta.get()
    }

    pub(super) fn clients(&self) -> usize {
        self.clients.load(SeqCst)
    }

    pub(super) fn add_client(&self) {
        self.clients.fetch_add(1, SeqCst);
    }

    /// Returns true if that was the last client.
    pub(super) fn remove_client(&self) -> bool {
        self.clients.fetch_sub(1, SeqCst) == 1
    }

    pub(super) fn set_owned(&self, owned: Ownership) {
        *self.owned.lock().expect("nothing panics under this lock") = Some(owned);
    }

    pub(super) fn clear_owned(&self) {
        *self.owned.lock().expect("nothing panics under this lock") = None;
    }

    pub(super) fn owned(&self) -> Option<Ownership> {
        self.owned
            .lock()
            .expect("nothing panics under this lock")
            .clone()
    }

    /// Returns true while this server's lease runs, by its own clock.
    pub(super) fn is_owned(&self) -> bool {
        self.owned()
            .is_some_and(|owned| Instant::now() < owned.lease_until)
    }

    pub(super) fn extend_lease(&self, epoch: Epoch, until: Instant) {
        if let Some(owned) = &mut *self.owned.lock().expect("nothing panics under this lock")
            && owned.epoch == epoch
        {
            owned.lease_until = owned.lease_until.max(until);
        }
    }

    pub(super) fn command(&self, command: WriterCommand) {
        if let Some(owned) = self.owned() {
            // A writer that has ended needs no command.
            let _ = owned.commands.send(command);
        }
    }

    /// Returns the cell that shares one read after `at` among the readers that need it now.
    pub(super) fn shared_read(&self, at: Position) -> Arc<OnceCell<RecordPage>> {
        let mut reads = self.reads.lock().expect("nothing panics under this lock");
        let key = (at.lsn, at.tag);
        if let Some(cell) = reads.get(&key).and_then(Weak::upgrade) {
            return cell;
        }
        reads.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::new(OnceCell::new());
        reads.insert(key, Arc::downgrade(&cell));
        cell
    }
}

impl fmt::Debug for SessionEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionEntry")
            .field("id", &self.id)
            .field("clients", &self.clients())
            .finish_non_exhaustive()
    }
}
