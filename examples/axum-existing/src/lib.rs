//! An existing axum application, to which a durable chat was added.
//!
//! The application has [state](App), [users](auth), a few [routes](notes), and common layers of
//! tower-http. The additions are [`chat`] with its [`history`], one line in [`layers`], and the shutdown in `main.rs`. Read
//! `layers.rs` first. Each of its claims about an order has a test in `tests/layers` that builds the
//! other order and shows the failure.

pub mod auth;
pub mod chat;
pub mod history;
pub mod layers;
pub mod notes;
mod state;

pub use self::state::App;
