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

/// The inbox through which a source receives the answers to its questions.
///
/// Create one, give a clone to the source, and hand it in with the
/// [`SessionSpec`](super::SessionSpec) or the [`Continuation`](super::Continuation) of the session.
/// Answers arrive from whichever server [took](super::Sessions::answer) them, and also those that a
/// former owner of the session took. Clones are cheap and share one inbox.
#[derive(Clone)]
pub struct Inbox {
    inner: Arc<InboxInner>,
}

struct InboxInner {
    arrived: watch::Sender<InboxState>,
    close: mpsc::UnboundedSender<Arc<str>>,
    // The names that the session's writer must close.
    to_close: Mutex<mpsc::UnboundedReceiver<Arc<str>>>,
}

#[derive(Default)]
struct InboxState {
    answers: HashMap<Arc<str>, Option<Bytes>>,
    // The session has ended, or another server owns it: no more answers arrive.
    over: bool,
}

impl Inbox {
    /// Creates an empty inbox.
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

    /// Waits for the answer under this name.
    ///
    /// Returns `None` if the name was [closed](Self::close), here or by a former owner of the
    /// session, and if this server is done with the session before an answer arrives.
    ///
    /// An answer stays in the inbox: a later call with the same name returns it at once. Cancel safe.
    pub async fn recv(&self, name: &str) -> Option<Bytes> {
        let mut arrived = self.inner.arrived.subscribe();
        let settled = |all: &InboxState| all.over || all.answers.contains_key(name);
        if let Ok(all) = arrived.wait_for(settled).await {
            return all.answers.get(name).cloned().flatten();
        }
        // The sender is in `self`, so it isn't gone.
        pending().await
    }

    /// Closes a name: no server stores an answer under it any more, and a late one gets
    /// [`AnswerOutcome::Taken`].
    ///
    /// Returns the answer that was stored before, even if it has not arrived yet. Returns `None` if
    /// there is none, or if this server is done with the session.
    ///
    /// Waits for the store, for a new lease if this server's has run out, and for the start of a
    /// session that hasn't started.
    ///
    /// # Cancellation
    ///
    /// Dropping the future doesn't undo the request.
    ///
    /// [`AnswerOutcome::Taken`]: crate::store::AnswerOutcome::Taken
    pub async fn close(&self, name: &str) -> Option<Bytes> {
        // The receiver is in `self`, so it isn't gone.
        let _ = self.inner.close.send(name.into());
        self.recv(name).await
    }

    /// Ends the inbox: no more answers arrive.
    pub(super) fn end(&self) {
        self.inner.arrived.send_modify(|all| all.over = true);
    }

    /// Polls for the next name to close.
    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Arc<str>> {
        let to_close = self.inner.to_close.lock();
        let mut to_close = to_close.unwrap_or_else(PoisonError::into_inner);
        match std::task::ready!(to_close.poll_recv(cx)) {
            Some(name) => Poll::Ready(name),
            // The sender is in `self`, so it isn't gone.
            None => Poll::Pending,
        }
    }

    /// Returns true if there is an answer under this name, or it is closed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.inner.arrived.borrow().answers.contains_key(name)
    }

    /// Adds answers. The first answer under a name counts.
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
    async fn an_answer_reaches_a_waiting_call_and_a_later_one() {
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
    async fn a_closed_name_has_no_answer() {
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
    async fn the_end_of_the_session_ends_a_wait_and_keeps_the_answers() {
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
