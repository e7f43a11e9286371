use super::{config::LayerConfig, refusals};
use crate::{
    access::Access,
    dialect::{Refusal, SessionKey},
    exchange::{self, CallerOptions},
    log::{ChatId, ServiceName, SessionId},
    session::FormatSessions,
};

/// The client of one request to a durable layer.
pub(super) type Caller = exchange::LayerCaller<LayerConfig>;

impl CallerOptions for LayerConfig {
    fn sessions(&self) -> &FormatSessions {
        &self.sessions
    }

    fn access(&self) -> &dyn Access {
        &*self.access
    }

    fn service(&self) -> &ServiceName {
        self.service()
    }
}

impl Caller {
    /// Checks that a chat id leads this caller to sessions: to those of its owner, or to those without
    /// one if the id is a secret.
    pub(super) fn may_find_by(&self, chat: &ChatId) -> Result<(), Refusal> {
        if self.is_identified {
            return Ok(());
        }
        if !self.config.secret_chat_ids {
            return Err(refusals::forbidden(
                "a chat id leads to the answers of its owner only, and this request has none; sign in",
            ));
        }
        match chat.as_str().parse::<SessionId>() {
            Ok(_) => Ok(()),
            Err(_) => Err(refusals::forbidden(
                "a chat id must be a secret here: send one of 22 to 128 characters of A-Z a-z 0-9 . _ ~ -, \
                 chosen at random",
            )),
        }
    }

    /// Checks that this caller may name a session by a key. Without an owner the key, or the chat that it
    /// belongs to, must be a secret: others could compute the id.
    pub(super) fn may_use_key(
        &self,
        key: &SessionKey,
        chat: Option<&ChatId>,
    ) -> Result<(), Refusal> {
        if self.is_identified || key.is_secret() {
            return Ok(());
        }
        match chat {
            Some(chat) => self.may_find_by(chat),
            None => Err(refusals::guessable_key()),
        }
    }
}
