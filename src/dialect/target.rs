use super::SessionKey;
use crate::log::{ChatId, SessionId};

/// Which session a client means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The one of this id.
    Id(SessionId),
    /// The one that was started with this key, which makes [no other](super::KeyReuse::Never).
    Key(SessionKey),
    /// The one of this conversation that runs; the newest, if several do. Only those that belong to
    /// the caller count: where the policy has no owners, whoever knows the conversation's name has
    /// its sessions.
    Chat(ChatId),
    /// The one of this id; if there is none, the one of the conversation that runs.
    IdOrChat(SessionId, ChatId),
}

impl From<SessionId> for Target {
    fn from(id: SessionId) -> Self {
        Self::Id(id)
    }
}

impl From<ChatId> for Target {
    fn from(chat: ChatId) -> Self {
        Self::Chat(chat)
    }
}

impl From<SessionKey> for Target {
    fn from(key: SessionKey) -> Self {
        Self::Key(key)
    }
}
