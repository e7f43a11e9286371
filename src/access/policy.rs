use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, request::Parts};

use crate::{
    BoxFuture,
    log::{ChatId, Owner, SessionId},
};

/// The result of [`Access::identify`]: an owner, none, or a response of the application's own, such as
/// a 401.
pub type Identified = Result<Option<Owner>, Response<Bytes>>;

/// An access policy. Both steps may wait, for a database for example; they are dropped with the
/// request.
pub trait Access: fmt::Debug + Send + Sync + 'static {
    /// Returns the owner that the request comes from, or `None` if it has none.
    ///
    /// A session belongs to the owner of the request that starts it. The provider finds the extensions
    /// of the head in [`ChatRequest::extensions`](field@crate::chat::ChatRequest::extensions).
    ///
    /// # Errors
    ///
    /// A response, which is sent as it is: for example a 401 with its `WWW-Authenticate`.
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified>;

    /// Returns true if `owner` may do this with the session.
    ///
    /// For [`Action::Start`] it is the session that is to be created, with its id if the client names
    /// it. The id of any other start is new, or isn't known yet and stands for none: it depends on the
    /// body, which is decoded for callers who may start a session. For [`Action::List`] there is none. A list holds the caller's own sessions only, and is refused to callers without an owner
    /// before this is called.
    fn allow<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        action: Action,
        session: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool>;

    /// Returns true if the policy names owners: every request that it lets start a session has one, which
    /// it has authenticated.
    ///
    /// A [`DurableLayer`](crate::durable::DurableLayer) whose dialect finds sessions by the names of chats
    /// needs such a policy, and panics when it is built with another one. The answer opens nothing: a
    /// request without an owner finds no session by a name, whatever this returns.
    fn names_owners(&self) -> bool;
}

/// An action on sessions, which a policy allows or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Start a session, or attach to the caller's own by the same request.
    Start,
    /// Read a session.
    Read,
    /// Stop a session.
    Abort,
    /// Answer a question of a session.
    Answer,
    /// Stop a session and delete it.
    Delete,
    /// List the caller's sessions.
    List,
}

/// The properties of a session that a policy decides by.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SessionRef<'a> {
    /// The session's id.
    pub id: &'a SessionId,
    /// The session's owner, if it has one.
    pub owner: Option<&'a Owner>,
    /// The chat that the session belongs to, if any. `None` as well if the session is gone.
    pub chat: Option<&'a ChatId>,
}

impl<'a> SessionRef<'a> {
    /// Creates a reference to a session.
    pub fn new(id: &'a SessionId, owner: Option<&'a Owner>, chat: Option<&'a ChatId>) -> Self {
        Self { id, owner, chat }
    }
}

impl<T: Access + ?Sized> Access for Arc<T> {
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        (**self).identify(head)
    }

    fn allow<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        action: Action,
        session: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        (**self).allow(owner, action, session)
    }

    fn names_owners(&self) -> bool {
        (**self).names_owners()
    }
}
