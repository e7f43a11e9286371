use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    BoxFuture,
    session::{Inbox, entry::SessionEntry, registry::Registry},
    store::{AnswerOutcome, StoreError, StoredAnswer},
};

use super::Retry;

/// Fetches the answers to a session's source from the store into its inbox, and closes the names for
/// which the source doesn't wait any more.
pub(super) struct AnswerCollector {
    inbox: Inbox,
    // How many answers were fetched, and how many the store is known to hold.
    fetched: usize,
    available: usize,
    fetching: Option<BoxFuture<'static, Result<Vec<StoredAnswer>, StoreError>>>,
    retry: Retry,
    closing: Option<PendingClose>,
    // The store holds an answer of which this server was not notified.
    refetch: bool,
    close_retry: Retry,
}

/// A name to close, and the call of the store that closes it.
struct PendingClose {
    name: Arc<str>,
    sent: Option<BoxFuture<'static, Result<AnswerOutcome, StoreError>>>,
}

impl AnswerCollector {
    pub(super) fn new(inbox: Inbox) -> Self {
        Self {
            inbox,
            fetched: 0,
            available: 0,
            fetching: None,
            retry: Retry::default(),
            closing: None,
            refetch: false,
            close_retry: Retry::default(),
        }
    }

    /// Sets how many answers the store holds.
    pub(super) fn set_available(&mut self, count: usize) {
        if count < self.fetched {
            // The store has lost some; later answers may have taken their places.
            self.fetched = 0;
        }
        self.available = count;
    }

    /// Delivers the answers, and closes the names that are to be closed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, shared: &Registry, entry: &SessionEntry) {
        loop {
            self.poll_answers(cx, shared, entry);
            if self.poll_closings(cx, shared, entry).is_pending() {
                return;
            }
        }
    }

    /// Ready if there are answers to fetch.
    fn poll_closings(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Registry,
        entry: &SessionEntry,
    ) -> Poll<()> {
        loop {
            let closing = match &mut self.closing {
                Some(closing) => closing,
                None => self.closing.insert(PendingClose {
                    name: std::task::ready!(self.inbox.poll_close(cx)),
                    sent: None,
                }),
            };
            if self.inbox.has(&closing.name) {
                self.closing = None;
                self.close_retry.reset();
                continue;
            }
            if closing.sent.is_none() {
                std::task::ready!(self.close_retry.poll_ready(cx));
                if !entry.is_owned() {
                    // Another server may own the session by now, and still wait for the answer.
                    self.close_retry.failed();
                    continue;
                }
            }
            let sent = closing.sent.get_or_insert_with(|| {
                let (store, id) = (shared.store.clone(), entry.id.clone());
                let closed = StoredAnswer::closed(Arc::clone(&closing.name));
                Box::pin(async move { store.answer(&id, closed).await })
            });
            let answer = std::task::ready!(sent.as_mut().poll(cx));
            closing.sent = None;
            match answer {
                Ok(AnswerOutcome::Taken) => {
                    // All answers are read again: in a store that has lost some, this one may have
                    // the place of one that was fetched. If it isn't found, the name is closed again.
                    self.refetch = true;
                    self.fetched = 0;
                    self.fetching = None;
                    self.close_retry.failed();
                    return Poll::Ready(());
                }
                Err(error) if error.is_unavailable() => self.close_retry.failed(),
                // A session that is full, or has ended, takes no answer either.
                Ok(AnswerOutcome::Stored(_)) | Err(_) => {
                    let closed = StoredAnswer::closed(Arc::clone(&closing.name));
                    self.inbox.deliver(vec![closed]);
                }
            }
        }
    }

    fn poll_answers(&mut self, cx: &mut Context<'_>, shared: &Registry, entry: &SessionEntry) {
        while self.fetching.is_some() || self.refetch || self.fetched < self.available {
            if self.fetching.is_none() && self.retry.poll_ready(cx).is_pending() {
                return;
            }
            let fetching = self.fetching.get_or_insert_with(|| {
                let (store, id, after) = (shared.store.clone(), entry.id.clone(), self.fetched);
                Box::pin(async move { store.answers(&id, after).await })
            });
            let Poll::Ready(answer) = Pin::new(fetching).poll(cx) else {
                return;
            };
            self.fetching = None;
            match answer {
                Ok(answers) => {
                    self.refetch = false;
                    self.fetched += answers.len();
                    self.inbox.deliver(answers);
                    if self.fetched >= self.available {
                        self.retry.reset();
                        self.available = self.fetched;
                    } else {
                        // The store has lost an answer of which it had notified. If the answer is
                        // given again, the count doesn't grow, and no notification comes.
                        self.retry.failed();
                    }
                }
                Err(error) if error.is_unavailable() => self.retry.failed(),
                // The append or the watch gets the same error.
                Err(error) => {
                    tracing::debug!(%error, "the answers to a session can't be read");
                    self.available = self.fetched;
                    self.refetch = false;
                }
            }
        }
    }
}

impl Drop for AnswerCollector {
    fn drop(&mut self) {
        self.inbox.end();
    }
}
