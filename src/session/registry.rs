use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use tokio::{
    sync::{Notify, RwLock, Semaphore},
    time::Instant,
};

use super::{
    Format,
    entry::SessionEntry,
    hot::{Budget, HotLog},
    options::SessionsOptions,
    recovery::RecoveryHandlers,
    running::RunningSessions,
    store_health::StoreHealth,
};
use crate::{
    log::{Lsn, SessionId, Status},
    store::{Holder, Lease, SessionState, Store},
};

/// How many reads of what was evicted run at a time, over all sessions.
const READS: usize = 64;

/// What the handles, readers and tasks of one registry share.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) store: Arc<dyn Store>,
    pub(super) format: Arc<dyn Format>,
    pub(super) options: SessionsOptions,
    pub(super) running: RunningSessions,
    pub(super) recovery_handlers: RecoveryHandlers,
    pub(super) claims: Semaphore,
    pub(super) reads: Semaphore,
    pub(super) holder: Holder,
    /// Written while leases are renewed, read while one is given back: a renewal that lands after that
    /// would hold for a lease what nobody has.
    pub(super) renewing: RwLock<()>,
    pub(super) reach: StoreHealth,
    /// Wakes the sweeper before its time.
    pub(super) due: Arc<Notify>,
    budget: Arc<Budget>,
    entries: Mutex<EntryTable>,
    sweeping: AtomicBool,
    closing: AtomicBool,
    releasing: AtomicBool,
}

#[derive(Debug, Default)]
struct EntryTable {
    by_id: HashMap<SessionId, Arc<SessionEntry>>,
    // Released sessions that nobody came back to, and when they go.
    releases: HashMap<SessionId, Instant>,
}

impl Registry {
    pub(super) fn new(
        store: Arc<dyn Store>,
        format: Arc<dyn Format>,
        options: SessionsOptions,
    ) -> Self {
        Self {
            store,
            format,
            running: RunningSessions::default(),
            recovery_handlers: RecoveryHandlers::default(),
            claims: Semaphore::new(options.claims),
            reads: Semaphore::new(READS),
            renewing: RwLock::new(()),
            holder: Holder(getrandom::u64().expect("the operating system gives randomness")),
            reach: StoreHealth::default(),
            due: Arc::new(Notify::new()),
            budget: Arc::new(Budget::new(options.hot_bytes_in_all)),
            entries: Mutex::default(),
            sweeping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            releasing: AtomicBool::new(false),
            options,
        }
    }

    /// Whether no sweeper runs; then the caller is to spawn one.
    pub(super) fn begins(&self) -> bool {
        !self.sweeping.swap(true, SeqCst)
    }

    /// The sweeper has ended, in whatever way; the next start or attach spawns another.
    pub(super) fn swept(&self) {
        self.sweeping.store(false, SeqCst);
    }

    /// The session's entry, entered; and whether it is new, so that the caller has to open it and
    /// see that it is fed.
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
        entry.enter();
        (
            EntryGuard {
                shared: self.clone(),
                entry,
            },
            new,
        )
    }

    /// The session's entry, entered, if this server has one.
    pub(super) fn enter(self: &Arc<Self>, id: &SessionId) -> Option<EntryGuard> {
        let mut entries = self.lock();
        let entry = entries.by_id.get(id)?.clone();
        entries.releases.remove(id);
        entry.enter();
        Some(EntryGuard {
            shared: self.clone(),
            entry,
        })
    }

    /// The session's entry, if this server has one.
    pub(super) fn entry(&self, id: &SessionId) -> Option<Arc<SessionEntry>> {
        self.lock().by_id.get(id).cloned()
    }

    /// The entry is no longer fed, or its last client left: drops it unless it is still needed.
    fn settle(&self, entry: &Arc<SessionEntry>) {
        let mut entries = self.lock();
        if entry.fed.load(SeqCst) {
            return;
        }
        let sealed = entry.log.outcome().is_some();
        if sealed && entry.clients() > 0 {
            return;
        }
        let ours = |e: &Arc<SessionEntry>| Arc::ptr_eq(e, entry);
        if !entries.by_id.get(&entry.id).is_some_and(ours) {
            return;
        }
        match self.options.retention.released {
            Some(grace) if sealed && entry.delivered.load(SeqCst) => {
                let at = Instant::now() + grace;
                entries.releases.insert(entry.id.clone(), at);
                self.due.notify_one();
            }
            // An entry that can't go on makes way for a new one, whoever still holds it.
            _ => {
                entries.by_id.remove(&entry.id);
            }
        }
    }

    /// Takes an entry that nobody uses out of the registry; whoever comes later gets a new one.
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

    /// Takes the released sessions whose time has come and which nobody uses again.
    pub(super) fn released(&self) -> Vec<SessionId> {
        let mut entries = self.lock();
        let now = Instant::now();
        entries
            .releases
            .extract_if(|_, at| *at <= now)
            .map(|(id, _)| id)
            .collect()
    }

    /// When the next released session goes.
    pub(super) fn next_release(&self) -> Option<Instant> {
        self.lock().releases.values().min().copied()
    }

    /// A released session was deleted, or will be asked for again at `again`.
    pub(super) fn release_done(&self, id: &SessionId, again: Option<Instant>) {
        let mut entries = self.lock();
        match again {
            Some(at) => drop(entries.releases.insert(id.clone(), at)),
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

    /// Every entry there is now.
    pub(super) fn entries(&self) -> Vec<Arc<SessionEntry>> {
        self.lock().by_id.values().cloned().collect()
    }

    /// Whether this server may claim an unsealed session with this lease.
    ///
    /// After an outage every lease has run out, and their owners come back with us: they get the
    /// length of one lease to renew.
    pub(super) fn may_claim(&self, lease: Lease) -> bool {
        match lease {
            Lease::Held(_) => false,
            Lease::Free => true,
            Lease::Expired => {
                let lease = self.options.lease;
                self.reach.lasts(lease) >= Some(lease)
            }
        }
    }

    /// Whether an orphan that stands so may be carried on here rather than ended.
    pub(super) fn can_carry_on(&self, orphan: &SessionState) -> bool {
        self.recovery_handlers.of(orphan).is_some()
    }

    pub(super) fn close(&self) {
        self.closing.store(true, SeqCst);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    /// From now on nothing is carried on: who has a session gives it back.
    pub(super) fn release(&self) {
        self.releasing.store(true, SeqCst);
        self.recovery_handlers.clear();
    }

    pub(super) fn is_releasing(&self) -> bool {
        self.releasing.load(SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, EntryTable> {
        self.entries.lock().expect("nothing panics under this lock")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // The sweeper holds no strong reference: it sees that it is over.
        self.due.notify_one();
    }
}

/// Counts one user of an entry, until it is dropped.
#[derive(Debug)]
pub(super) struct EntryGuard {
    pub(super) shared: Arc<Registry>,
    pub(super) entry: Arc<SessionEntry>,
}

impl Clone for EntryGuard {
    fn clone(&self) -> Self {
        self.entry.enter();
        Self {
            shared: self.shared.clone(),
            entry: self.entry.clone(),
        }
    }
}

impl Drop for EntryGuard {
    fn drop(&mut self) {
        if self.entry.leave() {
            self.shared.settle(&self.entry);
        }
    }
}

/// Held by the task that feeds an entry: whichever way the task ends, the entry knows.
#[derive(Debug)]
pub(super) struct FeedGuard {
    pub(super) shared: Arc<Registry>,
    pub(super) entry: Arc<SessionEntry>,
}

impl FeedGuard {
    /// The session exists and stands so.
    pub(super) fn open(&self, state: SessionState) {
        self.entry.log.begin(state.tail, state.status);
        self.entry.open(Ok(state.info));
    }
}

impl Drop for FeedGuard {
    fn drop(&mut self) {
        self.entry.disown();
        self.entry.open_if_unset();
        if self.entry.log.outcome().is_none() && self.entry.log.failure().is_none() {
            self.entry.log.fail(super::ReadError::Unavailable);
        }
        self.entry.fed.store(false, SeqCst);
        self.shared.settle(&self.entry);
    }
}
