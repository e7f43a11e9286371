use sha2::{Digest as _, Sha256};

use crate::log::{Owner, SessionId};

/// A key that names sessions, for clients that make no session ids but repeat their requests.
///
/// The id of a session is a hash of the owner, the parts of the key, and a counter that advances when
/// the key may be [reused](KeyReuse). So every client that knows the parts can compute the id. A client
/// without an owner may use a key only if it has a [secret](Self::secret) part that can't be guessed, or
/// belongs to a chat with a [secret id](crate::durable::DurableLayer::secret_chat_ids).
///
/// ```
/// use unbroken::dialect::{KeyReuse, SessionKey};
///
/// // `Idempotency-Key: 7f3a`
/// let key = SessionKey::new(["idempotency"]).secret("7f3a").prefix("resp_");
/// // The request that `useChat` sends for another answer.
/// let key = SessionKey::new(["chat-1", "regenerate-message", "message-4"]).reuse(KeyReuse::AfterEnd);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    hash: [u8; 32],
    prefix: &'static str,
    reuse: KeyReuse,
    secret: bool,
}

/// The condition under which a used key starts another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeyReuse {
    /// Never: a repeated request attaches to the session, in any status.
    #[default]
    Never,
    /// If the session failed or was aborted, or is no longer retained. A complete answer is not paid for
    /// twice while it is retained.
    UnlessComplete,
    /// If the session has ended.
    AfterEnd,
}

impl SessionKey {
    /// Creates a key of these parts. Each part is hashed with its length, so the boundaries between
    /// parts count.
    pub fn new<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self {
            hash: hash(parts),
            prefix: "",
            reuse: KeyReuse::Never,
            secret: false,
        }
    }

    /// Adds a part that the client makes for itself. With 22 bytes or more it counts as a secret, so that
    /// clients without an owner may use the key.
    pub fn secret(mut self, part: &str) -> Self {
        self.hash = hash([&self.hash[..], part.as_bytes()]);
        self.secret |= part.len() >= SessionId::MIN_LEN;
        self
    }

    /// Sets the prefix of the ids: at most 32 characters of a session id, the first one alphanumeric.
    /// Default empty.
    pub fn prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }

    /// Sets when the key starts another session. Default [`KeyReuse::Never`].
    pub fn reuse(mut self, reuse: KeyReuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// Adds the place in its chat at which the key is used.
    pub(crate) fn at(mut self, place: u64) -> Self {
        self.hash = hash([&self.hash[..], &place.to_be_bytes()]);
        self
    }

    /// Returns the prefix of the ids.
    pub(crate) fn id_prefix(&self) -> &'static str {
        self.prefix
    }

    /// Returns when the key starts another session.
    pub(crate) fn key_reuse(&self) -> KeyReuse {
        self.reuse
    }

    /// Returns true if the key can't be guessed.
    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    /// Returns the id of the `count`th session of this key, counted from 0, for this service and owner.
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

/// Returns the SHA-256 of the parts, each with its length, so that their boundaries count.
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
    fn a_key_names_another_session_for_each_service_owner_and_count() {
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
    fn a_part_of_the_client_is_a_secret_from_22_bytes_on() {
        let of = |part: &str| SessionKey::new(["a"]).secret(part);
        assert!(!of(&"x".repeat(21)).is_secret());
        assert!(of(&"x".repeat(22)).is_secret());
        assert!(!SessionKey::new(["x".repeat(22)]).is_secret());
        assert_ne!(of("x").id("chat", None, 0), of("y").id("chat", None, 0));
    }

    #[test]
    fn an_id_begins_with_the_prefix() {
        let id = SessionKey::new(["a"]).prefix("resp_").id("chat", None, 0);
        assert!(id.as_str().starts_with("resp_"));
        assert_eq!(id.as_str().parse().as_ref(), Ok(&id));
    }
}
