use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderMap;

use unbroken::{headers::SESSION_ID, log::SessionId};

/// The sessions that cases may have started at a server, and whether the second caller did.
#[derive(Debug, Clone, Default)]
pub(super) struct StartedSessions(Arc<Mutex<HashSet<(String, bool)>>>);

impl StartedSessions {
    /// Remembers the session that this head is about, be it of a request (whose answer may never
    /// come) or of an answer.
    pub(super) fn note(&self, head: &HeaderMap, stranger: bool) {
        let id = head.get(SESSION_ID).and_then(|id| id.to_str().ok());
        // What is no id was refused.
        if let Some(id) = id.filter(|id| id.parse::<SessionId>().is_ok()) {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert((id.to_owned(), stranger));
        }
    }

    /// All of them, in no particular order.
    pub(super) fn all(&self) -> Vec<(String, bool)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().cloned().collect()
    }
}
