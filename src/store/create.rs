use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{SessionMeta, SessionState};
use crate::log::Epoch;

/// What a session is created from.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// What stays the same for the session's whole machine.
    pub info: Arc<SessionMeta>,
    /// What can start the session again: given to whoever claims it.
    pub request: Bytes,
    /// Makes the call repeatable.
    pub token: Token,
    /// For how long the creator owns it.
    pub lease: Duration,
    /// For how long its tombstone stands once it is gone.
    pub tombstone: Duration,
}

/// Tells a repeated `create` or `claim` from another caller's. Make a new one for each intent, and
/// keep it while retrying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub u128);

impl Token {
    /// A new one, with 128 random bits.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn random() -> Self {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).expect("the operating system gives randomness");
        Self(u128::from_be_bytes(bits))
    }
}

/// What came of a `create`.
#[derive(Debug, Clone)]
pub enum Created {
    /// The caller owns a new session at this epoch.
    Created(Epoch),
    /// The id is taken by this session.
    Exists(SessionState),
}

/// What a claimant gets.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The new epoch, which is the caller's.
    pub epoch: Epoch,
    /// The state after the claim; `attempts` counts it.
    pub state: SessionState,
    /// The request that the session was created with.
    pub request: Bytes,
}
