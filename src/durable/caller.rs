use std::sync::Arc;

use super::{config::LayerConfig, refusals};
use crate::{
    access::{Action, NamedByPeer, SessionRef},
    dialect::{Refusal, SessionKey},
    log::{ChatId, Digest, Owner, SessionId},
    session::{FormatSessions, Session, Sessions},
    store::{Lease, SessionState, StoreError, Tombstone},
};

/// The client of one request: its owner, and the sessions as the access policy opens them to it.
///
/// A session that the policy closes is refused as if it were absent.
pub(super) struct Caller {
    pub(super) config: Arc<LayerConfig>,
    pub(super) owner: Option<Owner>,
    /// True if the policy knows who the caller is. The address of a peer tells nothing.
    is_identified: bool,
}

/// The use of an id, as a caller that starts a session sees it.
pub(super) enum UsedId {
    /// The caller has started this session with the same request.
    Session(Session),
    /// Nothing stands under the id, or a session of the same request that has not begun.
    Free,
    /// A session of another owner, of whichever format, or the tombstone of one.
    Taken,
}

impl Caller {
    /// Creates the caller of a request that comes from `owner`, `peer` if that is no more than an address.
    pub(super) const fn new(
        config: Arc<LayerConfig>,
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
    pub(super) fn sessions(&self) -> &FormatSessions {
        &self.config.sessions
    }

    /// Returns the registry, for calls that find no session by a client's name.
    pub(super) fn registry(&self) -> &Sessions {
        self.config.registry()
    }

    pub(super) async fn is_allowed(&self, action: Action, session: Option<SessionRef<'_>>) -> bool {
        let owner = self.owner.as_ref();
        self.config.access.allow(owner, action, session).await
    }

    /// Checks that a chat id leads this caller to sessions: to those of its owner, or to those without
    /// one if the id is a secret.
    pub(super) fn may_find_by(&self, chat: &ChatId) -> Result<(), Refusal> {
        if self.is_identified {
            return Ok(());
        }
        if !self.config.secret_chat_ids {
            return Err(refusals::forbidden(
                "a chat id leads to the answers of its owner only, and this request has none; sign in",
            ));
        }
        match chat.as_str().parse::<SessionId>() {
            Ok(_) => Ok(()),
            Err(_) => Err(refusals::forbidden(
                "a chat id must be a secret here: send one of 22 to 128 characters of A-Z a-z 0-9 . _ ~ -, \
                 chosen at random",
            )),
        }
    }

    /// Checks that this caller may name a session by a key. Without an owner the key, or the chat that it
    /// belongs to, must be a secret: others could compute the id.
    pub(super) fn may_use_key(
        &self,
        key: &SessionKey,
        chat: Option<&ChatId>,
    ) -> Result<(), Refusal> {
        if self.is_identified || key.is_secret() {
            return Ok(());
        }
        match chat {
            Some(chat) => self.may_find_by(chat),
            None => Err(refusals::guessable_key()),
        }
    }

    /// Attaches to a session. The policy is asked before, so that a client without the right never
    /// counts as a client of the session.
    pub(super) async fn attach(&self, id: &SessionId, action: Action) -> Result<Session, Refusal> {
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
    pub(super) async fn may_here(&self, id: &SessionId, action: Action) -> bool {
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

    /// Returns the session under `id` if this caller started it with the same request. `None` if the id
    /// is free, or looks so to the caller.
    pub(super) async fn existing(
        &self,
        id: &SessionId,
        digest: Digest,
    ) -> Result<Option<Session>, Refusal> {
        Ok(match self.look_up(id, digest).await? {
            UsedId::Session(session) => Some(session),
            UsedId::Free | UsedId::Taken => None,
        })
    }

    /// Attaches to a session that another start of this request has created, and that its server is about to
    /// begin. For a start without a permit, which begins nothing itself.
    pub(super) async fn about_to_begin(&self, id: &SessionId, digest: Digest) -> Option<Session> {
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
    pub(super) async fn look_up(&self, id: &SessionId, digest: Digest) -> Result<UsedId, Refusal> {
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
