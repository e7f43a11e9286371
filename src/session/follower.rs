//! A follower tails the store into a hot log, for the readers of a session that another server
//! writes. Each server has one per session, for any number of readers.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Permit, ReadError,
    entry::SessionEntry,
    recovery::{ContinuedSession, TakeOver, take_over},
    registry::Registry,
    writer::{Retry, within},
};
use crate::{
    log::{Lsn, Position, Status},
    store::{Lease, RecordPage, Seen, StoreError},
};

/// The most bytes that one read asks for.
const PAGE_BYTES: usize = 256 * 1024;
/// The longest wait for a change; the store may end it sooner.
const WAIT: Duration = Duration::from_secs(2);
/// A wait that ends sooner than this without a change was spurious, and the next one pauses.
const SPURIOUS: Duration = Duration::from_millis(10);
/// The first pause after a spurious wake-up; each is twice as long as the last.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause after a spurious wake-up.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The reason why following ended.
pub(super) enum FollowEnd {
    /// The session is sealed, can't be read any more, or had no reader for a while.
    Over,
    /// The session was an orphan, and this server continues it.
    TakenOver(Box<ContinuedSession>),
}

/// Follows a session until it ends, has no more readers, or is taken over.
pub(super) async fn follow(shared: &Arc<Registry>, entry: &Arc<SessionEntry>) -> FollowEnd {
    let mut retry = Retry::default();
    let mut pause = MIN_PAUSE;
    let mut last_used = Instant::now();
    let mut place: Option<Permit> = None;
    loop {
        retry.ready().await;
        if !shared.has_entry(entry) {
            // The store did not have the session. It may have another one under its id.
            entry.log.fail(ReadError::NotFound);
            return FollowEnd::Over;
        }
        let mut asked = Instant::now();
        match step(shared, entry, &mut pause, &mut asked).await {
            Ok(FollowStep::Sealed) => return FollowEnd::Over,
            Ok(FollowStep::SealedHere(permit)) => {
                // A shutdown waits for it, so that readers get the seal.
                place = permit;
                retry.reset();
                continue;
            }
            Ok(FollowStep::Released) => {
                entry.log.fail(ReadError::ShutDown);
                return FollowEnd::Over;
            }
            Ok(FollowStep::TakenOver(taken)) => return FollowEnd::TakenOver(taken),
            Ok(FollowStep::Followed) => retry.reset(),
            Err(error) if error.is_unavailable() => {
                retry.failed_since(asked);
                if retry.outage() >= Some(shared.options.outage_timeout) {
                    entry.log.fail(ReadError::Unavailable);
                    return FollowEnd::Over;
                }
            }
            Err(error) => {
                entry.log.fail(error.into());
                return FollowEnd::Over;
            }
        }
        drop(place.take());
        if shared.is_releasing() {
            entry.log.fail(ReadError::ShutDown);
            return FollowEnd::Over;
        }
        if entry.clients() > 0 {
            last_used = Instant::now();
        } else if last_used.elapsed() >= shared.options.follower_linger
            && !entry.has_waiting_start()
            && shared.retire(entry)
        {
            return FollowEnd::Over;
        }
    }
}

enum FollowStep {
    Followed,
    Sealed,
    /// This server has just sealed it. The next step reads the seal.
    SealedHere(Option<Permit>),
    Released,
    TakenOver(Box<ContinuedSession>),
}

async fn step(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    pause: &mut Duration,
    // When the latest call of the store began.
    asked: &mut Instant,
) -> Result<FollowStep, StoreError> {
    let end = entry.log.end();
    // A follower that begins in the middle reads the last record too, to learn its epoch: the store
    // can check only a tagged position.
    let from = match end.tag {
        Some(_) => end,
        _ => Position::after(end.lsn.before()),
    };
    let read = shared.store.read(&entry.id, from, PAGE_BYTES);
    let RecordPage { chunks, state } = within(shared.options.outage_timeout, read).await?;
    if state.tail < end.lsn {
        return Err(StoreError::Rewound { tail: state.tail });
    }
    if state.tail > Lsn::ZERO || state.abort.is_some() || shared.is_closing() {
        // Its owner has begun it, or it isn't to begin.
        drop(entry.take_waiting_start());
    }
    let reached = chunks.last().map_or(end.lsn, crate::log::Chunk::last);
    // Only the page that reaches the tail carries the status: a reader of a sealed log is done at
    // the last record that it has.
    let caught_up = reached == state.tail;
    let empty = chunks.is_empty();
    let status = if caught_up {
        state.status
    } else {
        Status::Streaming
    };
    // Publishing also clears an outage that readers were failed with.
    let is_back = entry.log.failure().is_some() && !shared.is_releasing();
    let has_changed = !empty || status != entry.log.status() || is_back;
    if has_changed && !entry.log.publish(chunks, status) {
        return Err(StoreError::Corrupt {
            lsn: entry.log.tail().next(),
        });
    }
    if !caught_up && empty {
        // An empty page before the tail: the store doesn't hold what was published here.
        return Err(StoreError::Rewound { tail: state.tail });
    }
    if !caught_up {
        return Ok(FollowStep::Followed);
    }
    if status.outcome().is_some() {
        return Ok(FollowStep::Sealed);
    }
    if shared.may_claim(state.lease) {
        match take_over(shared, entry, &state).await {
            Ok(TakeOver::Continued(taken)) => return Ok(FollowStep::TakenOver(taken)),
            Ok(TakeOver::Released) => return Ok(FollowStep::Released),
            Ok(TakeOver::Sealed(permit)) => return Ok(FollowStep::SealedHere(permit)),
            Ok(TakeOver::Declined) => {}
            // Readers continue, and the next step tries again.
            Err(error) => tracing::debug!(%error, "an orphan was not recovered this time"),
        }
    }
    let seen = Seen::Reader(state.version());
    let wait = match state.lease {
        // When the lease is over, this server may have to take over.
        Lease::Held(lease) => WAIT.min(lease).max(MIN_PAUSE),
        _ => WAIT,
    };
    let changed = shared.store.changed(&entry.id, seen, wait);
    let began = Instant::now();
    *asked = began;
    let now = within(wait + shared.options.outage_timeout, changed).await?;
    if seen.is_behind(&now.version()) || began.elapsed() >= SPURIOUS {
        *pause = MIN_PAUSE;
    } else {
        tokio::time::sleep(*pause).await;
        *pause = MAX_PAUSE.min(*pause * 2);
    }
    Ok(FollowStep::Followed)
}
