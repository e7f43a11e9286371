//! Access policies, which authorise what clients do with sessions.
//!
//! An application must name a policy. A policy works in two steps: [`identify`](Access::identify)
//! returns the owner that a request comes from, or the response to it, and [`allow`](Access::allow)
//! decides. Two policies are ready-made: [`AnyoneWithTheId`] and [`OnlyTheOwner`].
//!
//! ```
//! use unbroken::{access::OnlyTheOwner, log::Owner};
//!
//! #[derive(Clone)]
//! struct User(String);
//!
//! // An outer layer has authenticated the request and put a `User` into its extensions.
//! let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
//!     head.extensions.get::<User>().map(|user| Owner::new(user.0.as_str()))
//! });
//! ```
//!
//! Absent and forbidden sessions look the same to clients. A policy never sees the body of a request.

mod anyone;
mod into_owner;
mod owner;
mod policy;

pub use self::{
    anyone::AnyoneWithTheId,
    into_owner::IntoOwner,
    owner::{Identify, OnlyTheOwner},
    policy::{Access, Action, Identified, SessionRef},
};
