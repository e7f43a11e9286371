use std::{
    collections::HashMap,
    fmt,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, Weak,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    hot::HotLog,
    page_cache::SharedPage,
    waiting_start::WaitingStart,
    writer::{CommandQueue, WriterCommand},
};
use crate::{
    log::{Epoch, EpochTag, Lsn, Position, SessionId},
    store::{Lease, SessionMeta, SessionState, StoreError},
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
    /// True if a client has asked for records, or attached, since the sweeper looked last.
    active: AtomicBool,
    // When the sweeper last saw such a client.
    last_active: Mutex<Instant>,
    owned: Mutex<Option<Ownership>>,
    waiting_start: Mutex<Option<Box<WaitingStart>>>,
    delivering_abort: AtomicBool,
    opened: Mutex<Option<Result<(), StoreError>>>,
    // Notified once `opened` is set.
    on_opened: Notify,
    reads: Mutex<HashMap<(Lsn, Option<EpochTag>), SharedRead>>,
}

type SharedRead = Weak<SharedPage>;

/// The right to write a session, by this server's clock.
#[derive(Debug, Clone)]
pub(super) struct Ownership {
    pub(super) epoch: Epoch,
    /// The state of the session when this server became its owner.
    pub(super) began: Arc<SessionState>,
    /// When this server became the owner.
    pub(super) since: Instant,
    /// The end of the lease, counted from before the renewal was sent.
    pub(super) lease_until: Instant,
    pub(super) commands: Arc<CommandQueue>,
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
            active: AtomicBool::new(true),
            last_active: Mutex::new(Instant::now()),
            owned: Mutex::new(None),
            waiting_start: Mutex::new(None),
            delivering_abort: AtomicBool::new(false),
            opened: Mutex::default(),
            on_opened: Notify::new(),
            reads: Mutex::default(),
        }
    }

    /// Records that the session exists, or why it doesn't, and wakes the callers of
    /// [`opened`](Self::opened).
    pub(super) fn open(&self, result: Result<Arc<SessionMeta>, StoreError>) {
        let result = result.map(|meta| {
            let _ = self.meta.set(meta);
        });
        *self.lock_opened() = Some(result);
        self.on_opened.notify_waiters();
    }

    /// Fails the callers of [`opened`](Self::opened) if the task that should have opened the entry
    /// is gone.
    pub(super) fn open_if_unset(&self) {
        self.lock_opened().get_or_insert_with(|| {
            let lost = "the task that started the session is gone";
            Err(StoreError::unavailable(true, lost))
        });
        self.on_opened.notify_waiters();
    }

    /// Waits until the entry is open. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the session doesn't exist, or could not be created.
    pub(super) async fn opened(&self) -> Result<(), StoreError> {
        loop {
            let mut opened = pin!(self.on_opened.notified());
            // Before the look, so that an entry that is opened in between ends the wait.
            opened.as_mut().enable();
            if let Some(result) = &*self.lock_opened() {
                return result.clone();
            }
            opened.await;
        }
    }

    fn lock_opened(&self) -> MutexGuard<'_, Option<Result<(), StoreError>>> {
        self.opened.lock().expect("nothing panics under this lock")
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

    /// Returns true while this server has a writer or a claim of the session, also if its lease has run
    /// out meanwhile.
    pub(super) fn has_writer(&self) -> bool {
        self.owned
            .lock()
            .expect("nothing panics under this lock")
            .is_some()
    }

    /// Returns the state of a session that this server writes, without a call of the store. The number
    /// of answers is that of the time when this server became the owner.
    pub(super) fn state_here(&self, owned: &Ownership) -> SessionState {
        let left = owned.lease_until.saturating_duration_since(Instant::now());
        SessionState {
            age: owned.began.age + owned.since.elapsed(),
            tail: self.log.tail(),
            status: self.log.status(),
            lease: if left.is_zero() {
                Lease::Expired
            } else {
                Lease::Held(left)
            },
            ..(*owned.began).clone()
        }
    }

    /// Marks that a task stores an abort request of the session until the store takes it. Returns false
    /// if one does already.
    pub(super) fn begin_abort_delivery(&self) -> bool {
        !self.delivering_abort.swap(true, SeqCst)
    }

    pub(super) fn end_abort_delivery(&self) {
        self.delivering_abort.store(false, SeqCst);
    }

    /// Keeps a start with which the session begins once this server may claim it. The start is dropped if
    /// one waits already, or if nothing feeds the entry.
    pub(super) fn wait_to_begin(&self, start: WaitingStart) {
        let mut waiting = self.lock_waiting_start();
        let refused = if waiting.is_none() && self.fed.load(SeqCst) {
            *waiting = Some(Box::new(start));
            None
        } else {
            Some(start)
        };
        // Dropping a source may run code of the application.
        drop(waiting);
        drop(refused);
    }

    /// Takes the start that waits, if there is one.
    pub(super) fn take_waiting_start(&self) -> Option<WaitingStart> {
        self.lock_waiting_start().take().map(|start| *start)
    }

    pub(super) fn has_waiting_start(&self) -> bool {
        self.lock_waiting_start().is_some()
    }

    fn lock_waiting_start(&self) -> MutexGuard<'_, Option<Box<WaitingStart>>> {
        self.waiting_start
            .lock()
            .expect("nothing panics under this lock")
    }

    /// Records that a client has attached, or has asked for more records.
    pub(super) fn set_active(&self) {
        // Most often it is set already: a load doesn't take the cache line from the other readers.
        if !self.active.load(Relaxed) {
            self.active.store(true, Relaxed);
        }
    }

    /// Returns for how long no client has attached or asked for records, and none was waiting for more.
    /// Precise to the time between two calls.
    pub(super) fn inactive_for(&self) -> Duration {
        let is_active = self.active.swap(false, Relaxed) || self.log.has_waiting_readers();
        let mut last = self
            .last_active
            .lock()
            .expect("nothing panics under this lock");
        if is_active {
            *last = Instant::now();
        }
        last.elapsed()
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
            owned.commands.send(command);
        }
    }

    /// Returns the cell that shares one read after `at` among the readers that need it now.
    pub(super) fn shared_read(&self, at: Position) -> Arc<SharedPage> {
        let mut reads = self.reads.lock().expect("nothing panics under this lock");
        let key = (at.lsn, at.tag);
        if let Some(cell) = reads.get(&key).and_then(Weak::upgrade) {
            return cell;
        }
        reads.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::new(SharedPage::default());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::{Digest, ServiceName, Status},
        session::hot::Budget,
    };

    fn entry() -> SessionEntry {
        let log = HotLog::new(
            Lsn::ZERO,
            Status::Streaming,
            1024,
            Arc::new(Budget::new(1024)),
        );
        SessionEntry::new(format!("{:-<22}", "one").parse().unwrap(), log)
    }

    fn state() -> SessionState {
        SessionState {
            meta: Arc::new(SessionMeta {
                owner: None,
                chat: None,
                service: ServiceName::new("test"),
                digest: Digest([0; 32]),
                format: 1,
                outbox: None,
            }),
            age: Duration::ZERO,
            ended: None,
            epoch: Epoch::first(),
            attempts: 0,
            tail: Lsn::ZERO,
            status: Status::Streaming,
            abort: None,
            lease: Lease::Free,
            answers: 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_waits_for_an_entry_is_refused_once_the_task_that_opens_it_is_gone() {
        let lost = entry();
        let waiting = tokio::time::timeout(Duration::from_secs(60), lost.opened());
        let (told, ()) = tokio::join!(waiting, async { lost.open_if_unset() });
        let told = told.expect("it is told");
        assert!(
            matches!(told, Err(StoreError::Unavailable { .. })),
            "{told:?}"
        );
        let open = entry();
        open.open(Ok(state().meta));
        open.open_if_unset();
        assert!(open.opened().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_extends_the_lease_of_its_own_epoch_only_and_never_shortens_it() {
        let entry = entry();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let (own, other) = (Epoch::first(), Epoch::first().succeed());
        assert_ne!(own, other);
        entry.set_owned(Ownership {
            epoch: own,
            began: Arc::new(state()),
            since: now,
            lease_until: at(10),
            commands: Arc::default(),
        });
        let until = || entry.owned().unwrap().lease_until;
        entry.extend_lease(other, at(30));
        assert_eq!(until(), at(10));
        entry.extend_lease(own, at(20));
        assert_eq!(until(), at(20));
        entry.extend_lease(own, at(15));
        assert_eq!(until(), at(20));
    }

    #[test]
    fn a_read_is_shared_while_a_reader_needs_it_and_forgotten_afterwards() {
        let entry = entry();
        let at = |lsn| Position::after(Lsn::new(lsn));
        let first = entry.shared_read(at(1));
        let second = entry.shared_read(at(2));
        assert!(Arc::ptr_eq(&entry.shared_read(at(1)), &first));
        assert!(Arc::ptr_eq(&entry.shared_read(at(2)), &second));
        drop((first, second));
        let _third = entry.shared_read(at(3));
        assert_eq!(entry.reads.lock().unwrap().len(), 1);
    }
}
