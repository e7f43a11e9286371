use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use tokio::{
    sync::{Notify, RwLock, Semaphore},
    time::Instant,
};

use super::{
    entry::{Ownership, SessionEntry},
    formats::Formats,
    hot::{Budget, HotLog},
    options::SessionsOptions,
    outbox::OutboxDeliveries,
    page_cache::PageCache,
    places::SharedPlaces,
    recovery::RecoveryHandlers,
    refused_starts::RefusedStarts,
    sealed_hook::SealedHooks,
    store_health::StoreHealth,
    writer::{CommandQueue, WriterCommand},
};
use crate::{
    log::{Lsn, SessionId, Status},
    store::{Holder, Lease, SessionState, Store},
};

/// The most reads for readers that run at a time, over all sessions.
const READS: usize = 64;

/// The state that the handles, readers and tasks of one registry share.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) store: Arc<dyn Store>,
    pub(super) formats: Formats,
    pub(super) options: SessionsOptions,
    pub(super) places: SharedPlaces,
    pub(super) recovery_handlers: RecoveryHandlers,
    pub(super) claims: Semaphore,
    pub(super) reads: Semaphore,
    pub(super) pages: PageCache,
    pub(super) refused_starts: RefusedStarts,
    pub(super) holder: Holder,
    /// Locked for writing while leases are renewed, and for reading while one is given back. A
    /// renewal that arrived after the latter would hold a session that has no writer.
    pub(super) renewing: RwLock<()>,
    pub(super) store_health: StoreHealth,
    pub(super) sealed_hooks: SealedHooks,
    pub(super) outbox: Arc<OutboxDeliveries>,
    /// Wakes the sweeper early.
    pub(super) due: Arc<Notify>,
    budget: Arc<Budget>,
    entries: Mutex<EntryTable>,
    sweeping: AtomicBool,
    closing: AtomicBool,
    releasing: AtomicBool,
    /// Notified once `releasing` is true.
    released: Notify,
    /// True if a shutdown hands sessions over, false if it ends them. Decided by the shutdown.
    hands_over: OnceLock<bool>,
}

#[derive(Debug, Default)]
struct EntryTable {
    by_id: HashMap<SessionId, Arc<SessionEntry>>,
    // Released sessions without clients.
    releases: HashMap<SessionId, Release>,
}

/// The deletion of a released session that is due at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Release {
    at: Instant,
    /// The number of times that the store did not delete it.
    pub(super) tries: u32,
}

impl Registry {
    pub(super) fn new(store: Arc<dyn Store>, formats: Formats, options: SessionsOptions) -> Self {
        Self {
            store,
            formats,
            places: SharedPlaces::new(&options.limits),
            recovery_handlers: RecoveryHandlers::default(),
            claims: Semaphore::new(options.max_claims),
            reads: Semaphore::new(READS),
            pages: PageCache::default(),
            refused_starts: RefusedStarts::default(),
            renewing: RwLock::new(()),
            holder: Holder(getrandom::u64().expect("the operating system gives randomness")),
            store_health: StoreHealth::default(),
            sealed_hooks: SealedHooks::new(),
            outbox: Arc::new(OutboxDeliveries::new()),
            due: Arc::new(Notify::new()),
            budget: Arc::new(Budget::new(options.total_hot_bytes)),
            entries: Mutex::default(),
            sweeping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            releasing: AtomicBool::new(false),
            released: Notify::new(),
            hands_over: OnceLock::new(),
            options,
        }
    }

    /// Marks the sweeper as running. Returns true if it wasn't; then the caller must spawn it.
    pub(super) fn start_sweeper(&self) -> bool {
        !self.sweeping.swap(true, SeqCst)
    }

    pub(super) fn is_sweeping(&self) -> bool {
        self.sweeping.load(SeqCst)
    }

    /// Marks the sweeper as ended, so that the next start or attach spawns another.
    pub(super) fn sweeper_ended(&self) {
        self.sweeping.store(false, SeqCst);
    }

    /// Returns the session's entry with one more client, and true if the entry is new. Then the
    /// caller must open and feed it.
    pub(super) fn enter_or_insert(self: &Arc<Self>, id: &SessionId) -> (EntryGuard, bool) {
        let mut entries = self.lock();
        let (entry, new) = if let Some(entry) = entries.by_id.get(id) {
            (entry.clone(), false)
        } else {
            let log = HotLog::new(
                Lsn::ZERO,
                Status::Streaming,
                self.options.hot_bytes,
                self.budget.clone(),
            );
            let entry = Arc::new(SessionEntry::new(id.clone(), log));
            entry.fed.store(true, SeqCst);
            entries.by_id.insert(id.clone(), entry.clone());
            (entry, true)
        };
        entries.releases.remove(id);
        entry.add_client();
        entry.set_active();
        (
            EntryGuard {
                shared: self.clone(),
                entry,
            },
            new,
        )
    }

    /// Returns the session's entry with one more client, if this server has one.
    pub(super) fn enter(self: &Arc<Self>, id: &SessionId) -> Option<EntryGuard> {
        let mut entries = self.lock();
        let entry = entries.by_id.get(id)?.clone();
        entries.releases.remove(id);
        entry.add_client();
        entry.set_active();
        Some(EntryGuard {
            shared: self.clone(),
            entry,
        })
    }

    /// Returns the session's entry, if this server has one.
    pub(super) fn entry(&self, id: &SessionId) -> Option<Arc<SessionEntry>> {
        self.lock().by_id.get(id).cloned()
    }

    /// Drops an entry that is no longer fed, or whose last client left, unless it is still needed.
    fn release_entry(&self, entry: &Arc<SessionEntry>) {
        let mut entries = self.lock();
        if entry.fed.load(SeqCst) {
            return;
        }
        let sealed = entry.log.outcome().is_some();
        if sealed && entry.clients() > 0 {
            return;
        }
        let is_current = |e: &Arc<SessionEntry>| Arc::ptr_eq(e, entry);
        if !entries.by_id.get(&entry.id).is_some_and(is_current) {
            return;
        }
        match self.options.retention.released {
            Some(grace) if sealed && entry.delivered.load(SeqCst) => {
                let at = Instant::now() + grace;
                let release = Release { at, tries: 0 };
                entries.releases.insert(entry.id.clone(), release);
                self.due.notify_one();
            }
            // An entry that can't continue makes way for a new one, even if it has clients.
            _ => {
                entries.by_id.remove(&entry.id);
            }
        }
    }

    /// Removes an entry without clients; a later attach makes a new one. Returns false if the entry
    /// has clients.
    pub(super) fn retire(&self, entry: &Arc<SessionEntry>) -> bool {
        let mut entries = self.lock();
        if entry.clients() > 0 {
            return false;
        }
        if entries
            .by_id
            .get(&entry.id)
            .is_some_and(|e| Arc::ptr_eq(e, entry))
        {
            entries.by_id.remove(&entry.id);
        }
        true
    }

    /// Removes an entry whose session the store doesn't have. Its clients keep it; the next start or attach makes a new one.
    pub(super) fn forget(&self, entry: &Arc<SessionEntry>) {
        let mut entries = self.lock();
        let current = entries.by_id.get(&entry.id);
        if current.is_some_and(|it| Arc::ptr_eq(it, entry)) {
            entries.by_id.remove(&entry.id);
        }
    }

    /// Returns true unless the entry was [forgotten](Self::forget) or has made way for another one.
    pub(super) fn has_entry(&self, entry: &Arc<SessionEntry>) -> bool {
        let current = self.entry(&entry.id);
        current.is_some_and(|it| Arc::ptr_eq(&it, entry))
    }

    /// Takes the released sessions that are due for deletion.
    pub(super) fn take_released(&self) -> Vec<(SessionId, Release)> {
        let mut entries = self.lock();
        let now = Instant::now();
        entries
            .releases
            .extract_if(|_, release| release.at <= now)
            .collect()
    }

    /// Returns when the next released session is due for deletion.
    pub(super) fn next_release(&self) -> Option<Instant> {
        self.lock().releases.values().map(|it| it.at).min()
    }

    /// Removes the entry of a released session that was deleted, or schedules its deletion again.
    pub(super) fn release_done(&self, id: &SessionId, release: Release, retry_at: Option<Instant>) {
        let mut entries = self.lock();
        match retry_at {
            Some(at) => {
                let tries = release.tries.saturating_add(1);
                entries.releases.insert(id.clone(), Release { at, tries });
            }
            None => {
                if entries
                    .by_id
                    .get(id)
                    .is_some_and(|entry| entry.clients() == 0)
                {
                    entries.by_id.remove(id);
                }
            }
        }
    }

    /// Returns all entries.
    pub(super) fn entries(&self) -> Vec<Arc<SessionEntry>> {
        self.lock().by_id.values().cloned().collect()
    }

    /// Returns true if this server may claim an unsealed session with this lease.
    ///
    /// After an outage every lease has run out, and the owners reach the store again when this
    /// server does. They get the length of one lease to renew.
    pub(super) fn may_claim(&self, lease: Lease) -> bool {
        match lease {
            Lease::Held(_) => false,
            Lease::Free => true,
            Lease::Expired => {
                let lease = self.options.lease;
                self.store_health.reachable_for(lease) >= Some(lease)
            }
        }
    }

    /// Returns true if a handler here may continue this orphan.
    pub(super) fn can_recover(&self, orphan: &SessionState) -> bool {
        self.recovery_handlers.of(orphan).is_some()
    }

    /// Makes this server the owner of a session in this state, with a lease that counts from
    /// `leased_at`. Returns the commands for its writer.
    pub(super) fn take_ownership(
        &self,
        entry: &SessionEntry,
        state: SessionState,
        leased_at: Instant,
    ) -> Arc<CommandQueue> {
        let commands = Arc::new(CommandQueue::default());
        entry.set_owned(Ownership {
            epoch: state.epoch,
            began: Arc::new(state),
            since: Instant::now(),
            lease_until: leased_at + self.options.lease,
            commands: commands.clone(),
        });
        if self.is_releasing() {
            entry.command(self.parting());
        }
        commands
    }

    /// Starts no more sessions from now on.
    pub(super) fn close(&self) {
        self.closing.store(true, SeqCst);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    /// Gives sessions back from now on, and continues no orphan.
    pub(super) fn release(&self) {
        self.releasing.store(true, SeqCst);
        self.released.notify_waiters();
        self.recovery_handlers.clear();
    }

    /// Returns the command that stops the writers at a shutdown. They seal if nobody can reach the store
    /// afterwards.
    pub(super) fn parting(&self) -> WriterCommand {
        // Not the pointer of the registry, which its calls under way share. One answer for all.
        let hands_over = || (*self.store).outlives_handle();
        if *self.hands_over.get_or_init(hands_over) {
            WriterCommand::Release
        } else {
            WriterCommand::Interrupt
        }
    }

    pub(super) fn is_releasing(&self) -> bool {
        self.releasing.load(SeqCst)
    }

    /// Waits until sessions are given back. Cancel safe.
    pub(super) async fn until_released(&self) {
        let released = self.released.notified();
        tokio::pin!(released);
        released.as_mut().enable();
        if !self.is_releasing() {
            released.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, EntryTable> {
        self.entries.lock().expect("nothing panics under this lock")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // The sweeper holds a weak reference. It wakes, and ends.
        self.due.notify_one();
    }
}

/// One client of an entry. It is counted until it is dropped.
#[derive(Debug)]
pub(super) struct EntryGuard {
    pub(super) shared: Arc<Registry>,
    pub(super) entry: Arc<SessionEntry>,
}

impl Clone for EntryGuard {
    fn clone(&self) -> Self {
        self.entry.add_client();
        Self {
            shared: self.shared.clone(),
            entry: self.entry.clone(),
        }
    }
}

impl Drop for EntryGuard {
    fn drop(&mut self) {
        if self.entry.remove_client() {
            self.shared.release_entry(&self.entry);
        }
    }
}

/// The guard of the task that feeds an entry. Dropped with the task, it marks the entry as no
/// longer fed.
#[derive(Debug)]
pub(super) struct FeedGuard {
    pub(super) shared: Arc<Registry>,
    pub(super) entry: Arc<SessionEntry>,
}

impl FeedGuard {
    /// Opens the entry of a session that exists, in this state.
    pub(super) fn open(&self, state: SessionState) {
        self.entry.log.begin(state.tail, state.status);
        self.entry.open(Ok(state.meta));
    }
}

impl Drop for FeedGuard {
    fn drop(&mut self) {
        self.entry.clear_owned();
        self.entry.open_if_unset();
        if self.entry.log.outcome().is_none() && self.entry.log.failure().is_none() {
            self.entry.log.fail(super::ReadError::Unavailable);
        }
        self.entry.fed.store(false, SeqCst);
        drop(self.entry.take_waiting_start());
        self.shared.release_entry(&self.entry);
    }
}
