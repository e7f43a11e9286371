use std::sync::Arc;

use unbroken::log::{ChatId, Owner, SessionId};

/// What everything is called in Redis.
///
/// All keys of a session carry its id as their hash tag, so that they lie in one slot of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct KeyNames {
    prefix: Arc<str>,
}

/// An index: a sorted set of session ids.
#[derive(Debug, Clone, Copy)]
pub(crate) enum IndexName<'a> {
    /// All sessions, by when they were created.
    All,
    /// An owner's, by when they were created.
    Owner(&'a Owner),
    /// A conversation's, by when they were created.
    Chat(&'a ChatId),
    /// Those that are not sealed, by when their lease is over.
    Open,
    /// Those that are sealed, by when their retention is over.
    Due,
}

impl KeyNames {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    /// Where the session stands: a hash.
    pub(crate) fn session(&self, id: &SessionId) -> String {
        self.of(id, "session")
    }

    /// What the session is; what is left of it once it is gone.
    pub(crate) fn info(&self, id: &SessionId) -> String {
        self.of(id, "info")
    }

    /// What can start it again, until it is sealed.
    pub(crate) fn request(&self, id: &SessionId) -> String {
        self.of(id, "request")
    }

    /// Its records: a stream.
    pub(crate) fn log(&self, id: &SessionId) -> String {
        self.of(id, "log")
    }

    /// Who holds it until when: a sorted set.
    pub(crate) fn holds(&self, id: &SessionId) -> String {
        self.of(id, "holds")
    }

    /// What was answered, until it is sealed: a hash.
    pub(crate) fn answers(&self, id: &SessionId) -> String {
        self.of(id, "answers")
    }

    /// The channel that tells of every change.
    pub(crate) fn records(&self, id: &SessionId) -> String {
        self.of(id, "records")
    }

    /// The channel that tells of the changes that an owner waits for.
    pub(crate) fn turns(&self, id: &SessionId) -> String {
        self.of(id, "turns")
    }

    pub(crate) fn index(&self, index: IndexName<'_>) -> String {
        let prefix = &self.prefix;
        match index {
            IndexName::All => format!("{prefix}all"),
            IndexName::Owner(owner) => format!("{prefix}owner:{owner}"),
            IndexName::Chat(chat) => format!("{prefix}chat:{chat}"),
            IndexName::Open => format!("{prefix}open"),
            IndexName::Due => format!("{prefix}due"),
        }
    }

    fn of(&self, id: &SessionId, what: &str) -> String {
        format!("{}{{{id}}}:{what}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_session_share_their_hash_tag() {
        let (keys, id) = (KeyNames::new("app:"), SessionId::random());
        for key in [
            keys.session(&id),
            keys.info(&id),
            keys.request(&id),
            keys.log(&id),
            keys.holds(&id),
            keys.answers(&id),
        ] {
            assert!(key.starts_with(&format!("app:{{{id}}}:")), "{key}");
        }
    }
}
