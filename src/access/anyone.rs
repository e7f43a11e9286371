use std::future::ready;

use http::request::Parts;

use super::{Access, Action, Identified, SessionRef};
use crate::{log::Owner, store::BoxFuture};

/// Anybody may start a session, and whoever knows its id may do everything with it. Nobody may list.
///
/// An id that the server makes has 128 random bits and can't be guessed; whoever sees it, in a URL
/// or a log, has the session. Clients that make ids of their own must make them as unguessable.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct AnyoneWithTheId;

impl AnyoneWithTheId {
    /// The policy.
    pub const fn new() -> Self {
        Self
    }
}

impl Access for AnyoneWithTheId {
    fn identify<'a>(&'a self, _: &'a mut Parts) -> BoxFuture<'a, Identified> {
        Box::pin(ready(Ok(None)))
    }

    fn allow<'a>(
        &'a self,
        _: Option<&'a Owner>,
        action: Action,
        _: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        Box::pin(ready(action != Action::List))
    }
}
