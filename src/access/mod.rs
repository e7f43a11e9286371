//! Access policies, which authorise what clients do with sessions.
//!
//! An application must name a policy. A policy works in two steps: [`identify`](Access::identify)
//! returns the owner that a request comes from, or the response to it, and [`allow`](Access::allow)
//! decides. Two policies are ready-made: [`AnyoneWithTheId`] and [`OnlyTheOwner`]. [`PerPeer`] around a
//! policy without owners names one for each address, for the limits.
//!
//! ```
//! use unbroken::{access::OnlyTheOwner, log::Owner};
//!
//! #[derive(Clone)]
//! struct User(String);
//!
//! // An outer layer has authenticated the request and put a `User` into its extensions.
//! let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
//!     Owner::try_from(head.extensions.get::<User>()?.0.as_str()).ok()
//! });
//! ```
//!
//! # Writing a policy
//!
//! Implement [`Access`] for other rules. Both methods return a [`BoxFuture`](crate::BoxFuture), which
//! is a boxed future: `Box::pin(async move { … })` makes one. Here the members of a chat share its
//! answers:
//!
//! ```
//! use std::collections::{HashMap, HashSet};
//!
//! use http::request::Parts;
//! use unbroken::{
//!     BoxFuture,
//!     access::{Access, Action, Identified, SessionRef},
//!     log::{ChatId, Owner},
//! };
//!
//! /// Opens a chat to its members; an answer is deleted by its owner only.
//! #[derive(Debug)]
//! struct Teams {
//!     members: HashMap<ChatId, HashSet<Owner>>,
//! }
//!
//! impl Teams {
//!     // An application asks its database here.
//!     async fn is_member(&self, chat: &ChatId, user: &Owner) -> bool {
//!         self.members.get(chat).is_some_and(|members| members.contains(user))
//!     }
//! }
//!
//! impl Access for Teams {
//!     fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
//!         // An outer layer has put the owner there.
//!         Box::pin(async move { Ok(head.extensions.get::<Owner>().cloned()) })
//!     }
//!
//!     fn allow<'a>(
//!         &'a self,
//!         user: Option<&'a Owner>,
//!         action: Action,
//!         session: Option<SessionRef<'a>>,
//!     ) -> BoxFuture<'a, bool> {
//!         Box::pin(async move {
//!             let Some(user) = user else { return false };
//!             let Some(session) = session else { return action == Action::List };
//!             let owns = session.owner == Some(user);
//!             match (action, session.chat) {
//!                 (Action::Start | Action::Read | Action::Abort | Action::Answer, Some(chat)) => {
//!                     self.is_member(chat, user).await
//!                 }
//!                 // A chat of the user's own, a deletion, or a session that is gone.
//!                 _ => owns,
//!             }
//!         })
//!     }
//!
//!     // Every request that may start a session has an owner.
//!     fn names_owners(&self) -> bool {
//!         true
//!     }
//! }
//! #
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let (ann, ben, id) = (Owner::new("ann"), Owner::new("ben"), unbroken::log::SessionId::random());
//! # let (team, other) = (ChatId::new("team"), ChatId::new("other"));
//! # let teams = Teams { members: [(team.clone(), [ben.clone()].into())].into() };
//! # let of_ann = SessionRef::new(&id, Some(&ann), Some(&team));
//! # assert!(teams.allow(Some(&ben), Action::Read, Some(of_ann)).await);
//! # assert!(!teams.allow(Some(&ben), Action::Delete, Some(of_ann)).await);
//! # let of_ben = SessionRef::new(&id, Some(&ben), Some(&other));
//! # assert!(!teams.allow(Some(&ben), Action::Start, Some(of_ben)).await);
//! # }
//! ```
//!
//! Absent and forbidden sessions look the same to clients. A policy never sees the body of a request.

mod anyone;
mod into_owner;
mod ip_prefix;
mod owner;
mod peer_addr;
mod per_peer;
mod policy;
mod proxy_header;

pub use self::{
    anyone::AnyoneWithTheId,
    into_owner::IntoOwner,
    ip_prefix::{InvalidIpPrefix, IpPrefix},
    owner::{Identify, OnlyTheOwner},
    peer_addr::PeerAddr,
    per_peer::PerPeer,
    policy::{Access, Action, Identified, SessionRef},
    proxy_header::ProxyHeader,
};

pub(crate) use self::per_peer::NamedByPeer;
