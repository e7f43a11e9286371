use std::future::ready;

use http::request::Parts;

use super::{Access, Action, Identified, SessionRef};
use crate::{BoxFuture, log::Owner};

/// The policy that opens a session to every client that knows its id.
///
/// Any client may start sessions; none may list them. An id that the server makes has 128 random bits
/// and can't be guessed, but a client that finds one in a URL or a log file can use the session. An id
/// that a client makes must be as hard to guess.
///
/// The sessions have no owner, so no limit per owner holds: one client can take all running places of a
/// server. [`PerPeer`](super::PerPeer) around this policy gives each address its own. Names that clients
/// choose, such as chat ids, don't lead to sessions unless the layer allows
/// [secret chat ids](crate::durable::DurableLayer::secret_chat_ids).
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct AnyoneWithTheId;

impl AnyoneWithTheId {
    /// Creates the policy.
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

    fn names_owners(&self) -> bool {
        false
    }
}
