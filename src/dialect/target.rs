use super::SessionKey;
use crate::log::{ChatId, SessionId};

/// The session that a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The session with this id.
    Id(SessionId),
    /// The session of this key. Its reuse must be [`KeyReuse::Never`](super::KeyReuse::Never).
    Key(SessionKey),
    /// The running session of this conversation; the newest, if several run.
    ///
    /// Only sessions of the caller count. A caller without an owner is refused, unless the layer has
    /// [secret chat ids](crate::durable::DurableLayer::secret_chat_ids) and this is one.
    Chat(ChatId),
    /// The session with this id; if there is none, the running session of the conversation.
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
