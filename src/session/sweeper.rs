//! The one background task of a registry. It renews leases, recovers orphans, holds sessions that
//! are read, deletes released ones, and lets the store sweep expired ones.

use std::{
    collections::HashSet,
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet, time::Instant};

use super::{
    entry::SessionEntry,
    feed::{FeedRole, feed},
    outbox::deliver_endings,
    recovery,
    registry::{FeedGuard, Registry},
    writer::{WriterCommand, within},
};
use crate::{
    log::{Epoch, SessionId},
    store::{DeleteMode, LeaseChange, Listed, StoreError},
};

/// The longest pause between two rounds.
const TICK: Duration = Duration::from_secs(1);
/// The most orphans that one round claims.
const ORPHANS: usize = 64;
/// The most unclaimable orphans that one round skips, to see those behind them.
const MAX_SKIPPED: usize = 1024;
/// The most expired sessions that one round deletes.
const EXPIRED: usize = 1024;
/// The most calls of the store that run at once where each session needs one.
const CONCURRENT_CALLS: usize = 32;
/// The time for which a session that is read is held at once.
///
/// A session is deleted at most this long after [`STALLED`] has passed, if its retention is over.
const HOLD: Duration = Duration::from_secs(30);
/// The time after which clients that neither attach, ask for records nor wait for more don't hold a
/// session any longer.
const STALLED: Duration = Duration::from_secs(2 * 60);
/// The pause before a deletion is retried that the store refused, or that another server's readers
/// prevent.
const RELEASE_RETRY: Duration = Duration::from_secs(1);
/// The number of times that such a deletion is retried of a session whose ending may wait for its delivery, after
/// pauses that double. Then the session is kept for its retention: where nothing is delivered, many wait.
const OUTBOX_TRIES: u32 = 6;

/// Sweeps until the registry is dropped.
///
/// The loops run concurrently, so that a slow call in one delays no renewal and no recovery.
pub(super) async fn sweep(registry: Weak<Registry>, due: Arc<Notify>) {
    let _sweeping = SweeperGuard(registry.clone());
    tokio::join!(
        renew_leases(&registry),
        recover_orphans(&registry),
        extend_holds(&registry),
        delete_released(&registry, &due),
        deliver_endings(&registry),
    );
}

/// Marks the sweeper as ended when it is dropped, also by a panic of the store.
struct SweeperGuard(Weak<Registry>);

impl Drop for SweeperGuard {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.sweeper_ended();
        }
    }
}

async fn renew_leases(registry: &Weak<Registry>) {
    while let Some(shared) = registry.upgrade() {
        let lease = shared.options.lease;
        let renewed = tokio::time::timeout(lease / 3, renew(&shared)).await;
        drop(shared);
        // A lease that the store did not renew still runs: there is time for some more attempts.
        let pause = if renewed.unwrap_or(false) {
            lease / 4
        } else {
            lease / 20
        };
        tokio::time::sleep(TICK.min(pause)).await;
    }
}

async fn recover_orphans(registry: &Weak<Registry>) {
    let mut seen_before = HashSet::new();
    let mut skipped = 0;
    while let Some(shared) = registry.upgrade() {
        let lease = shared.options.lease;
        let found = claim_orphans(&shared, &mut seen_before, &mut skipped);
        if tokio::time::timeout(lease / 3, found).await.is_err() {
            shared.store_health.record_unreachable();
        }
        let _ = tokio::time::timeout(lease / 3, shared.store.sweep(EXPIRED)).await;
        drop(shared);
        tokio::time::sleep(TICK.min(lease / 4)).await;
    }
}

async fn extend_holds(registry: &Weak<Registry>) {
    let mut held: Option<Instant> = None;
    while let Some(shared) = registry.upgrade() {
        if held.is_none_or(|held| held.elapsed() >= HOLD / 3) {
            held = Some(Instant::now());
            let _ = tokio::time::timeout(HOLD / 3, hold(&shared)).await;
        }
        drop(shared);
        tokio::time::sleep(TICK).await;
    }
}

async fn delete_released(registry: &Weak<Registry>, due: &Notify) {
    while let Some(shared) = registry.upgrade() {
        release(&shared).await;
        let look = Instant::now() + TICK;
        let wake = shared.next_release().map_or(look, |next| next.min(look));
        drop(shared);
        let _ = tokio::time::timeout_at(wake, due.notified()).await;
    }
}

/// Deletes the released sessions that are due.
async fn release(shared: &Arc<Registry>) {
    run_concurrently(shared.take_released(), |(id, release)| {
        let shared = shared.clone();
        async move {
            let deleted = shared
                .store
                .delete(&id, DeleteMode::Released(shared.holder));
            let deleted = within(shared.options.lease / 3, deleted).await;
            let now = Instant::now();
            let retry_at = match deleted {
                Ok(()) | Err(StoreError::NotFound | StoreError::Gone(_)) => None,
                Err(StoreError::Held) if has_outbox(&shared, &id) => {
                    let pause = RELEASE_RETRY * 2_u32.saturating_pow(release.tries);
                    (release.tries < OUTBOX_TRIES).then(|| now + pause)
                }
                Err(_) => Some(now + RELEASE_RETRY),
            };
            shared.release_done(&id, release, retry_at);
        }
    })
    .await;
}

/// Returns true if the ending of a session may wait for its delivery.
fn has_outbox(shared: &Registry, id: &SessionId) -> bool {
    let entry = shared.entry(id);
    entry.is_some_and(|entry| entry.meta().is_some_and(|meta| meta.outbox.is_some()))
}

/// Renews the leases of which a third is used up. Returns true if the store answered for all.
async fn renew(shared: &Arc<Registry>) -> bool {
    let _turn = shared.renewing.write().await;
    let lease = shared.options.lease;
    let now = Instant::now();
    let (entries, owned): (Vec<Arc<SessionEntry>>, Vec<(SessionId, Epoch)>) = shared
        .entries()
        .into_iter()
        .filter_map(|entry| {
            let owned = entry.owned()?;
            let renewed = (entry.id.clone(), owned.epoch);
            (owned.lease_until < now + lease * 2 / 3).then_some((entry, renewed))
        })
        .unzip();
    if owned.is_empty() {
        return true;
    }
    let mut answered = true;
    let answers = shared.store.renew(&owned, LeaseChange::Extend(lease)).await;
    for ((entry, (_, epoch)), answer) in entries.iter().zip(&owned).zip(answers) {
        match answer {
            Ok(state) => {
                entry.extend_lease(*epoch, now + lease);
                if let Some(abort) = state.abort {
                    entry.command(WriterCommand::Abort(abort));
                }
            }
            // Unless this server has claimed the session again meanwhile.
            Err(StoreError::Fenced) if entry.owned().is_some_and(|it| it.epoch == *epoch) => {
                entry.command(WriterCommand::Fenced);
            }
            Err(error) if error.is_unavailable() => answered = false,
            // The writer's next append gets the same error.
            Err(_) => {}
        }
    }
    answered
}

/// Claims orphans. Skips up to `skipped` of those that the last round has seen: this server can't
/// read them, has no room for them, or is about to claim them.
async fn claim_orphans(
    shared: &Arc<Registry>,
    seen_before: &mut HashSet<SessionId>,
    skipped: &mut usize,
) {
    let orphans = match shared.store.orphans(ORPHANS + *skipped).await {
        Ok(orphans) => orphans,
        Err(error) if error.is_unavailable() => return shared.store_health.record_unreachable(),
        Err(_) => return,
    };
    shared.store_health.record_reachable(shared.options.lease);
    let is_foreign = |orphan: &&Listed| shared.formats.find(orphan.state.meta.format).is_none();
    let is_unclaimable = |orphan: &&Listed| is_foreign(orphan) || seen_before.contains(&orphan.id);
    *skipped = orphans
        .iter()
        .filter(is_unclaimable)
        .count()
        .min(MAX_SKIPPED);
    *seen_before = orphans.iter().map(|orphan| orphan.id.clone()).collect();
    if shared.is_closing() {
        return;
    }
    for orphan in orphans {
        // A session with a writer here is no orphan: the next renewal restores its lease. One with a
        // start that waits is claimed by its follower.
        let is_owned = shared
            .entry(&orphan.id)
            .is_some_and(|entry| entry.has_writer() || entry.has_waiting_start());
        if !is_owned && !is_foreign(&&orphan) && shared.may_claim(orphan.state.lease) {
            let shared = shared.clone();
            if shared.can_recover(&orphan.state) {
                recover_orphan(shared, orphan);
            } else {
                tokio::spawn(async move {
                    recovery::seal(&shared, &orphan.id, orphan.state).await;
                });
            }
        }
    }
}

/// Follows an orphan, unless this server does already. The follower takes it over.
fn recover_orphan(shared: Arc<Registry>, orphan: Listed) {
    let (client, new) = shared.enter_or_insert(&orphan.id);
    if new {
        let feeding = FeedGuard {
            shared,
            entry: client.entry.clone(),
        };
        feeding.open(orphan.state);
        tokio::spawn(async move { feed(&feeding, FeedRole::Follow).await });
    }
}

/// Holds the sessions that have clients here, so that no other server deletes them. Clients that are
/// [`STALLED`] don't count.
async fn hold(shared: &Arc<Registry>) {
    let read = shared.entries().into_iter().filter(|entry| {
        let needed = shared.options.retention.released.is_some() || !entry.has_writer();
        let is_read = entry.inactive_for() < STALLED && entry.clients() > 0;
        is_read && needed
    });
    run_concurrently(read, |entry| {
        let shared = shared.clone();
        async move {
            // If the session is gone nevertheless, its readers fail.
            let _ = shared.store.hold(&entry.id, shared.holder, HOLD).await;
        }
    })
    .await;
}

/// Runs `work` for each item, at most [`CONCURRENT_CALLS`] at once.
async fn run_concurrently<T, F>(each: impl IntoIterator<Item = T>, work: impl Fn(T) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut at_work = JoinSet::new();
    for one in each {
        if at_work.len() >= CONCURRENT_CALLS {
            at_work.join_next().await;
        }
        at_work.spawn(work(one));
    }
    while at_work.join_next().await.is_some() {}
}
