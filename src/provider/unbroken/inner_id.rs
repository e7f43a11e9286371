use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::{
    chat::ChatRequest,
    log::{ChatId, Owner, SessionId},
};

/// The least length of a conversation's name that leads to its sessions without an owner.
const MIN_CHAT_BYTES: usize = 22;

/// The ids under which a call may run at the other server. A call that is repeated has the same ones, so that it attaches:
/// they follow from the session and its owner, and from the bytes of the request, which differ from turn to turn.
pub(super) struct InnerIds {
    hash: Sha256,
}

impl InnerIds {
    pub(super) fn of(session: &SessionId, owner: Option<&Owner>, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"unbroken-upstream/1");
        hash.update([u8::from(owner.is_some())]);
        let owner = owner.map(Owner::as_str).unwrap_or_default();
        for part in [session.as_str().as_bytes(), owner.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { hash }
    }

    /// Returns the id after so many answers that ended without success, or are gone.
    pub(super) fn after(&self, failed: u32) -> String {
        let hash = self.hash.clone().chain_update(failed.to_be_bytes());
        // An id begins with a letter or a digit.
        format!("u{}", BASE64_URL_SAFE_NO_PAD.encode(hash.finalize()))
    }
}

/// Returns the name of the conversation at the other server, by which that finds the calls that it has handed over. Names
/// of clients here aren't names there: those of two owners would be one.
pub(super) fn inner_chat(chat: &ChatRequest) -> Option<String> {
    let owner = chat.owner.as_ref().map(Owner::as_str);
    let is_found = |name: &str| owner.is_some() || name.len() >= MIN_CHAT_BYTES;
    let name = chat.chat_id.as_ref().map(ChatId::as_str);
    let parts = match name.filter(|name| is_found(name)) {
        Some(name) => ["chat", owner.unwrap_or_default(), name],
        None => ["session", "", chat.session_id.as_ref()?.as_str()],
    };
    let mut hash = Sha256::new();
    hash.update(b"unbroken-upstream/1");
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Some(format!(
        "c{}",
        BASE64_URL_SAFE_NO_PAD.encode(hash.finalize())
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_conversation_is_that_of_its_owner_or_of_its_long_name_or_else_of_the_session() {
        let request = |owner: Option<&str>, chat: Option<&str>| {
            let mut request = ChatRequest::from_user("Hi");
            request.owner = owner.map(Owner::new);
            request.chat_id = chat.map(ChatId::new);
            request.session_id = Some(SessionId::random());
            request
        };
        let long = "a name of 22 bytes or more";
        let name = |owner, chat| inner_chat(&request(owner, chat)).unwrap();
        for (owner, chat, is_shared) in [
            (Some("ann"), Some("c"), true),
            (Some("bob"), Some("c"), true),
            (None, Some(long), true),
            (None, Some("c"), false),
            (None, None, false),
            (Some("ann"), None, false),
        ] {
            assert_eq!(
                name(owner, chat) == name(owner, chat),
                is_shared,
                "{owner:?} {chat:?}"
            );
        }
        let of_others = [
            name(Some("ann"), Some("c")),
            name(Some("bob"), Some("c")),
            name(None, Some(long)),
        ];
        assert_eq!(HashSet::from(of_others).len(), 3);
        assert_eq!(inner_chat(&ChatRequest::from_user("Hi")), None);
    }

    #[test]
    fn an_id_follows_from_the_session_its_owner_the_request_and_the_failures_and_is_one() {
        let sessions = [SessionId::random(), SessionId::random()];
        let owners = [None, Some(Owner::new("ann")), Some(Owner::new("bob"))];
        let mut ids = HashSet::new();
        for (session, owner) in sessions
            .iter()
            .flat_map(|it| owners.iter().map(move |owner| (it, owner)))
        {
            for body in ["a", "b"] {
                let of_call = || InnerIds::of(session, owner.as_ref(), body.as_bytes());
                for failed in 0..2 {
                    let id = of_call().after(failed);
                    assert_eq!(id, of_call().after(failed));
                    assert!(id.parse::<SessionId>().is_ok(), "{id}");
                    ids.insert(id);
                }
            }
        }
        assert_eq!(ids.len(), 24);
    }
}
