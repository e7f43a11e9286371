use std::{
    collections::HashMap,
    fmt,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::store::StoredAnswer;

/// Where the answers to what a source asks arrive, on whatever server they were
/// [given](super::Sessions::answer). Cheap to clone; all clones are the same.
///
/// Make one, give it to whoever asks, and hand it in with the [`SessionSpec`](super::SessionSpec), or the
/// [`Continuation`](super::Continuation), of the session. An answer that was given to a former owner of the
/// session arrives here, too.
#[derive(Clone)]
pub struct Inbox {
    inner: Arc<InboxInner>,
}

struct InboxInner {
    arrived: watch::Sender<InboxState>,
    close: mpsc::UnboundedSender<Arc<str>>,
    // What the session's writer is to close.
    to_close: Mutex<mpsc::UnboundedReceiver<Arc<str>>>,
}

#[derive(Default)]
struct InboxState {
    answers: HashMap<Arc<str>, Option<Bytes>>,
    // The session has ended, or is another server's: nothing arrives here any more.
    over: bool,
}

impl Inbox {
    /// Without any answer yet.
    pub fn new() -> Self {
        let (close, to_close) = mpsc::unbounded_channel();
        Self {
            inner: Arc::new(InboxInner {
                arrived: watch::Sender::default(),
                close,
                to_close: Mutex::new(to_close),
            }),
        }
    }

    /// Waits for the answer under this name; `None` if it was [closed](Self::close) instead, here or
    /// by a former owner of the session, or if this server is done with the session before there is
    /// one.
    ///
    /// Level-triggered and cancel-safe: one that has arrived before is given at once, and again to
    /// whoever asks again.
    pub async fn recv(&self, name: &str) -> Option<Bytes> {
        let mut arrived = self.inner.arrived.subscribe();
        let settled = |all: &InboxState| all.over || all.answers.contains_key(name);
        if let Ok(all) = arrived.wait_for(settled).await {
            return all.answers.get(name).cloned().flatten();
        }
        // The sender is in `self`, so it isn't gone.
        pending().await
    }

    /// From then on no answer is taken under this name, on any server: [`Answered::Taken`] is what
    /// becomes of it. One that was stored before is given, though it may not have arrived yet;
    /// `None` if there is none, or if this server is done with the session.
    ///
    /// Waits for the store, for the lease if that ran out, and in a session that hasn't begun for its
    /// beginning. Dropping the future doesn't take it back.
    ///
    /// [`Answered::Taken`]: crate::store::AnswerOutcome::Taken
    pub async fn close(&self, name: &str) -> Option<Bytes> {
        // The receiver is in `self`, so it isn't gone.
        let _ = self.inner.close.send(name.into());
        self.recv(name).await
    }

    /// Nothing arrives here any more.
    pub(super) fn end(&self) {
        self.inner.arrived.send_modify(|all| all.over = true);
    }

    /// The next name that is to be closed.
    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Arc<str>> {
        let to_close = self.inner.to_close.lock();
        let mut to_close = to_close.unwrap_or_else(PoisonError::into_inner);
        match std::task::ready!(to_close.poll_recv(cx)) {
            Some(name) => Poll::Ready(name),
            // The sender is in `self`, so it isn't gone.
            None => Poll::Pending,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.inner.arrived.borrow().answers.contains_key(name)
    }

    /// These have arrived. The first answer under a name counts.
    pub(super) fn deliver(&self, answers: Vec<StoredAnswer>) {
        self.inner.arrived.send_if_modified(|all| {
            let before = all.answers.len();
            for StoredAnswer { name, content } in answers {
                all.answers.entry(name).or_insert(content);
            }
            all.answers.len() > before
        });
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("arrived", &self.inner.arrived.borrow().answers.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_told_and_so_is_who_comes_later() {
        let inbox = Inbox::new();
        let given = async {
            tokio::task::yield_now().await;
            inbox.deliver(vec![StoredAnswer::new("other", "1")]);
            tokio::task::yield_now().await;
            inbox.deliver(vec![
                StoredAnswer::new("mine", "2"),
                StoredAnswer::new("other", "3"),
            ]);
        };
        let (mine, ()) = tokio::join!(inbox.recv("mine"), given);
        assert_eq!(mine.unwrap(), "2");
        assert_eq!(inbox.recv("mine").await.unwrap(), "2");
        let other = inbox.recv("other").await.unwrap();
        assert_eq!(other, "1", "the first one counts");
    }

    #[tokio::test]
    async fn what_was_closed_has_no_answer() {
        let inbox = Inbox::new();
        let owner = async {
            let name = std::future::poll_fn(|cx| inbox.poll_close(cx)).await;
            inbox.deliver(vec![StoredAnswer::closed(name)]);
        };
        let (closed, ()) = tokio::join!(inbox.close("one"), owner);
        assert_eq!(closed, None);
        assert_eq!(inbox.recv("one").await, None);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_session_that_is_over() {
        let inbox = Inbox::new();
        inbox.deliver(vec![StoredAnswer::new("in time", "yes")]);
        let end = async {
            tokio::task::yield_now().await;
            inbox.end();
        };
        let (late, ()) = tokio::join!(inbox.recv("late"), end);
        assert_eq!(late, None);
        assert_eq!(inbox.close("later").await, None);
        assert_eq!(inbox.recv("in time").await.unwrap(), "yes");
    }
}
