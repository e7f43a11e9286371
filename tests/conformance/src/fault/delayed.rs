use std::time::Duration;

use unbroken::{
    log::{Chunk, Epoch, SessionId},
    store::{
        AbortRequest, AfterAppend, DeleteMode, Holder, LeaseChange, NewSession, Store,
        StoredAnswer, Token,
    },
};

/// A copy of a request that arrives at the store later.
#[derive(Debug, Clone)]
pub(super) enum DelayedRequest {
    Create(SessionId, NewSession),
    Claim(SessionId, Epoch, Token, Duration),
    Renew(Vec<(SessionId, Epoch)>, LeaseChange),
    Append(SessionId, Chunk, AfterAppend),
    Abort(SessionId, AbortRequest),
    Answer(SessionId, StoredAnswer),
    Hold(SessionId, Holder, Duration),
    Delete(SessionId, DeleteMode),
    PostponeEnding(SessionId, u32, Duration),
    Delivered(SessionId, Epoch),
}

impl DelayedRequest {
    /// Applies the request and drops the reply.
    pub(super) async fn arrive(self, store: &impl Store) {
        match self {
            Self::Create(id, new) => drop(store.create(&id, new).await),
            Self::Claim(id, seen, token, lease) => {
                drop(store.claim(&id, seen, token, lease).await);
            }
            Self::Renew(owned, lease) => drop(store.renew(&owned, lease).await),
            Self::Append(id, chunk, then) => drop(store.append(&id, chunk, then).await),
            Self::Abort(id, abort) => drop(store.abort(&id, abort).await),
            Self::Answer(id, answer) => drop(store.answer(&id, answer).await),
            Self::Hold(id, by, keep) => drop(store.hold(&id, by, keep).await),
            Self::Delete(id, how) => drop(store.delete(&id, how).await),
            Self::PostponeEnding(id, delivery, by) => {
                drop(store.postpone_ending(&id, delivery, by).await);
            }
            Self::Delivered(id, sealed_by) => drop(store.delivered(&id, sealed_by).await),
        }
    }
}
