use std::{fmt, future::Future, sync::Arc};

use super::RecoveryWay;
use crate::{
    BoxFuture,
    chat::{ChatRequest, Transcript},
    log::{Owner, SessionId},
};

/// The recovery of interrupted answers: those whose server died or shut down before their end.
///
/// Another server, or the same one after a restart, takes the session over. It must have a layer with
/// the same [service name](super::DurableLayer::service_name) and the same store. It tries the [ways](RecoveryWay)
/// of this list in their order, until the provider doesn't decline one. An answer for which none is left ends with
/// an error of the code `interrupted`, which says what was tried and why it failed; clients may ask again. So
/// ends every interrupted answer by default, since the list is empty.
///
/// A session that was aborted ends as aborted. One whose log is empty was never begun, and its start may have been
/// refused: it ends with an error of the code `interrupted` under every list, unless the same request is sent
/// again before.
///
/// ```
/// use unbroken::durable::{Recovery, RecoveryWay};
///
/// // Read on if the model's server still has the answer, else begin anew.
/// let recovery = Recovery::new().reattach().restart();
///
/// // Continue a long answer, and begin a short one anew.
/// let recovery = Recovery::new().decide(|interrupted| async move {
///     if interrupted.transcript.text().len() > 4000 {
///         vec![RecoveryWay::Resume, RecoveryWay::Restart]
///     } else {
///         vec![RecoveryWay::Restart]
///     }
/// });
/// ```
#[derive(Clone)]
#[must_use = "hand it to `DurableLayer::recovery`"]
pub struct Recovery {
    pub(super) ways: Vec<RecoveryWay>,
    pub(super) attempts: u32,
    pub(super) claims: u64,
    pub(super) check_seam: bool,
    pub(super) decide: Option<DecideFn>,
}

pub(super) type DecideFn =
    Arc<dyn Fn(Interrupted) -> BoxFuture<'static, Vec<RecoveryWay>> + Send + Sync>;

/// An interrupted answer, as [`Recovery::decide`] gets it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Interrupted {
    /// The session's id.
    pub id: SessionId,
    /// The session's owner.
    pub owner: Option<Owner>,
    /// The request to the provider.
    pub request: Arc<ChatRequest>,
    /// The answer so far.
    pub transcript: Transcript,
    /// The number of attempts so far that made no [progress](Recovery::attempts).
    pub attempts: u32,
    /// The number of times that a server has taken the session over, this time included.
    pub claims: u64,
}

impl Interrupted {
    /// Creates an interrupted answer, for tests of a [`decide`](Recovery::decide) function. It has no
    /// owner, and this is the first attempt.
    pub fn new(
        id: SessionId,
        request: impl Into<Arc<ChatRequest>>,
        transcript: Transcript,
    ) -> Self {
        Self {
            id,
            owner: None,
            request: request.into(),
            transcript,
            attempts: 0,
            claims: 1,
        }
    }

    /// Sets [`owner`](field@Self::owner). Default `None`.
    pub fn owner(mut self, owner: Option<Owner>) -> Self {
        self.owner = owner;
        self
    }

    /// Sets [`attempts`](field@Self::attempts). Default 0.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets [`claims`](field@Self::claims). Default 1.
    pub fn claims(mut self, claims: u64) -> Self {
        self.claims = claims;
        self
    }
}

impl Recovery {
    /// Creates an empty list: every interrupted answer ends. The default.
    pub fn new() -> Self {
        Self {
            ways: Vec::new(),
            attempts: 3,
            claims: 50,
            check_seam: true,
            decide: None,
        }
    }

    /// Adds [`RecoveryWay::Reattach`] to the list.
    pub fn reattach(self) -> Self {
        self.way(RecoveryWay::Reattach)
    }

    /// Adds [`RecoveryWay::Resume`] to the list.
    pub fn resume(self) -> Self {
        self.way(RecoveryWay::Resume)
    }

    /// Adds [`RecoveryWay::Restart`] to the list.
    pub fn restart(self) -> Self {
        self.way(RecoveryWay::Restart)
    }

    fn way(mut self, way: RecoveryWay) -> Self {
        if !self.ways.contains(&way) {
            self.ways.push(way);
        }
        self
    }

    /// Sets the number of attempts without progress after which an answer ends. Default 3.
    ///
    /// An attempt without progress is a server that took the session over, appended nothing, and died. One that
    /// appended a record, or gave the session back as it shut down, costs none. The store counts the attempts of
    /// all servers.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the number of times that a session may be taken over in all, planned deploys included. Default
    /// 50. It ends an answer that lets one server after another die after its first events.
    pub fn claims(mut self, claims: u64) -> Self {
        self.claims = claims;
        self
    }

    /// Sets whether the [seam](RecoveryWay#the-seam) of resumed answers is checked. Default true. Turn it off for
    /// a provider that goes on exactly where the partial answer ends, of answers that may repeat themselves word for
    /// word: texts of songs, generated test data.
    pub fn check_seam(mut self, checks: bool) -> Self {
        self.check_seam = checks;
        self
    }

    /// Sets a function that makes the list of ways for each answer, in place of this one.
    ///
    /// It isn't called for answers that were taken over too often, nor for those that were never begun. If it panics, the answer ends.
    pub fn decide<F, R, W>(mut self, decide: F) -> Self
    where
        F: Fn(Interrupted) -> R + Send + Sync + 'static,
        R: Future<Output = W> + Send + 'static,
        W: IntoIterator<Item = RecoveryWay>,
    {
        self.decide = Some(Arc::new(move |interrupted| {
            let decided = decide(interrupted);
            Box::pin(async move { decided.await.into_iter().collect() })
        }));
        self
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("ways", &self.ways)
            .field("attempts", &self.attempts)
            .field("claims", &self.claims)
            .field("check_seam", &self.check_seam)
            .field("decide", &self.decide.is_some())
            .finish()
    }
}
