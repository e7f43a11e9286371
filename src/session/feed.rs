//! The task that publishes into a hot log, as the session's writer or as a follower of another
//! server's writer. A fenced writer becomes a follower, and a follower that takes over an orphan
//! becomes its writer. Readers continue through both changes.

use bytes::Bytes;

use super::{
    ReadError,
    follower::{self, FollowEnd},
    recovery::{ContinuedSession, give_back},
    registry::FeedGuard,
    writer::{Writer, WriterEnd},
};
use crate::log::{Epoch, Outcome};

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
    pub(super) on_sealed: Option<Box<dyn FnOnce(Outcome) + Send>>,
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
            FeedRole::Follow => match follower::follow(&feeding.shared, &feeding.entry).await {
                FollowEnd::Over => return,
                FollowEnd::TakenOver(taken) => {
                    FeedRole::Write(Box::new(WriterRole::of(feeding, *taken)))
                }
            },
            FeedRole::Write(writing) => match write(feeding, *writing).await {
                Some(next) => next,
                None => return,
            },
        };
    }
}

async fn write(feeding: &FeedGuard, writing: WriterRole) -> Option<FeedRole> {
    let FeedGuard { shared, entry } = feeding;
    let WriterRole {
        writer,
        epoch,
        first,
        on_sealed,
    } = writing;
    let (end, permit) = writer.run(first.as_deref()).await;
    entry.clear_owned();
    // A shutdown waits for the permits of writers that still have a lease to give back.
    let permit = matches!(end, WriterEnd::Released).then_some(permit);
    let next = match end {
        WriterEnd::Sealed(outcome) => {
            tracing::debug!(?outcome, "a session ended");
            if let Some(hook) = on_sealed {
                hook(outcome);
            }
            None
        }
        WriterEnd::Fenced => Some(FeedRole::Follow),
        WriterEnd::Gone(error) => {
            entry.log.fail(error.into());
            None
        }
        WriterEnd::Released => {
            give_back(shared, &entry.id, epoch).await;
            entry.log.fail(ReadError::ShutDown);
            None
        }
    };
    drop(permit);
    next
}
