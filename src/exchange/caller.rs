use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::refusals;
use crate::{
    access::{Access, Action, NamedByPeer, SessionRef},
    dialect::{Refusal, SessionKey},
    log::{Digest, Owner, ServiceName, SessionId},
    session::{FormatSessions, Session, Sessions},
    store::{AbortRequest, Lease, SessionState, StoreError, Tombstone},
};

/// The longest time that the store may take to find the session to abort.
pub(crate) const LOCATED_WITHIN: Duration = Duration::from_millis(500);

/// The options of a layer that decide which sessions its callers reach.
pub(crate) trait CallerOptions {
    /// Returns the sessions that the layer finds: those of its format.
    fn sessions(&self) -> &FormatSessions;

    /// Returns the policy of the layer.
    fn access(&self) -> &dyn Access;

    /// Returns the name that is stored with each session.
    fn service(&self) -> &ServiceName;
}

/// The client of one request: its owner, and the sessions as the access policy opens them to it.
///
/// A session that the policy closes is refused as if it were absent.
pub(crate) struct LayerCaller<C> {
    pub(crate) config: Arc<C>,
    pub(crate) owner: Option<Owner>,
    /// True if the policy knows who the caller is. The address of a peer tells nothing.
    pub(crate) is_identified: bool,
}

/// The use of an id, as a caller that starts a session sees it.
pub(crate) enum UsedId {
    /// The caller has started this session with the same request.
    Session(Session),
    /// Nothing stands under the id, or a session of the same request that has not begun.
    Free,
    /// A session of another owner, of whichever format, or the tombstone of one.
    Taken,
}

impl<C: CallerOptions> LayerCaller<C> {
    /// Creates the caller of a request that comes from `owner`, `peer` if that is no more than an address.
    pub(crate) const fn new(
        config: Arc<C>,
        owner: Option<Owner>,
        peer: Option<NamedByPeer>,
    ) -> Self {
        let is_identified = owner.is_some() && peer.is_none();
        Self {
            config,
            owner,
            is_identified,
        }
    }

    /// Returns the sessions that the layer finds: those of its format.
    pub(crate) fn sessions(&self) -> &FormatSessions {
        self.config.sessions()
    }

    /// Returns the registry, for calls that find no session by a client's name.
    pub(crate) fn registry(&self) -> &Sessions {
        self.sessions().registry()
    }

    pub(crate) async fn is_allowed(&self, action: Action, session: Option<SessionRef<'_>>) -> bool {
        let owner = self.owner.as_ref();
        self.config.access().allow(owner, action, session).await
    }

    /// Attaches to a session. The policy is asked before, so that a client without the right never
    /// counts as a client of the session.
    pub(crate) async fn attach(&self, id: &SessionId, action: Action) -> Result<Session, Refusal> {
        let (meta, asked) = match self.sessions().meta(id).await {
            Ok(found) => found,
            Err(error) => return Err(self.absent(id, action, &error).await),
        };
        let session = SessionRef::new(id, meta.owner.as_ref(), meta.chat.as_ref());
        if !self.is_allowed(action, Some(session)).await {
            return Err(self.closed(id, action, asked).await);
        }
        match self.sessions().attach(id).await {
            Ok(session) => Ok(session),
            Err(error) => Err(self.absent(id, action, &error).await),
        }
    }

    /// Returns true if this server writes the session and the policy opens it. Needs no call of the
    /// store.
    pub(crate) async fn may_here(&self, id: &SessionId, action: Action) -> bool {
        let Some(meta) = self.sessions().meta_here(id) else {
            return false;
        };
        let session = SessionRef::new(id, meta.owner.as_ref(), meta.chat.as_ref());
        self.is_allowed(action, Some(session)).await
    }

    /// Makes the refusal for a session that the policy closes. It costs as many calls of the store as one
    /// for a session that is absent, so that its time doesn't tell them apart.
    async fn closed(&self, id: &SessionId, action: Action, asked: bool) -> Refusal {
        match self.ask_if(!asked, id).await {
            Ok(()) => refusals::not_found(),
            Err(error) => self.absent(id, action, &error).await,
        }
    }

    /// Asks the store for a session, for the time that it takes.
    async fn ask_if(&self, ask: bool, id: &SessionId) -> Result<(), StoreError> {
        if ask {
            self.registry().state(id).await?;
        }
        Ok(())
    }

    /// Aborts a session under its id. One that this server writes is found without the store.
    pub(crate) async fn abort(
        &self,
        id: &SessionId,
        abort: AbortRequest,
    ) -> Result<SessionState, Refusal> {
        if !self.may_here(id, Action::Abort).await {
            let state = timeout(LOCATED_WITHIN, self.state(id, Action::Abort)).await;
            state.unwrap_or_else(|_| Err(refusals::unavailable()))?;
        }
        match self.registry().abort(id, abort).await {
            Ok(state) => Ok(state),
            Err(error) => Err(self.absent(id, Action::Abort, &error).await),
        }
    }

    /// Deletes a session. To delete one that is gone already is a success, for a caller that might
    /// have deleted it.
    pub(crate) async fn delete(&self, id: &SessionId) -> Result<(), Refusal> {
        // The source of a session that this server writes is stopped, whether or not the store answers.
        if !self.may_here(id, Action::Delete).await {
            match self.state(id, Action::Delete).await {
                Err(refusal) if refusal == refusals::gone() => return Ok(()),
                state => state?,
            };
        }
        match self.registry().delete(id).await {
            Ok(()) | Err(StoreError::Gone(_)) => Ok(()),
            Err(error) => Err(self.absent(id, Action::Delete, &error).await),
        }
    }

    /// Returns the state of a session in the store, without a handle on it.
    pub(crate) async fn state(
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
    pub(crate) async fn absent(
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

    /// Returns the session under `id` if this caller started it with the same request. `None` if the id
    /// is free, or looks so to the caller.
    pub(crate) async fn existing(
        &self,
        id: &SessionId,
        digest: Digest,
    ) -> Result<Option<Session>, Refusal> {
        Ok(match self.look_up(id, digest).await? {
            UsedId::Session(session) => Some(session),
            UsedId::Free | UsedId::Taken => None,
        })
    }

    /// Attaches to the session that another start of this request has created meanwhile. For a start without a
    /// permit, which begins nothing itself.
    pub(crate) async fn started_meanwhile(
        &self,
        id: &SessionId,
        digest: Digest,
    ) -> Result<Option<Session>, Refusal> {
        match self.existing(id, digest).await? {
            Some(session) => Ok(Some(session)),
            None => Ok(self.about_to_begin(id, digest).await),
        }
    }

    /// Attaches to a session that another start of this request has created, and that its server is about to
    /// begin.
    async fn about_to_begin(&self, id: &SessionId, digest: Digest) -> Option<Session> {
        let state = self.sessions().state(id).await.ok()?;
        let is_same = state.meta.owner == self.owner && state.meta.digest == digest;
        if !is_same || !matches!(state.lease, Lease::Held(_)) || state.abort.is_some() {
            return None;
        }
        self.sessions().attach(id).await.ok()
    }

    /// Finds out what stands under an id, for a start of this caller.
    ///
    /// Refused with `IdInUse` or `Gone` only for the caller's own sessions. The limits are checked before a
    /// caller learns that the id is another owner's, and the calls of the store are the same.
    pub(crate) async fn look_up(&self, id: &SessionId, digest: Digest) -> Result<UsedId, Refusal> {
        let found = async {
            // A session of another format has the id as well.
            let (meta, asked) = self.registry().meta(id).await?;
            if meta.owner != self.owner {
                self.ask_if(!asked, id).await?;
                return Ok(Ok(UsedId::Taken));
            }
            if meta.digest != digest || !self.sessions().has(&meta) {
                return Ok(Err(refusals::in_use()));
            }
            let session = self.sessions().attach_begun(id).await?;
            // One that has not begun is begun by this start.
            Ok(Ok(session.map_or(UsedId::Free, UsedId::Session)))
        };
        match found.await {
            Ok(found) => found,
            Err(StoreError::NotFound) => Ok(UsedId::Free),
            Err(StoreError::Gone(tombstone)) if tombstone.owner == self.owner => {
                Err(refusals::gone())
            }
            Err(StoreError::Gone(_)) => Ok(UsedId::Taken),
            Err(error) => Err(refusals::store(&error)),
        }
    }

    /// Makes the refusal for an id under a tombstone. The former owner learns that the session is
    /// gone, others only that the id is taken.
    pub(crate) fn tombstone_refusal(&self, tombstone: &Tombstone) -> Refusal {
        if tombstone.owner == self.owner {
            refusals::gone()
        } else {
            refusals::in_use()
        }
    }

    /// Returns the id that a key stands for at its `count`th use by this caller.
    pub(crate) fn key_id(&self, key: &SessionKey, count: u32) -> SessionId {
        key.id(self.config.service().as_str(), self.owner.as_ref(), count)
    }
}
