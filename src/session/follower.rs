//! A follower: tails the store into a hot log, for the readers of a session that another server
//! writes. One a session and server, however many readers there are.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    ReadError,
    entry::SessionEntry,
    recovery::{ContinuedSession, TakeOver, take_over},
    registry::Registry,
    writer::{Retry, within},
};
use crate::{
    log::{Position, Status},
    store::{Lease, RecordPage, Seen, StoreError},
};

/// The most bytes that one read asks for.
const PAGE_BYTES: usize = 256 * 1024;
/// How long a wait for news lasts; the store may end it sooner.
const WAIT: Duration = Duration::from_secs(2);
/// A wait that ends sooner than this without news was woken for nothing, and the next one pauses.
const SPURIOUS: Duration = Duration::from_millis(10);
/// The first of those pauses; each is twice as long as the last.
const PACE: Duration = Duration::from_millis(10);
const LONGEST_PACE: Duration = Duration::from_secs(1);

/// How following ended.
pub(super) enum FollowEnd {
    /// The session is sealed, can't be read any more, or nobody has read for a while.
    Over,
    /// Its writer died, and this server carries it on.
    TakenOver(Box<ContinuedSession>),
}

/// Follows until there is no more to follow, or nobody else to do it for.
pub(super) async fn follow(shared: &Arc<Registry>, entry: &Arc<SessionEntry>) -> FollowEnd {
    let mut retry = Retry::default();
    let mut pace = PACE;
    let mut last_used = Instant::now();
    loop {
        retry.ready().await;
        let mut asked = Instant::now();
        match step(shared, entry, &mut pace, &mut asked).await {
            Ok(FollowStep::Sealed) => return FollowEnd::Over,
            Ok(FollowStep::Released) => {
                entry.log.fail(ReadError::ShutDown);
                return FollowEnd::Over;
            }
            Ok(FollowStep::TakenOver(taken)) => return FollowEnd::TakenOver(taken),
            Ok(FollowStep::Followed) => retry.reset(),
            Err(error) if error.is_unavailable() => {
                retry.failed_since(asked);
                if retry.outage() >= Some(shared.options.patience) {
                    entry.log.fail(ReadError::Unavailable);
                    return FollowEnd::Over;
                }
            }
            Err(error) => {
                entry.log.fail(error.into());
                return FollowEnd::Over;
            }
        }
        if shared.is_releasing() {
            entry.log.fail(ReadError::ShutDown);
            return FollowEnd::Over;
        }
        if entry.clients() > 0 {
            last_used = Instant::now();
        } else if last_used.elapsed() >= shared.options.linger && shared.retire(entry) {
            return FollowEnd::Over;
        }
    }
}

enum FollowStep {
    Followed,
    Sealed,
    Released,
    TakenOver(Box<ContinuedSession>),
}

async fn step(
    shared: &Arc<Registry>,
    entry: &Arc<SessionEntry>,
    pace: &mut Duration,
    // When the store was asked what it last was.
    asked: &mut Instant,
) -> Result<FollowStep, StoreError> {
    let end = entry.log.end();
    // A follower that begins in the middle reads the last record too, to learn who wrote it: only
    // a tagged position can be judged.
    let from = match end.tag {
        Some(_) => end,
        _ => Position::after(end.lsn.before()),
    };
    let read = shared.store.read(&entry.id, from, PAGE_BYTES);
    let RecordPage { chunks, state } = within(shared.options.patience, read).await?;
    if state.tail < end.lsn {
        return Err(StoreError::Rewound { tail: state.tail });
    }
    let reached = chunks.last().map_or(end.lsn, crate::log::Chunk::last);
    // Only the page that reaches the tail may say how the session stands: a reader that has the
    // last record of a sealed log is done.
    let caught_up = reached == state.tail;
    let empty = chunks.is_empty();
    let status = if caught_up {
        state.status
    } else {
        Status::Streaming
    };
    // What readers were told of an outage no longer holds.
    let is_back = entry.log.failure().is_some() && !shared.is_releasing();
    let news = !empty || status != entry.log.status() || is_back;
    if news && !entry.log.publish(chunks, status) {
        return Err(StoreError::Corrupt {
            lsn: entry.log.tail().next(),
        });
    }
    if !caught_up && empty {
        // There should be more, and there isn't: what we have is not what the store has.
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
            Ok(TakeOver::Over(taken)) => return Ok(FollowStep::TakenOver(taken)),
            Ok(TakeOver::Released) => return Ok(FollowStep::Released),
            Ok(TakeOver::Not) => {}
            // Readers go on; the next round tries again.
            Err(error) => tracing::debug!(%error, "an orphan was not recovered this time"),
        }
    }
    let seen = Seen::Reader(state.version());
    let wait = match state.lease {
        // When it is over, it may be for us to go on.
        Lease::Held(lease) => WAIT.min(lease).max(PACE),
        _ => WAIT,
    };
    let changed = shared.store.changed(&entry.id, seen, wait);
    let began = Instant::now();
    *asked = began;
    let now = within(wait + shared.options.patience, changed).await?;
    if seen.is_behind(&now.version()) || began.elapsed() >= SPURIOUS {
        *pace = PACE;
    } else {
        // The store may wake us for nothing, but not as often as it likes.
        tokio::time::sleep(*pace).await;
        *pace = LONGEST_PACE.min(*pace * 2);
    }
    Ok(FollowStep::Followed)
}
