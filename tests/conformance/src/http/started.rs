use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderMap;

use unbroken::{headers::SESSION_ID, log::SessionId};

/// The ids of sessions that cases may have started at a server, each with true if the second caller
/// started it.
#[derive(Debug, Clone, Default)]
pub(super) struct StartedSessions(Arc<Mutex<HashSet<(String, bool)>>>);

impl StartedSessions {
    /// Adds the session that a head names. The head of a request counts too, since its response may
    /// never come.
    pub(super) fn note(&self, head: &HeaderMap, stranger: bool) {
        let id = head.get(SESSION_ID).and_then(|id| id.to_str().ok());
        // A server refuses anything else.
        if let Some(id) = id.filter(|id| id.parse::<SessionId>().is_ok()) {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert((id.to_owned(), stranger));
        }
    }

    /// Returns all of them, in no particular order.
    pub(super) fn all(&self) -> Vec<(String, bool)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().cloned().collect()
    }
}
