//! Who may do what.
//!
//! A policy works in two steps, and the application must name one: [`identify`](Access::identify)
//! says whom a request comes from, or answers it itself, and [`allow`](Access::allow) decides. Two are
//! ready-made: [`AnyoneWithTheId`] and [`OnlyTheOwner`].
//!
//! ```
//! use unbroken::{access::OnlyTheOwner, log::Owner};
//!
//! #[derive(Clone)]
//! struct User(String);
//!
//! // A layer outside has authenticated the request and left a `User` in its extensions.
//! let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
//!     head.extensions.get::<User>().map(|user| Owner::new(user.0.as_str()))
//! });
//! ```
//!
//! What is absent and what is forbidden look the same to clients. A policy never sees the body of a
//! request.

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
