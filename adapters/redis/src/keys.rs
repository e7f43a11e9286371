use std::sync::Arc;

use unbroken::log::{ChatId, Owner, SessionId};

/// The names of all keys and channels in Redis.
///
/// All keys of a session carry its id as their hash tag, so that they lie in one slot of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct KeyNames {
    prefix: Arc<str>,
}

/// An index: a sorted set of session ids.
#[derive(Debug, Clone, Copy)]
pub(crate) enum IndexName<'a> {
    /// All sessions, by time of creation.
    All,
    /// The sessions of an owner, by time of creation.
    Owner(&'a Owner),
    /// The sessions of a chat, by time of creation.
    Chat(&'a ChatId),
    /// The sessions that are not sealed, by the end of their lease.
    Open,
    /// The sealed sessions, by the end of their retention.
    Due,
}

impl KeyNames {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    /// Returns the key of the session's state: a hash.
    pub(crate) fn session(&self, id: &SessionId) -> String {
        self.key(id, "session")
    }

    /// Returns the key of the session's metadata, which outlives it as its tombstone.
    pub(crate) fn info(&self, id: &SessionId) -> String {
        self.key(id, "info")
    }

    /// Returns the key of the request, which is kept until the seal.
    pub(crate) fn request(&self, id: &SessionId) -> String {
        self.key(id, "request")
    }

    /// Returns the key of the records: a stream.
    pub(crate) fn log(&self, id: &SessionId) -> String {
        self.key(id, "log")
    }

    /// Returns the key of the holders, by the end of their holds: a sorted set.
    pub(crate) fn holds(&self, id: &SessionId) -> String {
        self.key(id, "holds")
    }

    /// Returns the key of the answers, which are kept until the seal: a hash.
    pub(crate) fn answers(&self, id: &SessionId) -> String {
        self.key(id, "answers")
    }

    /// Returns the channel of every change.
    pub(crate) fn records(&self, id: &SessionId) -> String {
        self.key(id, "records")
    }

    /// Returns the channel of the changes that an owner waits for.
    pub(crate) fn turns(&self, id: &SessionId) -> String {
        self.key(id, "turns")
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

    fn key(&self, id: &SessionId, kind: &str) -> String {
        format!("{}{{{id}}}:{kind}", self.prefix)
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
