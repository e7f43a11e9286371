use std::sync::Arc;

use super::{config::LayerConfig, refusals};
use crate::{
    access::{Action, SessionRef},
    dialect::{Refusal, SessionKey},
    log::{Digest, Owner, SessionId},
    session::{Session, Sessions},
    store::{SessionState, StoreError, Tombstone},
};

/// The client of one request: its owner, and the sessions as the access policy opens them to it.
///
/// A session that the policy closes is refused as if it were absent.
pub(super) struct Caller {
    pub(super) config: Arc<LayerConfig>,
    pub(super) owner: Option<Owner>,
}

impl Caller {
    pub(super) const fn new(config: Arc<LayerConfig>, owner: Option<Owner>) -> Self {
        Self { config, owner }
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.config.sessions
    }

    pub(super) async fn is_allowed(&self, action: Action, session: Option<SessionRef<'_>>) -> bool {
        let owner = self.owner.as_ref();
        self.config.access.allow(owner, action, session).await
    }

    /// Attaches to a session. The policy is asked before, so that a client without the right never
    /// counts as a client of the session.
    pub(super) async fn attach(&self, id: &SessionId, action: Action) -> Result<Session, Refusal> {
        let meta = match self.sessions().meta(id).await {
            Ok(meta) => meta,
            Err(error) => return Err(self.absent(id, action, &error).await),
        };
        let session = SessionRef::new(id, meta.owner.as_ref(), meta.chat.as_ref());
        if !self.is_allowed(action, Some(session)).await {
            return Err(refusals::not_found());
        }
        match self.sessions().attach(id).await {
            Ok(session) => Ok(session),
            Err(error) => Err(self.absent(id, action, &error).await),
        }
    }

    /// Returns the state of a session in the store, without a handle on it.
    pub(super) async fn state(
        &self,
        id: &SessionId,
        action: Action,
    ) -> Result<SessionState, Refusal> {
        let state = match self.sessions().state(id).await {
            Ok(state) => state,
            Err(error) => return Err(self.absent(id, action, &error).await),
        };
        let session = SessionRef::new(id, state.meta.owner.as_ref(), state.meta.chat.as_ref());
        if self.is_allowed(action, Some(session)).await {
            Ok(state)
        } else {
            Err(refusals::not_found())
        }
    }

    /// Makes the refusal for a session that the store doesn't give. Only a caller that might have
    /// used the session learns that it is gone.
    pub(super) async fn absent(
        &self,
        id: &SessionId,
        action: Action,
        error: &StoreError,
    ) -> Refusal {
        let StoreError::Gone(tombstone) = error else {
            return refusals::store(error);
        };
        let session = SessionRef::new(id, tombstone.owner.as_ref(), None);
        if self.is_allowed(action, Some(session)).await {
            refusals::gone()
        } else {
            refusals::not_found()
        }
    }

    /// Returns the session under `id` if this caller started it with the same request, or `None` if
    /// the id is free.
    pub(super) async fn existing(
        &self,
        id: &SessionId,
        digest: Digest,
    ) -> Result<Option<Session>, Refusal> {
        let found = async {
            let meta = self.sessions().meta(id).await?;
            if meta.owner != self.owner || meta.digest != digest {
                return Ok(None);
            }
            self.sessions().attach(id).await.map(Some)
        };
        match found.await {
            Ok(Some(session)) => Ok(Some(session)),
            Ok(None) => Err(refusals::in_use()),
            Err(StoreError::NotFound) => Ok(None),
            Err(StoreError::Gone(tombstone)) => Err(self.tombstone_refusal(&tombstone)),
            Err(error) => Err(refusals::store(&error)),
        }
    }

    /// Makes the refusal for an id under a tombstone. The former owner learns that the session is
    /// gone, others only that the id is taken.
    pub(super) fn tombstone_refusal(&self, tombstone: &Tombstone) -> Refusal {
        if tombstone.owner == self.owner {
            refusals::gone()
        } else {
            refusals::in_use()
        }
    }

    /// Returns the id that a key stands for at its `count`th use by this caller.
    pub(super) fn key_id(&self, key: &SessionKey, count: u32) -> SessionId {
        key.id(self.config.service().as_str(), self.owner.as_ref(), count)
    }
}
