//! The one task that a registry keeps: renews leases, looks for orphans, holds what is read,
//! deletes what was released, and has the store sweep what expired.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    Epoch, SessionId,
    entry::Entry,
    recovery,
    registry::Shared,
    writer::{Command, within},
};
use crate::store::{Delete, StoreError};

/// The longest pause between two sweeps.
const TICK: Duration = Duration::from_secs(1);
/// How much one sweep takes of orphans, and of what expired.
const ORPHANS: usize = 64;
const EXPIRED: usize = 1024;
/// For how long a session that is read is held at a time.
const HOLD: Duration = Duration::from_secs(30);
/// When a release is tried again that another server's readers stand against, or the store.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Sweeps until the registry is gone.
///
/// Two loops side by side, so that nothing keeps the leases from being renewed.
pub(super) async fn sweep(registry: Weak<Shared>, due: Arc<Notify>) {
    let _sweeping = Sweeping(registry.clone());
    tokio::join!(renewals(&registry), chores(&registry, &due));
}

/// Tells the registry when the sweeper ends, even by a panic of the store's.
struct Sweeping(Weak<Shared>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.swept();
        }
    }
}

async fn renewals(registry: &Weak<Shared>) {
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

async fn chores(registry: &Weak<Shared>, due: &Notify) {
    let mut next = Instant::now();
    let mut held: Option<Instant> = None;
    loop {
        let wake = {
            let Some(shared) = registry.upgrade() else {
                return;
            };
            release(&shared).await;
            if next <= Instant::now() {
                let limit = shared.options.lease / 3;
                if tokio::time::timeout(limit, orphans(&shared)).await.is_err() {
                    shared.reach.lost();
                }
                let _ = tokio::time::timeout(limit, shared.store.sweep(EXPIRED)).await;
                if held.is_none_or(|held| held.elapsed() >= HOLD / 3) {
                    held = Some(Instant::now());
                    let _ = tokio::time::timeout(HOLD / 3, hold(&shared)).await;
                }
                next = Instant::now() + TICK.min(shared.options.lease / 4);
            }
            shared
                .next_release()
                .map_or(next, |release| release.min(next))
        };
        let _ = tokio::time::timeout_at(wake, due.notified()).await;
    }
}

/// Deletes what was released and nobody came back to.
async fn release(shared: &Arc<Shared>) {
    for id in shared.released() {
        let deleted = shared.store.delete(&id, Delete::Released(shared.holder));
        let deleted = within(shared.options.lease / 3, deleted).await;
        let again = match deleted {
            Ok(()) | Err(StoreError::NotFound | StoreError::Gone(_)) => None,
            Err(_) => Some(Instant::now() + TRY_AGAIN),
        };
        shared.release_done(&id, again);
    }
}

/// Renews what has used up a third of its lease. Says whether the store answered for all.
async fn renew(shared: &Arc<Shared>) -> bool {
    let lease = shared.options.lease;
    let now = Instant::now();
    let (entries, owned): (Vec<Arc<Entry>>, Vec<(SessionId, Epoch)>) = shared
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
    let answers = shared.store.renew(&owned, lease).await;
    for ((entry, (_, epoch)), answer) in entries.iter().zip(&owned).zip(answers) {
        match answer {
            Ok(state) => {
                entry.extend_lease(*epoch, now + lease);
                if let Some(abort) = state.abort {
                    entry.command(Command::Abort(abort));
                }
            }
            Err(StoreError::Fenced) => entry.command(Command::Fenced),
            Err(error) if error.is_unavailable() => answered = false,
            // The writer's next append says what happened.
            Err(_) => {}
        }
    }
    answered
}

async fn orphans(shared: &Arc<Shared>) {
    let orphans = match shared.store.orphans(ORPHANS).await {
        Ok(orphans) => orphans,
        Err(error) if error.is_unavailable() => return shared.reach.lost(),
        Err(_) => return,
    };
    shared.reach.reached(shared.options.lease);
    if shared.is_closing() {
        return;
    }
    for orphan in orphans {
        // Our own writer is alive: the next renewal brings its lease back, if nobody was faster.
        let ours = shared
            .entry(&orphan.id)
            .is_some_and(|entry| entry.owned().is_some());
        if !ours && shared.may_claim(orphan.state.lease) {
            let shared = shared.clone();
            tokio::spawn(async move {
                recovery::recover(&shared, &orphan.id, orphan.state).await;
            });
        }
    }
}

async fn hold(shared: &Arc<Shared>) {
    for entry in shared.entries() {
        let needed = shared.options.retention.released.is_some() || entry.owned().is_none();
        if entry.clients() > 0 && needed {
            // A session that is gone all the same fails its readers by itself.
            let _ = shared.store.hold(&entry.id, shared.holder, HOLD).await;
        }
    }
}
