use sha2::{Digest as _, Sha256};

use crate::log::{Owner, SessionId};

/// Names sessions by what their clients repeat, for clients that make no session ids.
///
/// The id is a hash of the owner, these parts, and a counter that moves on where the key may be
/// used [again](KeyReuse). Whoever knows all of these knows the id: where that can be strangers, let
/// the access policy go by owners.
///
/// ```
/// use unbroken::dialect::{KeyReuse, SessionKey};
///
/// // `Idempotency-Key: 7f3a`
/// let key = SessionKey::new(["idempotency", "7f3a"]).prefix("resp_");
/// // What `useChat` sends when the user asks for another answer.
/// let key = SessionKey::new(["chat-1", "regenerate-message", "message-4"]).reuse(KeyReuse::AfterEnd);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    hash: [u8; 32],
    prefix: &'static str,
    reuse: KeyReuse,
}

/// When a key that was used makes another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeyReuse {
    /// Never: a repetition attaches to the session, however it stands.
    #[default]
    Never,
    /// Where the session failed or was stopped, or is no longer kept: what was answered is not paid for
    /// twice while it is there.
    UnlessComplete,
    /// Once the session has ended.
    AfterEnd,
}

impl SessionKey {
    /// A key of these parts. Each counts with its length, so that nothing can move from one part
    /// into the next.
    pub fn new<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self {
            hash: hash(parts),
            prefix: "",
            reuse: KeyReuse::Never,
        }
    }

    /// The same, and the ids begin with this. At most 32 of the characters that a session id may
    /// have, the first one alphanumeric.
    pub fn prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }

    /// The same, and when it makes another session.
    pub fn reuse(mut self, reuse: KeyReuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// When it makes another session.
    pub(crate) fn key_reuse(&self) -> KeyReuse {
        self.reuse
    }

    /// The id of the session that this key names for the `count`th time, counted from 0, in these
    /// hands.
    pub(crate) fn id(&self, service: &str, owner: Option<&Owner>, count: u32) -> SessionId {
        let owner: [&[u8]; 2] = match owner {
            None => [b"nobody", b""],
            Some(owner) => [b"owner", owner.as_str().as_bytes()],
        };
        let count = count.to_be_bytes();
        let parts = [
            &self.hash[..],
            service.as_bytes(),
            owner[0],
            owner[1],
            &count,
        ];
        let hash = hash(parts);
        let (bits, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        SessionId::from_bits(self.prefix, u128::from_be_bytes(*bits))
    }
}

/// A SHA-256 over parts, each with its length, so that nothing can move from one part into the next.
pub(crate) fn hash<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_id_is_the_same_for_the_same_hands_and_no_others() {
        let (ann, bob) = (Owner::new("ann"), Owner::new("bob"));
        let key = SessionKey::new(["a", "b"]);
        let ids = [
            key.id("chat", Some(&ann), 0),
            key.id("chat", Some(&ann), 1),
            key.id("chat", Some(&bob), 0),
            key.id("chat", None, 0),
            key.id("other", Some(&ann), 0),
            SessionKey::new(["ab"]).id("chat", Some(&ann), 0),
            SessionKey::new(["ab", ""]).id("chat", Some(&ann), 0),
        ];
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(
            SessionKey::new(["a", "b"]).id("chat", Some(&ann), 0),
            ids[0]
        );
    }

    #[test]
    fn a_prefix_stands_before_it() {
        let id = SessionKey::new(["a"]).prefix("resp_").id("chat", None, 0);
        assert!(id.as_str().starts_with("resp_"));
        assert_eq!(id.as_str().parse().as_ref(), Ok(&id));
    }
}
