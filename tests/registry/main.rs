//! The promises of the registry: starts, attaches, counts, endings, recovery and deletion.

#[path = "../support/mod.rs"]
mod support;

mod claims;
mod clean_up;
mod endings;
mod formats;
mod inputs;
mod leases;
mod orphan_endings;
mod outbox;
mod outbox_clean_up;
mod places;
mod reading;
mod refused;
mod servers;
mod shutdown;
mod start;
mod stops;
mod stuck;
mod sweeper;
mod take_over;
mod withdraw;

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

/// Builds sessions that are deleted as soon as one is read to its end and has no client left.
pub(crate) fn sessions_released_at_once() -> Sessions {
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
