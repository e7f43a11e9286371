use std::fmt;

use bytes::Bytes;

use super::{Inbox, Session};
use crate::log::{ChatId, Digest, Outcome, Owner, ServiceName, SessionId};

/// What a session is started from. The source of its records comes beside it.
#[non_exhaustive]
pub struct SessionSpec {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// Which conversation it belongs to.
    pub chat: Option<ChatId>,
    /// What starts it.
    pub service: ServiceName,
    /// Stored for whoever starts it again.
    pub request: Bytes,
    /// Two starts with the same id, owner and digest are one.
    pub digest: Digest,
    /// The first record. The source isn't polled before it is acknowledged.
    pub first: Bytes,
    /// Where the source finds what is answered to it, if it asks.
    pub inbox: Option<Inbox>,
    /// Called once the seal is acknowledged to this server; not at all if another one seals.
    pub on_sealed: Option<Box<dyn FnOnce(Outcome) + Send>>,
}

impl SessionSpec {
    /// A start without owner and chat.
    pub fn new(id: SessionId, service: ServiceName, digest: Digest, first: Bytes) -> Self {
        Self {
            id,
            owner: None,
            chat: None,
            service,
            request: Bytes::new(),
            digest,
            first,
            inbox: None,
            on_sealed: None,
        }
    }

    /// Sets the owner.
    pub fn owner(mut self, owner: Option<Owner>) -> Self {
        self.owner = owner;
        self
    }

    /// Sets the chat.
    pub fn chat(mut self, chat: Option<ChatId>) -> Self {
        self.chat = chat;
        self
    }

    /// Sets what is stored for whoever starts it again.
    pub fn request(mut self, request: Bytes) -> Self {
        self.request = request;
        self
    }

    /// Sets where the source finds what is answered to it.
    pub fn inbox(mut self, inbox: Inbox) -> Self {
        self.inbox = Some(inbox);
        self
    }

    /// Sets what is called once the seal is acknowledged. It is called on the writer's task: it
    /// must not block.
    pub fn on_sealed(mut self, hook: impl FnOnce(Outcome) + Send + 'static) -> Self {
        self.on_sealed = Some(Box::new(hook));
        self
    }
}

impl fmt::Debug for SessionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSpec")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("chat", &self.chat)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

/// What came of a start.
#[derive(Debug)]
pub struct Started {
    /// The session.
    pub session: Session,
    /// Whether it is new; if not, it was there with the same owner and request.
    pub created: bool,
}
