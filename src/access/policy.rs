use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, request::Parts};

use crate::{
    log::{ChatId, Owner, SessionId},
    store::BoxFuture,
};

/// Whom a request comes from: an owner, somebody unnamed, or a response of the application's own,
/// such as a 401.
pub type Identified = Result<Option<Owner>, Response<Bytes>>;

/// Decides who may do what. Both steps may wait, for a database say; they are dropped with the
/// request.
pub trait Access: fmt::Debug + Send + Sync + 'static {
    /// Whom the request comes from. Whoever starts a session as an owner owns it. What this leaves
    /// in the extensions, the provider finds in
    /// [`ChatRequest::extensions`](field@crate::chat::ChatRequest::extensions).
    ///
    /// # Errors
    ///
    /// A response, which goes out as it is: an unauthenticated request's 401, with its
    /// `WWW-Authenticate`, is made here.
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified>;

    /// Whether whoever was identified may do this with the session: with the one that is to be made
    /// for [`Action::Start`], with none for [`Action::List`].
    ///
    /// Not asked where it doesn't matter: a list only ever has the caller's own sessions, and is
    /// refused to callers without a name.
    fn allow<'a>(
        &'a self,
        who: Option<&'a Owner>,
        action: Action,
        session: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool>;
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Start a session, or attach to one's own by the same request.
    Start,
    /// Read a session.
    Read,
    /// Stop a session.
    Abort,
    /// Answer what a session asks.
    Answer,
    /// Stop and forget a session.
    Delete,
    /// Name one's sessions.
    List,
}

/// A session, as far as a policy needs to know it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SessionRef<'a> {
    /// Its id.
    pub id: &'a SessionId,
    /// Whose it is.
    pub owner: Option<&'a Owner>,
    /// The conversation that it belongs to; unknown of a session that is gone.
    pub chat: Option<&'a ChatId>,
}

impl<'a> SessionRef<'a> {
    /// A session.
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
        who: Option<&'a Owner>,
        action: Action,
        session: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        (**self).allow(who, action, session)
    }
}
