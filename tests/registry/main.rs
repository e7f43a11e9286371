//! What the registry promises: who starts, who attaches, who is counted, what is cleaned up.

#[path = "../support/mod.rs"]
mod support;

mod clean_up;
mod endings;
mod inputs;
mod reading;
mod servers;
mod start;
mod take_over;
mod taking_over;

use std::time::Duration;

use support::TextFormat;
use unbroken::{
    log::SessionId,
    session::{Retention, Sessions, SessionsBuilder},
    store::{Memory, StoreError},
};

pub(crate) fn builder() -> SessionsBuilder {
    SessionsBuilder::new(Memory::new(), TextFormat)
}

/// Sessions that are forgotten as soon as a reader had it all and none is left.
pub(crate) fn frugal() -> Sessions {
    builder()
        .retention(Retention::until_released().grace(Duration::ZERO))
        .build()
}

pub(crate) use support::begin;

pub(crate) async fn is_gone(sessions: &Sessions, id: &SessionId) -> bool {
    matches!(sessions.state(id).await, Err(StoreError::Gone(_)))
}

pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
