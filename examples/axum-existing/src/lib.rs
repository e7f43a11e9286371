//! An application that was there before, and the durable chat that was added to it.
//!
//! What it had: [state](App), [users](auth), a few [routes](notes), and the layers of tower-http
//! that people stack on such routes. What was added: [`chat`], a line where the [layers]
//! meet it, and the shutdown in `main.rs`. Read `layers.rs` first; each claim that it makes about an
//! order has a test in `tests/layers` that builds the other order and looks at what breaks.

pub mod auth;
pub mod chat;
pub mod layers;
pub mod notes;
mod state;

pub use self::state::App;
