use std::{collections::HashMap, fmt, future::pending, sync::Arc};

use bytes::Bytes;
use tokio::sync::watch;

use crate::store::Answer;

/// Where the answers to what a source asks arrive, on whatever server they were
/// [given](super::Sessions::answer). Cheap to clone; all clones are the same.
///
/// Make one, give it to whoever asks, and hand it in with the [`Start`](super::Start), or the
/// [`CarryOn`](super::CarryOn), of the session. An answer that was given to a former owner of the
/// session arrives here, too.
#[derive(Clone)]
pub struct Inbox {
    arrived: Arc<watch::Sender<HashMap<Arc<str>, Bytes>>>,
}

impl Inbox {
    /// Without any answer yet.
    pub fn new() -> Self {
        Self {
            arrived: Arc::new(watch::Sender::new(HashMap::new())),
        }
    }

    /// Waits for the answer under this name.
    ///
    /// Level-triggered and cancel-safe: one that has arrived before is given at once, and again to
    /// whoever asks again.
    pub async fn named(&self, name: &str) -> Bytes {
        let mut arrived = self.arrived.subscribe();
        if let Ok(all) = arrived.wait_for(|all| all.contains_key(name)).await {
            return all[name].clone();
        }
        // The sender is in `self`, so it isn't gone.
        pending().await
    }

    /// These have arrived. The first answer under a name counts.
    pub(super) fn deliver(&self, answers: Vec<Answer>) {
        self.arrived.send_if_modified(|all| {
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
            .field("arrived", &self.arrived.borrow().len())
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
        assert_eq!(mine, "2");
        assert_eq!(inbox.named("mine").await, "2");
        assert_eq!(inbox.named("other").await, "1", "the first one counts");
    }
}
