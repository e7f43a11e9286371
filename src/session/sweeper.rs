//! The one task that a registry keeps: renews leases, looks for orphans, holds what is read,
//! deletes what was released, and has the store sweep what expired.

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
    recovery,
    registry::{FeedGuard, Registry},
    writer::{WriterCommand, within},
};
use crate::{
    log::{Epoch, SessionId},
    store::{DeleteMode, LeaseChange, Listed, StoreError},
};

/// The longest pause between two sweeps.
const TICK: Duration = Duration::from_secs(1);
/// How much one sweep takes of orphans, and of what expired.
const ORPHANS: usize = 64;
/// So many orphans that nothing comes of are passed over, to see those behind them.
const PASSED: usize = 1024;
const EXPIRED: usize = 1024;
/// How many calls of the store that go with one session each are made at once.
const AT_ONCE: usize = 32;
/// For how long a session that is read is held at a time.
const HOLD: Duration = Duration::from_secs(30);
/// When a release is tried again that another server's readers stand against, or the store.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Sweeps until the registry is gone.
///
/// Loops side by side, so that what takes long in one keeps no lease from being renewed, and no
/// orphan from being found.
pub(super) async fn sweep(registry: Weak<Registry>, due: Arc<Notify>) {
    let _sweeping = SweeperGuard(registry.clone());
    tokio::join!(
        renewals(&registry),
        findings(&registry),
        holds(&registry),
        releases(&registry, &due),
    );
}

/// Tells the registry when the sweeper ends, even by a panic of the store's.
struct SweeperGuard(Weak<Registry>);

impl Drop for SweeperGuard {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.swept();
        }
    }
}

async fn renewals(registry: &Weak<Registry>) {
    while let Some(shared) = registry.upgrade() {
        let lease = shared.options.lease;
        let renewed = tokio::time::timeout(lease / 3, renew(&shared)).await;
        drop(shared);
        // A lease that the store did not renew runs on: there is time for some more tries.
        let pause = if renewed.unwrap_or(false) {
            lease / 4
        } else {
            lease / 20
        };
        tokio::time::sleep(TICK.min(pause)).await;
    }
}

async fn findings(registry: &Weak<Registry>) {
    let mut listed = HashSet::new();
    let mut passed = 0;
    while let Some(shared) = registry.upgrade() {
        let lease = shared.options.lease;
        let found = orphans(&shared, &mut listed, &mut passed);
        if tokio::time::timeout(lease / 3, found).await.is_err() {
            shared.reach.lost();
        }
        let _ = tokio::time::timeout(lease / 3, shared.store.sweep(EXPIRED)).await;
        drop(shared);
        tokio::time::sleep(TICK.min(lease / 4)).await;
    }
}

async fn holds(registry: &Weak<Registry>) {
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

async fn releases(registry: &Weak<Registry>, due: &Notify) {
    while let Some(shared) = registry.upgrade() {
        release(&shared).await;
        let look = Instant::now() + TICK;
        let wake = shared.next_release().map_or(look, |next| next.min(look));
        drop(shared);
        let _ = tokio::time::timeout_at(wake, due.notified()).await;
    }
}

/// Deletes what was released and nobody came back to.
async fn release(shared: &Arc<Registry>) {
    side_by_side(shared.released(), |id| {
        let shared = shared.clone();
        async move {
            let deleted = shared
                .store
                .delete(&id, DeleteMode::Released(shared.holder));
            let deleted = within(shared.options.lease / 3, deleted).await;
            let again = match deleted {
                Ok(()) | Err(StoreError::NotFound | StoreError::Gone(_)) => None,
                Err(_) => Some(Instant::now() + TRY_AGAIN),
            };
            shared.release_done(&id, again);
        }
    })
    .await;
}

/// Renews what has used up a third of its lease. Says whether the store answered for all.
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
            // Unless the session was claimed here anew meanwhile.
            Err(StoreError::Fenced) if entry.owned().is_some_and(|it| it.epoch == *epoch) => {
                entry.command(WriterCommand::Fenced);
            }
            Err(error) if error.is_unavailable() => answered = false,
            // The writer's next append says what happened.
            Err(_) => {}
        }
    }
    answered
}

/// Claims what nobody works on. Of the orphans that there were the last time, `passed` may be passed
/// over: this server can't read them, has no room for them, or is at it.
async fn orphans(shared: &Arc<Registry>, listed: &mut HashSet<SessionId>, passed: &mut usize) {
    let orphans = match shared.store.orphans(ORPHANS + *passed).await {
        Ok(orphans) => orphans,
        Err(error) if error.is_unavailable() => return shared.reach.lost(),
        Err(_) => return,
    };
    shared.reach.reached(shared.options.lease);
    let is_foreign = |orphan: &&Listed| orphan.state.info.format != shared.format.number();
    let nothing_comes = |orphan: &&Listed| is_foreign(orphan) || listed.contains(&orphan.id);
    *passed = orphans.iter().filter(nothing_comes).count().min(PASSED);
    *listed = orphans.iter().map(|orphan| orphan.id.clone()).collect();
    if shared.is_closing() {
        return;
    }
    for orphan in orphans {
        // Our own writer is alive: the next renewal brings its lease back, if nobody was faster.
        let ours = shared
            .entry(&orphan.id)
            .is_some_and(|entry| entry.owned().is_some());
        if !ours && !is_foreign(&&orphan) && shared.may_claim(orphan.state.lease) {
            let shared = shared.clone();
            if shared.can_carry_on(&orphan.state) {
                take_up(shared, orphan);
            } else {
                tokio::spawn(async move {
                    recovery::seal(&shared, &orphan.id, orphan.state).await;
                });
            }
        }
    }
}

/// Follows an orphan, unless somebody does here; who follows it takes it over.
fn take_up(shared: Arc<Registry>, orphan: Listed) {
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

async fn hold(shared: &Arc<Registry>) {
    let read = shared.entries().into_iter().filter(|entry| {
        let needed = shared.options.retention.released.is_some() || entry.owned().is_none();
        entry.clients() > 0 && needed
    });
    side_by_side(read, |entry| {
        let shared = shared.clone();
        async move {
            // A session that is gone all the same fails its readers by itself.
            let _ = shared.store.hold(&entry.id, shared.holder, HOLD).await;
        }
    })
    .await;
}

/// Does this for each, so many at once.
async fn side_by_side<T, F>(each: impl IntoIterator<Item = T>, work: impl Fn(T) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut at_work = JoinSet::new();
    for one in each {
        if at_work.len() >= AT_ONCE {
            at_work.join_next().await;
        }
        at_work.spawn(work(one));
    }
    while at_work.join_next().await.is_some() {}
}
