use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    session::{Inbox, entry::SessionEntry, registry::Registry},
    store::{AnswerOutcome, BoxFuture, StoreError, StoredAnswer},
};

use super::Retry;

/// Fetches what is answered to a session's source from the store, as often as there is more of it,
/// and closes what the source waits for no longer.
pub(super) struct AnswerCollector {
    inbox: Inbox,
    // How many were fetched, and how many there are as far as we know.
    fetched: usize,
    there: usize,
    fetching: Option<BoxFuture<'static, Result<Vec<StoredAnswer>, StoreError>>>,
    retry: Retry,
    closing: Option<PendingClose>,
    // An answer is in the store that nobody told of.
    untold: bool,
    closings: Retry,
}

/// A name under which no answer is taken any more, once the store knows it.
struct PendingClose {
    name: Arc<str>,
    sent: Option<BoxFuture<'static, Result<AnswerOutcome, StoreError>>>,
}

impl AnswerCollector {
    pub(super) fn new(inbox: Inbox) -> Self {
        Self {
            inbox,
            fetched: 0,
            there: 0,
            fetching: None,
            retry: Retry::default(),
            closing: None,
            untold: false,
            closings: Retry::default(),
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

    /// Delivers what there is, and closes what is to be closed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, shared: &Registry, entry: &SessionEntry) {
        loop {
            self.poll_answers(cx, shared, entry);
            if self.poll_closings(cx, shared, entry).is_pending() {
                return;
            }
        }
    }

    /// Ready if there is something to fetch.
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
                self.closings.reset();
                continue;
            }
            if closing.sent.is_none() {
                std::task::ready!(self.closings.poll_ready(cx));
                if !entry.is_owned() {
                    // Perhaps somebody else's by now, who still waits for the answer.
                    self.closings.failed();
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
                    // All are read again: a store that has lost some may have put it in the place
                    // of one that is known here. And if it isn't found the name is closed anew.
                    self.untold = true;
                    self.fetched = 0;
                    self.fetching = None;
                    self.closings.failed();
                    return Poll::Ready(());
                }
                Err(error) if error.is_unavailable() => self.closings.failed(),
                // A session that is full, or has ended, takes no answer either.
                Ok(AnswerOutcome::Stored(_)) | Err(_) => {
                    let closed = StoredAnswer::closed(Arc::clone(&closing.name));
                    self.inbox.deliver(vec![closed]);
                }
            }
        }
    }

    fn poll_answers(&mut self, cx: &mut Context<'_>, shared: &Registry, entry: &SessionEntry) {
        while self.fetching.is_some() || self.untold || self.fetched < self.there {
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
                    self.untold = false;
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
                    self.untold = false;
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
