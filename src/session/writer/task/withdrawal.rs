//! The withdrawal of a session that turned out never to have been one.

use std::{
    fmt,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::Writer;
use crate::{
    BoxFuture,
    session::{
        ReadError,
        writer::{command::WriterEnd, retry::within},
    },
    store::{DeleteMode, StoreError},
};

/// A withdrawal that the store has not taken yet.
#[derive(Default)]
pub(super) struct Withdrawal {
    call: Option<PendingCall>,
}

struct PendingCall {
    at: Instant,
    answer: BoxFuture<'static, Result<(), StoreError>>,
}

impl Writer {
    /// Withdraws the session: drops the source, and what the store has not acknowledged.
    pub(super) fn withdraw(&mut self) {
        self.end_source();
        // Should it arrive after all, the session is gone, or is another one at another epoch.
        self.append = None;
        self.late_timer = None;
        self.watch.stop();
        self.withdrawal = Some(Box::default());
    }

    /// Polls the withdrawal until the store answers definitely.
    pub(super) fn poll_withdrawal(&mut self, cx: &mut Context<'_>) -> Poll<WriterEnd> {
        let options = &self.shared.options;
        loop {
            let Some(withdrawal) = &mut self.withdrawal else {
                return Poll::Pending;
            };
            let Some(call) = &mut withdrawal.call else {
                if self.releasing && self.retry.outage().is_some() {
                    // The next owner ends it.
                    return Poll::Ready(WriterEnd::Released);
                }
                ready!(self.retry.poll_ready(cx));
                let (store, id) = (self.shared.store.clone(), self.entry.id.clone());
                let how = DeleteMode::Withdrawn(self.buffer.epoch());
                let limit = options.outage_timeout;
                withdrawal.call = Some(PendingCall {
                    at: Instant::now(),
                    answer: Box::pin(async move { within(limit, store.delete(&id, how)).await }),
                });
                continue;
            };
            let answer = ready!(call.answer.as_mut().poll(cx));
            let asked = call.at;
            withdrawal.call = None;
            match answer {
                // Or an earlier call did it, whose answer was lost.
                Ok(()) | Err(StoreError::NotFound) => return Poll::Ready(WriterEnd::Withdrawn),
                Err(StoreError::Fenced | StoreError::Sealed) => {
                    return Poll::Ready(WriterEnd::Fenced);
                }
                Err(error) if !error.is_unavailable() => {
                    return Poll::Ready(WriterEnd::Gone(error));
                }
                Err(_) => self.retry.failed_since(asked),
            }
            if self.retry.outage() >= Some(options.outage_timeout) {
                self.entry.log.fail(ReadError::Unavailable);
            }
            if self.started.elapsed() > options.limits.age + options.outage_timeout {
                return Poll::Ready(WriterEnd::gave_up_on_store());
            }
        }
    }
}

impl fmt::Debug for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Withdrawal").finish_non_exhaustive()
    }
}
