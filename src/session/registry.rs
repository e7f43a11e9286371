use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use super::{
    Format, Lsn, SessionId, Status,
    entry::Entry,
    flaw::Flaw,
    hot::{Budget, HotLog},
    options::Options,
    reach::Reach,
    running::Running,
};
use crate::store::{Holder, Lease, Store};

/// How many reads of what was evicted run at a time, over all sessions.
const READS: usize = 64;

/// What the handles, readers and tasks of one registry share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) format: Arc<dyn Format>,
    pub(super) options: Options,
    pub(super) running: Running,
    pub(super) claims: Semaphore,
    pub(super) reads: Semaphore,
    pub(super) holder: Holder,
    pub(super) reach: Reach,
    /// Wakes the sweeper before its time.
    pub(super) due: Arc<Notify>,
    budget: Arc<Budget>,
    entries: Mutex<Entries>,
    sweeping: AtomicBool,
    closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<SessionId, Arc<Entry>>,
    // Released sessions, and when they go.
    releases: Vec<(Instant, SessionId)>,
}

impl Shared {
    pub(super) fn new(store: Arc<dyn Store>, format: Arc<dyn Format>, options: Options) -> Self {
        Self {
            store,
            format,
            running: Running::default(),
            claims: Semaphore::new(options.claims),
            reads: Semaphore::new(READS),
            holder: Holder(getrandom::u64().expect("the operating system gives randomness")),
            reach: Reach::default(),
            due: Arc::new(Notify::new()),
            budget: Arc::new(Budget::new(options.hot_bytes_in_all)),
            entries: Mutex::default(),
            sweeping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            options,
        }
    }

    /// Whether this is the first time that somebody asks; then the sweeper is to be spawned.
    pub(super) fn begins(&self) -> bool {
        !self.sweeping.swap(true, SeqCst)
    }

    /// The session's entry, entered; and whether it is new, so that the caller has to open it and
    /// see that it is fed.
    pub(super) fn enter_or_insert(self: &Arc<Self>, id: &SessionId) -> (Client, bool) {
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
            let entry = Arc::new(Entry::new(id.clone(), log));
            entry.fed.store(true, SeqCst);
            entries.by_id.insert(id.clone(), entry.clone());
            (entry, true)
        };
        entry.enter();
        (
            Client {
                shared: self.clone(),
                entry,
            },
            new,
        )
    }

    /// The session's entry, entered, if this server has one.
    pub(super) fn enter(self: &Arc<Self>, id: &SessionId) -> Option<Client> {
        let entries = self.lock();
        let entry = entries.by_id.get(id)?.clone();
        entry.enter();
        Some(Client {
            shared: self.clone(),
            entry,
        })
    }

    /// The session's entry, if this server has one.
    pub(super) fn entry(&self, id: &SessionId) -> Option<Arc<Entry>> {
        self.lock().by_id.get(id).cloned()
    }

    /// The entry is no longer fed, or its last client left: drops it unless it is still needed.
    fn settle(&self, entry: &Arc<Entry>) {
        let mut entries = self.lock();
        if entry.fed.load(SeqCst) {
            return;
        }
        let sealed = entry.log.outcome().is_some();
        if sealed && entry.clients() > 0 {
            return;
        }
        let ours = |e: &Arc<Entry>| Arc::ptr_eq(e, entry);
        if !entries.by_id.get(&entry.id).is_some_and(ours) {
            return;
        }
        match self.options.retention.released {
            Some(grace) if sealed && entry.delivered.load(SeqCst) => {
                // Whoever came back has made the earlier release void.
                entries.releases.retain(|(_, id)| *id != entry.id);
                entries
                    .releases
                    .push((Instant::now() + grace, entry.id.clone()));
                self.due.notify_one();
            }
            // An entry that can't go on makes way for a new one, whoever still holds it.
            _ => {
                entries.by_id.remove(&entry.id);
            }
        }
    }

    /// Takes the released sessions whose time has come and which nobody uses again.
    pub(super) fn released(&self) -> Vec<SessionId> {
        let mut entries = self.lock();
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            entries.releases.drain(..).partition(|(at, _)| *at <= now);
        entries.releases = later;
        due.into_iter()
            .map(|(_, id)| id)
            .filter(|id| {
                entries
                    .by_id
                    .get(id)
                    .is_some_and(|entry| entry.clients() == 0)
            })
            .collect()
    }

    /// When the next released session goes.
    pub(super) fn next_release(&self) -> Option<Instant> {
        self.lock().releases.iter().map(|(at, _)| *at).min()
    }

    /// A released session was deleted, or will be asked for again at `again`.
    pub(super) fn release_done(&self, id: &SessionId, again: Option<Instant>) {
        let mut entries = self.lock();
        match again {
            Some(at) => entries.releases.push((at, id.clone())),
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
    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
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
            Lease::Expired => self.reach.lasts() >= Some(self.options.lease),
        }
    }

    pub(super) fn close(&self) {
        self.closing.store(true, SeqCst);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn flawed(&self, flaw: Flaw) -> bool {
        self.options.flaws.contains(&flaw)
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[expect(clippy::unused_self, reason = "only tests have flaws")]
    pub(super) const fn flawed(&self, _: Flaw) -> bool {
        false
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("nothing panics under this lock")
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The sweeper holds no strong reference: it sees that it is over.
        self.due.notify_one();
    }
}

/// Counts one user of an entry, until it is dropped.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
}

impl Clone for Client {
    fn clone(&self) -> Self {
        self.entry.enter();
        Self {
            shared: self.shared.clone(),
            entry: self.entry.clone(),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.entry.leave() {
            if self.shared.flawed(Flaw::StopsWithLastReader) {
                self.entry.command(super::writer::Command::Release);
            }
            self.shared.settle(&self.entry);
        }
    }
}

/// Held by the task that feeds an entry: whichever way the task ends, the entry knows.
#[derive(Debug)]
pub(super) struct Feeding {
    pub(super) shared: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.entry.disown();
        if self.entry.log.outcome().is_none() && self.entry.log.failure().is_none() {
            self.entry.log.fail(super::ReadError::Unavailable);
        }
        self.entry.fed.store(false, SeqCst);
        self.shared.settle(&self.entry);
    }
}
