use std::{
    collections::{HashMap, VecDeque},
    fmt,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::sync::Notify;

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

// Most sources ask nothing, so an empty inbox is small.
#[derive(Default)]
struct InboxInner {
    state: Mutex<InboxState>,
    // Notified of every answer, and of the end.
    arrived: Notify,
}

#[derive(Default)]
struct InboxState {
    answers: HashMap<Arc<str>, Option<Bytes>>,
    // The session has ended, or another server owns it: no more answers arrive.
    over: bool,
    // The names that the session's writer must close, and its waker.
    to_close: VecDeque<Arc<str>>,
    writer: Option<Waker>,
}

impl Inbox {
    /// Creates an empty inbox.
    pub fn new() -> Self {
        Self {
            inner: Arc::default(),
        }
    }

    /// Waits for the answer under this name.
    ///
    /// Returns `None` if the name was [closed](Self::close), here or by a former owner of the
    /// session, and if this server is done with the session before an answer arrives.
    ///
    /// An answer stays in the inbox: a later call with the same name returns it at once. Cancel safe.
    pub async fn recv(&self, name: &str) -> Option<Bytes> {
        loop {
            let mut arrived = pin!(self.inner.arrived.notified());
            // Before the look, so that an answer that arrives in between ends the wait.
            arrived.as_mut().enable();
            {
                let all = self.lock();
                if all.over || all.answers.contains_key(name) {
                    return all.answers.get(name).cloned().flatten();
                }
            }
            arrived.await;
        }
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
        let writer = {
            let mut all = self.lock();
            all.to_close.push_back(name.into());
            all.writer.take()
        };
        if let Some(writer) = writer {
            writer.wake();
        }
        self.recv(name).await
    }

    /// Ends the inbox: no more answers arrive.
    pub(super) fn end(&self) {
        self.lock().over = true;
        self.inner.arrived.notify_waiters();
    }

    /// Polls for the next name to close.
    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Arc<str>> {
        let mut all = self.lock();
        // The waker is registered under the lock under which a name is added, so that none is missed.
        if let Some(name) = all.to_close.pop_front() {
            return Poll::Ready(name);
        }
        match &mut all.writer {
            Some(writer) => writer.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Returns true if there is an answer under this name, or it is closed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.lock().answers.contains_key(name)
    }

    /// Adds answers. The first answer under a name counts.
    pub(super) fn deliver(&self, answers: Vec<StoredAnswer>) {
        {
            let mut all = self.lock();
            for StoredAnswer { name, content } in answers {
                all.answers.entry(name).or_insert(content);
            }
        }
        self.inner.arrived.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, InboxState> {
        // The state is consistent at every moment.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
            .field("arrived", &self.lock().answers.len())
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
