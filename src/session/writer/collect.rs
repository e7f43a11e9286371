use std::{
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    session::{Inbox, SessionId, registry::Shared},
    store::{Answer, BoxFuture, StoreError},
};

use super::Retry;

/// Fetches what is answered to a session's source from the store, as often as there is more of it.
pub(super) struct Collect {
    inbox: Inbox,
    // How many were fetched, and how many there are as far as we know.
    fetched: usize,
    there: usize,
    fetching: Option<BoxFuture<'static, Result<Vec<Answer>, StoreError>>>,
    retry: Retry,
}

impl Collect {
    pub(super) fn new(inbox: Inbox) -> Self {
        Self {
            inbox,
            fetched: 0,
            there: 0,
            fetching: None,
            retry: Retry::default(),
        }
    }

    /// There are so many by now.
    pub(super) fn there_are(&mut self, count: usize) {
        if count < self.fetched {
            // The store has lost some: what comes now may stand in their place.
            self.fetched = 0;
        }
        self.there = count;
    }

    /// Delivers what there is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, shared: &Shared, id: &SessionId) {
        while self.fetching.is_some() || self.fetched < self.there {
            if self.fetching.is_none() && self.retry.poll_ready(cx).is_pending() {
                return;
            }
            let fetching = self.fetching.get_or_insert_with(|| {
                let (store, id, after) = (shared.store.clone(), id.clone(), self.fetched);
                Box::pin(async move { store.answers(&id, after).await })
            });
            let Poll::Ready(answer) = Pin::new(fetching).poll(cx) else {
                return;
            };
            self.fetching = None;
            match answer {
                Ok(answers) => {
                    self.fetched += answers.len();
                    self.inbox.deliver(answers);
                    if self.fetched >= self.there {
                        self.retry.reset();
                        self.there = self.fetched;
                    } else {
                        // The store has lost what it told of. It may be given again, and then nobody
                        // is told: what is waited for is as many.
                        self.retry.failed();
                    }
                }
                Err(error) if error.is_unavailable() => self.retry.failed(),
                // The append, or the watch, will say what has become of the session.
                Err(error) => {
                    tracing::debug!(%error, "the answers to a session can't be read");
                    self.there = self.fetched;
                }
            }
        }
    }
}
