//! The right of one session to take the outputs for the calls of another, which the store gives once.
//!
//! The session that takes them, under whichever id, reserves an id that is derived from the session that
//! handed over. The reservation names the taker by a hash, and outlives it. One whose taker failed before a
//! second half of a tool began leads to the next count.

use std::time::Duration;

use super::{caller::Caller, digest_of, refusals};
use crate::{
    dialect::{Problem, Refusal, SessionKey},
    log::{Digest, Owner, SessionId},
    session::Sessions,
};

/// The right to take the outputs, not reserved yet.
#[derive(Debug)]
pub(super) struct FollowUp {
    reservation: SessionId,
    owner: Option<Owner>,
    taker: Digest,
    /// True if the id of the session is derived, not the client's own.
    pub(super) derived: bool,
}

impl FollowUp {
    /// Creates the `count`th right to the outputs for the calls of `handed_over`, for the session `taker`.
    pub(super) fn new(
        handed_over: &SessionId,
        owner: Option<&Owner>,
        count: u32,
        taker: &SessionId,
    ) -> Self {
        // Of no service and without a prefix: services that share a registry share the reservation.
        let key = SessionKey::new(["outputs", handed_over.as_str()]);
        Self {
            reservation: key.id("", owner, count),
            owner: owner.cloned(),
            taker: digest_of_taker(taker),
            derived: false,
        }
    }

    /// Sets [`derived`](field@Self::derived). Default false.
    pub(super) const fn derived(mut self, derived: bool) -> Self {
        self.derived = derived;
        self
    }

    /// Returns the digest of the session that has taken the outputs, if one has.
    pub(super) async fn taken(&self, sessions: &Sessions) -> Result<Option<Digest>, Refusal> {
        let digest = sessions.digest(&self.reservation).await;
        digest.map_err(|error| refusals::store(&error))
    }

    /// Takes the outputs.
    ///
    /// # Errors
    ///
    /// [`Problem::OutputGiven`] if another session has taken them.
    pub(super) async fn reserve(
        self,
        sessions: &Sessions,
        outbox: Option<Duration>,
    ) -> Result<(), Refusal> {
        let reserved = sessions.reserve(&self.reservation, self.owner, self.taker, outbox);
        match reserved.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(given_before()),
            Err(error) => Err(refusals::store(&error)),
        }
    }
}

/// Returns the digest by which a reservation names the session that took the outputs.
pub(super) fn digest_of_taker(taker: &SessionId) -> Digest {
    digest_of(["taker", taker.as_str()])
}

/// Returns the id of the `count`th session that takes the outputs of this one, if its client chose none.
pub(super) fn follow_up_id(
    caller: &Caller,
    handed_over: &SessionId,
    prefix: &'static str,
    count: u32,
) -> SessionId {
    let key = SessionKey::new(["follow-up", handed_over.as_str()]);
    caller.key_id(&key.prefix(prefix), count)
}

/// Makes the refusal of outputs that another session has taken.
pub(super) fn given_before() -> Refusal {
    Refusal::new(
        Problem::OutputGiven,
        "the outputs of these calls were given before, by another request; read the session that it \
         started",
    )
}
