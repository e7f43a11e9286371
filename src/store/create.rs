use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{SessionMeta, SessionState};
use crate::log::Epoch;

/// The data from which [`Store::create`](super::Store::create) makes a session.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The part of the session that never changes.
    pub meta: Arc<SessionMeta>,
    /// The request that can start the session again. A claimant gets it in [`Claimed`].
    pub request: Bytes,
    /// The token by which the store recognises a repetition of the call.
    pub token: Token,
    /// The length of the creator's lease.
    pub lease: Duration,
    /// The time for which the tombstone is kept once the session is deleted or has expired.
    pub tombstone: Duration,
}

/// A token that tells a repeated `create` or `claim` from that of another caller.
///
/// Make a new token for each operation, and keep it for its retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub u128);

impl Token {
    /// Creates a token of 128 random bits.
    ///
    /// # Panics
    ///
    /// Panics if the operating system has no source of randomness.
    pub fn random() -> Self {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).expect("the operating system gives randomness");
        Self(u128::from_be_bytes(bits))
    }
}

/// The result of [`Store::create`](super::Store::create).
#[derive(Debug, Clone)]
pub enum Created {
    /// The caller owns a new session at this epoch.
    Created(Epoch),
    /// Another session has this id; this is its state.
    Exists(SessionState),
}

/// The result of [`Store::claim`](super::Store::claim).
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The new epoch, owned by the caller.
    pub epoch: Epoch,
    /// The state after the claim.
    pub state: SessionState,
    /// The request that the session was created with.
    pub request: Bytes,
}
