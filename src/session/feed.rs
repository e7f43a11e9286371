//! The task that publishes into a hot log, as the session's writer or as a follower of another
//! server's writer. A fenced writer becomes a follower, and a follower that takes over an orphan
//! becomes its writer. Readers continue through both changes.

use bytes::Bytes;

use super::{
    ReadError,
    follower::{FollowEnd, follow},
    recovery::{ContinuedSession, give_back},
    registry::FeedGuard,
    sealed_hook::SealedHook,
    writer::{Writer, WriterEnd},
};
use crate::{log::Epoch, metrics};

/// The current role of the task that feeds an entry.
pub(super) enum FeedRole {
    Write(Box<WriterRole>),
    Follow,
}

/// A session that this server writes.
pub(super) struct WriterRole {
    pub(super) writer: Writer,
    pub(super) epoch: Epoch,
    pub(super) first: Option<Bytes>,
    pub(super) on_sealed: Option<SealedHook>,
}

impl WriterRole {
    fn of(feeding: &FeedGuard, taken: ContinuedSession) -> Self {
        let (shared, entry) = (feeding.shared.clone(), feeding.entry.clone());
        let continuation = taken.continuation;
        let writer = Writer::new(
            shared,
            entry,
            taken.epoch,
            taken.commands,
            continuation.source,
            taken.permit,
        );
        Self {
            writer: writer
                .with_inbox(continuation.inbox)
                .resuming(taken.usage, taken.age),
            epoch: taken.epoch,
            first: continuation.first,
            on_sealed: continuation.on_sealed,
        }
    }
}

/// Feeds the entry until the session has ended, or this server doesn't need it any more.
pub(super) async fn feed(feeding: &FeedGuard, mut role: FeedRole) {
    loop {
        role = match role {
            // Boxed, so that the task of a writer doesn't keep room for a follower.
            FeedRole::Follow => match Box::pin(follow(&feeding.shared, &feeding.entry)).await {
                FollowEnd::Over => return,
                FollowEnd::TakenOver(taken) => {
                    FeedRole::Write(Box::new(WriterRole::of(feeding, *taken)))
                }
            },
            FeedRole::Write(writing) => match write(feeding, writing).await {
                Some(next) => next,
                None => return,
            },
        };
    }
}

/// Runs a writer where it lies, since a move would need its room a second time in the task.
async fn write(feeding: &FeedGuard, mut writing: Box<WriterRole>) -> Option<FeedRole> {
    let FeedGuard { shared, entry } = feeding;
    if let Some(first) = writing.first.take() {
        writing.writer.begin_with(&first);
    }
    let end = writing.writer.run().await;
    let WriterRole {
        writer,
        epoch,
        on_sealed,
        ..
    } = *writing;
    let permit = writer.into_permit();
    if matches!(end, WriterEnd::Withdrawn) {
        // First, so that a start that follows finds the id free.
        shared.forget(entry);
    }
    entry.clear_owned();
    // A shutdown waits for the permits: until a lease is given back, or a hook is counted.
    let next = match end {
        WriterEnd::Sealed(outcome) => {
            tracing::debug!(?outcome, "a session ended");
            if let Some(meta) = entry.meta() {
                metrics::count_ended(&meta.service, outcome);
            }
            if entry.meta().is_some_and(|meta| meta.outbox.is_some()) {
                shared.outbox.wake();
            }
            if let Some(hook) = on_sealed {
                shared.sealed_hooks.spawn(hook, outcome);
            }
            None
        }
        WriterEnd::Fenced => Some(FeedRole::Follow),
        WriterEnd::Withdrawn => {
            tracing::debug!("a session was withdrawn");
            entry.log.fail(ReadError::NotFound);
            None
        }
        WriterEnd::Gone(error) => {
            entry.log.fail(error.into());
            None
        }
        WriterEnd::Released => {
            Box::pin(give_back(shared, &entry.id, epoch)).await;
            entry.log.fail(ReadError::ShutDown);
            None
        }
    };
    drop(permit);
    next
}
