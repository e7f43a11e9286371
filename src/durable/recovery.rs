use std::{fmt, future::Future, sync::Arc};

use crate::{
    chat::{ChatRequest, Transcript},
    log::{Owner, SessionId},
    store::BoxFuture,
};

/// What becomes of an answer whose server died or shut down in the middle of it, once another server
/// (or the same one, restarted) has taken its session over.
///
/// The other server must have a layer with the same [name](super::DurableLayer::service_name) and the
/// same store. An answer whose provider was never called is begun there whatever the policy. One that
/// somebody aborted ends as aborted.
///
/// ```
/// use unbroken::durable::{RecoveryPolicy, Recovery};
///
/// // Start over, twice at the most, unless the user has read a good part of it by then.
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

/// What is done with an interrupted answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RecoveryPolicy {
    /// It ends with an error of the code `interrupted`, and the client may ask again.
    #[default]
    Fail,
    /// A `restarted` event tells clients to drop what they have, and the provider is asked anew:
    /// paid for twice. What tools did before is given to it as
    /// [`runs`](field@ChatRequest::runs). Where the layer's dialect can't express that, it is
    /// [`Fail`](Self::Fail).
    Restart,
    /// The provider is given the answer so far, its text as the last message and all of it as
    /// [`so_far`](ChatRequest::so_far), and goes on in the same log. Only for providers that do go
    /// on: one that starts over says everything twice. Whatever runs tools must look at `so_far`, or
    /// the same are run again.
    Resume,
}

/// An answer that was interrupted, for who decides about it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Interrupted {
    /// Its session.
    pub id: SessionId,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// What the provider was asked.
    pub request: Arc<ChatRequest>,
    /// What was answered so far.
    pub transcript: Transcript,
    /// How many times a server has taken it over, this time included.
    pub attempt: u32,
}

impl Recovery {
    /// Ends it. The default.
    pub fn fail() -> Self {
        Self::by(RecoveryPolicy::Fail)
    }

    /// Asks the provider anew.
    pub fn restart() -> Self {
        Self::by(RecoveryPolicy::Restart)
    }

    /// Has the provider go on.
    pub fn resume() -> Self {
        Self::by(RecoveryPolicy::Resume)
    }

    fn by(policy: RecoveryPolicy) -> Self {
        Self {
            policy,
            attempts: 3,
            decide: None,
        }
    }

    /// How many times an answer may be taken over; after that it ends. Default 3. Counted in the
    /// store, over all servers.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Decides for each answer, instead of the one policy. Not asked about those that were taken
    /// over too often, nor about those that were never begun. Its panic ends the answer.
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
