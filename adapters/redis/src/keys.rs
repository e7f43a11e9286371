use std::sync::Arc;

use unbroken::log::{ServiceName, SessionId};

use crate::index::{IndexScope, STATUSES, service_tag};

/// The names of all keys and channels in Redis.
///
/// All keys of a session carry its id as their hash tag, so that they lie in one slot of a cluster, and so do the
/// indexes of one scope.
#[derive(Debug, Clone)]
pub(crate) struct KeyNames {
    prefix: Arc<str>,
}

/// An index of sessions by a time. Those of all sessions share the hash tag of the scope of all sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeIndex<'a> {
    /// The sessions that are not sealed, by the end of their lease.
    Open,
    /// The sealed sessions, by the end of their retention. One whose ending waits for its delivery is looked at sooner.
    Due,
    /// The tombstones, by their end.
    Tombstones,
    /// The sessions of a service whose endings wait for their delivery, by the time from which these may be taken.
    Endings(&'a ServiceName),
}

impl KeyNames {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    /// Returns the key of the number of the layout that all keys have: a string.
    pub(crate) fn layout(&self) -> String {
        format!("{}layout", self.prefix)
    }

    /// Returns the key of the session's state and metadata: a hash.
    pub(crate) fn session(&self, id: &SessionId) -> String {
        self.key(id, "session")
    }

    /// Returns the key of the session's tombstone, which outlives it: a string.
    pub(crate) fn tombstone(&self, id: &SessionId) -> String {
        self.key(id, "tombstone")
    }

    /// Returns the key of the request, which is kept until the seal, or until the ending is delivered: a string.
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

    /// Returns the key of what is left of a deleted session until its ending is delivered: a hash.
    pub(crate) fn ending(&self, id: &SessionId) -> String {
        self.key(id, "ending")
    }

    /// Returns the channel of every change.
    pub(crate) fn records(&self, id: &SessionId) -> String {
        self.key(id, "records")
    }

    /// Returns the channel of the changes that an owner waits for.
    pub(crate) fn turns(&self, id: &SessionId) -> String {
        self.key(id, "turns")
    }

    /// Returns the keys of the sets of a scope, in the order of [`STATUSES`].
    pub(crate) fn sets(&self, scope: IndexScope<'_>) -> Vec<String> {
        let tag = scope.tag();
        let sets = STATUSES.iter();
        sets.map(|status| self.key(&tag, status.as_str())).collect()
    }

    /// Returns the keys of the sets of all sessions, then those of the indexes by time.
    pub(crate) fn all_sessions(&self) -> Vec<String> {
        let times = [TimeIndex::Open, TimeIndex::Due, TimeIndex::Tombstones];
        let mut keys = self.sets(IndexScope::All);
        keys.extend(times.map(|index| self.times(index)));
        keys
    }

    /// Returns the key of an index by time: a sorted set.
    pub(crate) fn times(&self, index: TimeIndex<'_>) -> String {
        let kind = match index {
            TimeIndex::Open => "open",
            TimeIndex::Due => "due",
            TimeIndex::Tombstones => "tombstones",
            TimeIndex::Endings(service) => return self.key(service_tag(service), "endings"),
        };
        self.key(IndexScope::All.tag(), kind)
    }

    fn key(&self, tag: impl std::fmt::Display, kind: &str) -> String {
        format!("{}{{{tag}}}:{kind}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use unbroken::log::{ChatId, Owner};

    use super::*;

    #[test]
    fn the_keys_of_a_session_share_their_hash_tag() {
        let (keys, id) = (KeyNames::new("app:"), SessionId::random());
        for key in [
            keys.session(&id),
            keys.tombstone(&id),
            keys.request(&id),
            keys.log(&id),
            keys.holds(&id),
            keys.answers(&id),
            keys.ending(&id),
        ] {
            assert!(key.starts_with(&format!("app:{{{id}}}:")), "{key}");
        }
    }

    #[test]
    fn the_indexes_of_a_scope_share_their_hash_tag_whatever_the_names_hold() {
        let keys = KeyNames::new("app:");
        for name in ["a", "}", "{}", "}{", "{a}", "a}:streaming", "%7D"] {
            let (owner, chat) = (Owner::new(name), ChatId::new(name));
            for scope in [
                IndexScope::All,
                IndexScope::Owner(&owner),
                IndexScope::Chat(&chat),
                IndexScope::OwnerChat(None, &chat),
                IndexScope::OwnerChat(Some(&owner), &chat),
            ] {
                for key in keys.sets(scope) {
                    let tag = key
                        .strip_prefix("app:{")
                        .and_then(|key| key.split_once('}'));
                    let (tag, kind) = tag.expect("a hash tag");
                    assert_eq!(tag, scope.tag());
                    assert!(
                        STATUSES
                            .iter()
                            .any(|it| kind == format!(":{}", it.as_str()))
                    );
                }
            }
        }
        let all = keys.all_sessions();
        assert!(
            all.iter().all(|key| key.starts_with("app:{all}:")),
            "{all:?}"
        );
    }
}
