use std::{fmt, future::Future, time::Duration};

use bytes::Bytes;

use super::{Inbox, SealedHook, Session};
use crate::log::{ChatId, Digest, Outcome, Owner, ServiceName, SessionId};

/// The description of a session to start. Its [`Source`](super::Source) is a separate argument of
/// [`Sessions::start`](super::Sessions::start).
#[non_exhaustive]
pub struct SessionSpec {
    /// The id.
    pub id: SessionId,
    /// The owner, if it has one.
    pub owner: Option<Owner>,
    /// The conversation that it belongs to.
    pub chat: Option<ChatId>,
    /// The name under which a [`RecoveryHandler`](super::RecoveryHandler) for it is registered.
    pub service: ServiceName,
    /// The request, stored for the recovery handler.
    pub request: Bytes,
    /// The digest of the request. Two starts with equal id, owner, digest and format are one.
    pub digest: Digest,
    /// The first record. The source isn't polled before the store has acknowledged it.
    pub first: Bytes,
    /// The inbox from which the source receives answers, if it asks anything.
    pub inbox: Option<Inbox>,
    /// A hook that runs once the seal is acknowledged to this server. It doesn't run if another
    /// server seals.
    pub on_sealed: Option<SealedHook>,
    /// The longest time for which the ending waits in the [outbox](crate::store::Store::endings) for an
    /// [`EndingHandler`](super::EndingHandler) of the service; `None` without a delivery.
    pub outbox: Option<Duration>,
    /// The [number](super::Format::number) of the format of its terminal records; `None` for the registry's
    /// first one.
    pub format: Option<u16>,
    /// True if an id was [reserved](super::Sessions::reserve) for this session.
    pub(crate) has_reserved: bool,
}

impl SessionSpec {
    /// Creates a description without owner, chat and stored request.
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
            outbox: None,
            format: None,
            has_reserved: false,
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

    /// Sets the request that is stored for the recovery handler.
    pub fn request(mut self, request: Bytes) -> Self {
        self.request = request;
        self
    }

    /// Sets the inbox from which the source receives answers.
    pub fn inbox(mut self, inbox: Inbox) -> Self {
        self.inbox = Some(inbox);
        self
    }

    /// Delivers the ending at least once, to an [`EndingHandler`](super::EndingHandler) of the service on any
    /// server. It waits for that in the store, for this time at most.
    pub fn outbox(mut self, keep: Duration) -> Self {
        self.outbox = Some(keep);
        self
    }

    /// Sets the format by its [number](super::Format::number). A start with a number that the registry doesn't
    /// know is [refused](super::StartError::UnknownFormat). Default: the format of
    /// [`SessionsBuilder::new`](super::SessionsBuilder::new).
    pub fn format(mut self, number: u16) -> Self {
        self.format = Some(number);
        self
    }

    /// Sets a hook that runs on a task of its own once the seal is acknowledged. A
    /// [shutdown](super::Sessions::shutdown) waits for it, for a few seconds.
    pub fn on_sealed<F>(mut self, hook: impl FnOnce(Outcome) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.on_sealed = Some(Box::new(|outcome| Box::pin(hook(outcome))));
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

/// The result of [`Sessions::start`](super::Sessions::start).
///
/// [`durable::SessionStarted`](crate::durable::SessionStarted) is what a hook of the durable layer
/// receives.
#[derive(Debug)]
#[non_exhaustive]
pub struct Started {
    /// A handle on the session.
    pub session: Session,
    /// True if the start created the session; false if it existed with the same owner, digest
    /// and format.
    pub created: bool,
}
