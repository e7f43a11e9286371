use std::{fmt, future::Future, sync::Arc};

use crate::{
    BoxFuture,
    chat::{ChatRequest, Transcript},
    log::{Owner, SessionId},
};

/// The recovery of interrupted answers: those whose server died or shut down before their end.
///
/// Another server, or the same one after a restart, takes the session over. It must have a layer with
/// the same [service name](super::DurableLayer::service_name) and the same store. A session that was
/// aborted ends as aborted. One whose log is empty was never begun, and its start may have been refused:
/// it ends with an error of the code `interrupted` under every policy, unless the same request is sent
/// again before.
///
/// ```
/// use unbroken::durable::{Recovery, RecoveryPolicy};
///
/// // Restart twice at most, and resume instead if a good part of the answer is there already.
/// let recovery = Recovery::restart().attempts(2).decide(|interrupted| async move {
///     if interrupted.transcript.text().len() > 4000 {
///         RecoveryPolicy::Resume
///     } else {
///         RecoveryPolicy::Restart
///     }
/// });
/// ```
#[derive(Clone)]
#[must_use = "hand it to `DurableLayer::recovery`"]
pub struct Recovery {
    pub(super) policy: RecoveryPolicy,
    pub(super) attempts: u32,
    pub(super) decide: Option<DecideFn>,
}

pub(super) type DecideFn =
    Arc<dyn Fn(Interrupted) -> BoxFuture<'static, RecoveryPolicy> + Send + Sync>;

/// The way in which an interrupted answer is recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RecoveryPolicy {
    /// Ends the answer with an error of the code `interrupted`. The client may ask again.
    #[default]
    Fail,
    /// Calls the provider again with the stored request. The answer is paid for twice.
    ///
    /// A `restarted` event tells clients to drop what they have. The provider gets the earlier runs of
    /// tools as [`runs`](field@ChatRequest::runs). With a dialect that can't express `restarted`, this
    /// is [`Fail`](Self::Fail).
    Restart,
    /// Calls the provider with the answer so far: its text as the last message, and all of it as
    /// [`so_far`](ChatRequest::so_far). The answer continues in the same log. Arguments that were being streamed
    /// are [cut](field@crate::chat::ToolInput::cut): their call begins anew, under another id.
    ///
    /// Only for providers that continue a partial answer; with others the text comes twice. A layer
    /// that runs tools must read `so_far`, or it runs the same calls again.
    Resume,
}

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
    /// The number of times that a server has taken the session over, this time included.
    pub attempt: u32,
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
            attempt: 1,
        }
    }

    /// Sets [`owner`](field@Self::owner). Default `None`.
    pub fn owner(mut self, owner: Option<Owner>) -> Self {
        self.owner = owner;
        self
    }

    /// Sets [`attempt`](field@Self::attempt). Default 1.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }
}

impl Recovery {
    /// Ends every interrupted answer ([`RecoveryPolicy::Fail`]). The default.
    pub fn fail() -> Self {
        Self::new(RecoveryPolicy::Fail)
    }

    /// Calls the provider again ([`RecoveryPolicy::Restart`]).
    pub fn restart() -> Self {
        Self::new(RecoveryPolicy::Restart)
    }

    /// Continues with the answer so far ([`RecoveryPolicy::Resume`]).
    pub fn resume() -> Self {
        Self::new(RecoveryPolicy::Resume)
    }

    fn new(policy: RecoveryPolicy) -> Self {
        Self {
            policy,
            attempts: 3,
            decide: None,
        }
    }

    /// Sets the number of times that a session may be taken over before it is ended. Default 3.
    ///
    /// The store counts the attempts of all servers.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets a function that picks the policy for each answer.
    ///
    /// It isn't called for answers that were taken over too often, nor for those that were never begun. If it panics, the answer ends.
    pub fn decide<F, R>(mut self, decide: F) -> Self
    where
        F: Fn(Interrupted) -> R + Send + Sync + 'static,
        R: Future<Output = RecoveryPolicy> + Send + 'static,
    {
        self.decide = Some(Arc::new(move |interrupted| Box::pin(decide(interrupted))));
        self
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self::fail()
    }
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("policy", &self.policy)
            .field("attempts", &self.attempts)
            .field("decide", &self.decide.is_some())
            .finish()
    }
}
