use super::caller::Caller;
use crate::{
    access::Action,
    dialect::{KeyReuse, Problem, Refusal, SessionKey, SessionNaming},
    exchange::UsedId,
    log::{Digest, Outcome, SessionId},
    session::Session,
    store::Listed,
};

/// The most uses of a key that are looked up. A key with more uses gets a generated id.
const KEY_USES: u32 = 64;

/// The id of a start, compared with the sessions that exist.
pub(super) enum ResolvedId {
    /// A session that the same request has started.
    Existing(Session),
    /// An id for a new session.
    Free(SessionId),
    /// An id of another owner's session. The caller learns so only if it could start a session now.
    Taken(SessionId),
}

impl ResolvedId {
    /// Returns the id that a start asks for, before it is compared with what exists. `asked` is the one
    /// that the policy was asked about.
    pub(super) fn requested(
        caller: &Caller,
        naming: &SessionNaming,
        asked: &SessionId,
    ) -> SessionId {
        match naming {
            SessionNaming::Generated => asked.clone(),
            SessionNaming::Prefixed(prefix) => SessionId::random_after(prefix),
            SessionNaming::Client(id) => id.clone(),
            SessionNaming::Key(key) => caller.key_id(key, 0),
        }
    }

    /// Finds the session that this request, or one like it, has started; else the id for a new one.
    ///
    /// `requested` is the id that the start asks for, `concurrent` are the running sessions of its
    /// chat.
    pub(super) async fn resolve(
        caller: &Caller,
        naming: &SessionNaming,
        requested: SessionId,
        digest: Digest,
        concurrent: &[Listed],
    ) -> Result<Self, Refusal> {
        match naming {
            SessionNaming::Generated | SessionNaming::Prefixed(_) => Ok(Self::Free(requested)),
            SessionNaming::Client(_) => Ok(match caller.look_up(&requested, digest).await? {
                UsedId::Session(session) => Self::Existing(session),
                UsedId::Free => Self::Free(requested),
                UsedId::Taken => Self::Taken(requested),
            }),
            SessionNaming::Key(key) => Self::resolve_key(caller, key, digest, concurrent).await,
        }
    }

    async fn resolve_key(
        caller: &Caller,
        key: &SessionKey,
        digest: Digest,
        concurrent: &[Listed],
    ) -> Result<Self, Refusal> {
        // The running one may stand behind ids that have become free again.
        if let Some(same) = concurrent.iter().find(|it| it.state.meta.digest == digest)
            && let Some(session) = caller.existing(&same.id, digest).await?
        {
            return Ok(Self::Existing(session));
        }
        for count in 0..KEY_USES {
            let id = caller.key_id(key, count);
            let session = match caller.existing(&id, digest).await {
                Ok(Some(session)) => session,
                Ok(None) => return Ok(Self::Free(id)),
                Err(gone)
                    if gone.problem == Problem::Gone && key.key_reuse() != KeyReuse::Never =>
                {
                    continue;
                }
                Err(refusal) => return Err(refusal),
            };
            let attaches = match (key.key_reuse(), session.status().outcome()) {
                (KeyReuse::Never, _) | (KeyReuse::UnlessComplete, Some(Outcome::Complete)) => true,
                // An aborted session counts as ended.
                (_, None) => caller.state(&id, Action::Start).await?.abort.is_none(),
                (_, Some(_)) => false,
            };
            if attaches {
                return Ok(Self::Existing(session));
            }
        }
        Ok(Self::Free(SessionId::random()))
    }
}
