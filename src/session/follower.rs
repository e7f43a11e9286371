//! A follower: tails the store into a hot log, for the readers of a session that another server
//! writes. One a session and server, however many readers there are.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Position, ReadError, Status,
    entry::Entry,
    flaw::Flaw,
    recovery,
    registry::Shared,
    writer::{Retry, within},
};
use crate::store::{Page, StoreError};

/// The most bytes that one read asks for.
const PAGE_BYTES: usize = 256 * 1024;
/// How long a wait for news lasts; the store may end it sooner.
const WAIT: Duration = Duration::from_secs(2);
/// A wait that ends sooner than this without news was woken for nothing, and the next one pauses.
const SPURIOUS: Duration = Duration::from_millis(10);
/// The first of those pauses; each is twice as long as the last.
const PACE: Duration = Duration::from_millis(10);
const LONGEST_PACE: Duration = Duration::from_secs(1);

/// Follows until the session is sealed, can't be read any more, or nobody has read for a while.
pub(super) async fn follow(shared: &Arc<Shared>, entry: &Arc<Entry>) {
    let mut retry = Retry::default();
    let mut pace = PACE;
    let mut last_used = Instant::now();
    loop {
        retry.ready().await;
        match step(shared, entry, &mut pace).await {
            Ok(Step::Sealed) => return,
            Ok(Step::Followed) => retry.reset(),
            Err(error) if error.is_unavailable() => {
                retry.failed();
                if retry.outage() >= Some(shared.options.patience) {
                    return entry.log.fail(ReadError::Unavailable);
                }
            }
            Err(error) => return entry.log.fail(error.into()),
        }
        if shared.is_releasing() {
            return entry.log.fail(ReadError::ShutDown);
        }
        if entry.clients() > 0 {
            last_used = Instant::now();
        } else if last_used.elapsed() >= shared.options.linger && shared.retire(entry) {
            return;
        }
    }
}

enum Step {
    Followed,
    Sealed,
}

async fn step(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    pace: &mut Duration,
) -> Result<Step, StoreError> {
    let end = entry.log.end();
    // A follower that begins in the middle reads the last record too, to learn who wrote it: only
    // a tagged position can be judged.
    let from = match end.tag {
        Some(_) if !shared.flawed(Flaw::ReadsOnAfterRewind) => end,
        _ => Position::after(end.lsn.before()),
    };
    let read = shared.store.read(&entry.id, from, PAGE_BYTES);
    let Page { chunks, state } = within(shared.options.patience, read).await?;
    if state.tail < end.lsn && !shared.flawed(Flaw::ReadsOnAfterRewind) {
        return Err(StoreError::Rewound { tail: state.tail });
    }
    let reached = chunks.last().map_or(end.lsn, super::Chunk::last);
    // Only the page that reaches the tail may say how the session stands: a reader that has the
    // last record of a sealed log is done.
    let caught_up = reached == state.tail;
    let empty = chunks.is_empty();
    let status = if caught_up {
        state.status
    } else {
        Status::Streaming
    };
    let news = !empty || status != entry.log.status();
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
        return Ok(Step::Followed);
    }
    if status.outcome().is_some() {
        return Ok(Step::Sealed);
    }
    if shared.may_claim(state.lease) {
        recovery::recover(shared, &entry.id, state.clone()).await;
    }
    let seen = state.version();
    let changed = shared.store.changed(&entry.id, seen, WAIT);
    let began = Instant::now();
    if shared.flawed(Flaw::TrustsWakeups) {
        changed.await?;
        if began.elapsed() >= WAIT {
            std::future::pending::<()>().await;
        }
        return Ok(Step::Followed);
    }
    let now = changed.await?;
    if seen.is_behind(&now.version()) || began.elapsed() >= SPURIOUS {
        *pace = PACE;
    } else {
        // The store may wake us for nothing, but not as often as it likes.
        tokio::time::sleep(*pace).await;
        *pace = LONGEST_PACE.min(*pace * 2);
    }
    Ok(Step::Followed)
}
