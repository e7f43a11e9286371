use std::{
    collections::HashMap,
    fmt,
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::store::Answer;

/// Where the answers to what a source asks arrive, on whatever server they were
/// [given](super::Sessions::answer). Cheap to clone; all clones are the same.
///
/// Make one, give it to whoever asks, and hand it in with the [`Start`](super::Start), or the
/// [`CarryOn`](super::CarryOn), of the session. An answer that was given to a former owner of the
/// session arrives here, too.
#[derive(Clone)]
pub struct Inbox {
    inner: Arc<Inner>,
}

struct Inner {
    arrived: watch::Sender<HashMap<Arc<str>, Bytes>>,
    close: mpsc::UnboundedSender<Arc<str>>,
    // What the session's writer is to close.
    to_close: Mutex<mpsc::UnboundedReceiver<Arc<str>>>,
}

impl Inbox {
    /// Without any answer yet.
    pub fn new() -> Self {
        let (close, to_close) = mpsc::unbounded_channel();
        Self {
            inner: Arc::new(Inner {
                arrived: watch::Sender::new(HashMap::new()),
                close,
                to_close: Mutex::new(to_close),
            }),
        }
    }

    /// Waits for the answer under this name; `None` if it was [closed](Self::close) instead, here or
    /// by a former owner of the session.
    ///
    /// Level-triggered and cancel-safe: one that has arrived before is given at once, and again to
    /// whoever asks again.
    pub async fn named(&self, name: &str) -> Option<Bytes> {
        let mut arrived = self.inner.arrived.subscribe();
        if let Ok(all) = arrived.wait_for(|all| all.contains_key(name)).await {
            let content = &all[name];
            return (!content.is_empty()).then(|| content.clone());
        }
        // The sender is in `self`, so it isn't gone.
        pending().await
    }

    /// From then on no answer is taken under this name, on any server: [`Answered::Taken`] is what
    /// becomes of it. One that was stored before is given, though it may not have arrived yet;
    /// `None` if there is none.
    ///
    /// Waits for the store, and in a session that hasn't begun for its beginning. Dropping the future
    /// doesn't take it back.
    ///
    /// [`Answered::Taken`]: crate::store::Answered::Taken
    pub async fn close(&self, name: &str) -> Option<Bytes> {
        // The receiver is in `self`, so it isn't gone.
        let _ = self.inner.close.send(name.into());
        self.named(name).await
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
        self.inner.arrived.borrow().contains_key(name)
    }

    /// These have arrived. The first answer under a name counts.
    pub(super) fn deliver(&self, answers: Vec<Answer>) {
        self.inner.arrived.send_if_modified(|all| {
            let before = all.len();
            for Answer { name, content } in answers {
                all.entry(name).or_insert(content);
            }
            all.len() > before
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
            .field("arrived", &self.inner.arrived.borrow().len())
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
            inbox.deliver(vec![Answer::new("other", "1")]);
            tokio::task::yield_now().await;
            inbox.deliver(vec![Answer::new("mine", "2"), Answer::new("other", "3")]);
        };
        let (mine, ()) = tokio::join!(inbox.named("mine"), given);
        assert_eq!(mine.unwrap(), "2");
        assert_eq!(inbox.named("mine").await.unwrap(), "2");
        let other = inbox.named("other").await.unwrap();
        assert_eq!(other, "1", "the first one counts");
    }

    #[tokio::test]
    async fn what_was_closed_has_no_answer() {
        let inbox = Inbox::new();
        let owner = async {
            let name = std::future::poll_fn(|cx| inbox.poll_close(cx)).await;
            inbox.deliver(vec![Answer::closed(name)]);
        };
        let (closed, ()) = tokio::join!(inbox.close("one"), owner);
        assert_eq!(closed, None);
        assert_eq!(inbox.named("one").await, None);
    }
}
