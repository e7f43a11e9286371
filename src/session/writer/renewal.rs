use std::task::{Context, Poll};

use tokio::time::Instant;

use super::retry::Retry;
use crate::{
    BoxFuture,
    log::Epoch,
    session::{entry::SessionEntry, registry::Registry},
    store::{LeaseChange, SessionState, StoreError},
};

/// Renews the lease where a writer can't continue without one: before the first poll of the source,
/// and after a barrier. Otherwise the appends renew it.
#[derive(Default)]
pub(super) struct LeaseRenewal {
    sent: Option<PendingRenewal>,
    retry: Retry,
}

struct PendingRenewal {
    at: Instant,
    answer: BoxFuture<'static, Result<SessionState, StoreError>>,
}

impl LeaseRenewal {
    /// Ready once the lease runs, or with the store's refusal. Retries during an outage of the
    /// store.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Registry,
        entry: &SessionEntry,
        epoch: Epoch,
    ) -> Poll<Result<(), StoreError>> {
        let lease = shared.options.lease;
        loop {
            std::task::ready!(self.retry.poll_ready(cx));
            let sent = self.sent.get_or_insert_with(|| {
                let (store, id) = (shared.store.clone(), entry.id.clone());
                PendingRenewal {
                    at: Instant::now(),
                    answer: Box::pin(async move {
                        let answer = store
                            .renew(&[(id, epoch)], LeaseChange::Extend(lease))
                            .await
                            .pop();
                        answer.unwrap_or(Err(StoreError::NotFound))
                    }),
                }
            });
            let answer = std::task::ready!(sent.answer.as_mut().poll(cx));
            // Counted from the call: the store may have applied it long before this poll.
            let until = sent.at + lease;
            self.sent = None;
            match answer {
                Ok(_) => {
                    entry.extend_lease(epoch, until);
                    if entry.is_owned() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Err(StoreError::Unavailable { .. }) => self.retry.failed(),
                Err(refusal) => return Poll::Ready(Err(refusal)),
            }
        }
    }
}
