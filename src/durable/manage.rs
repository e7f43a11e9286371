use std::time::Duration;

use super::{
    caller::Caller,
    full_log::{LogSnapshot, ReadUntil},
    lookup::Lookup,
    refusals,
    responder::{Responder, Served},
};
use crate::{
    access::Action,
    dialect::{Abort, List, Problem, Refusal, ResponseData, Target},
    exchange::LOCATED_WITHIN,
    log::SessionId,
    store::{AbortRequest, Filter},
};

/// The longest wait for the terminal event by an abort that is answered with the full log.
const ABORT_PATIENCE: Duration = Duration::from_secs(5);

/// A request to abort, delete or list sessions.
#[derive(Clone, Copy)]
pub(super) struct ManageRequest<'a> {
    caller: &'a Caller,
    responder: &'a Responder,
}

impl<'a> ManageRequest<'a> {
    pub(super) const fn new(caller: &'a Caller, responder: &'a Responder) -> Self {
        Self { caller, responder }
    }

    pub(super) async fn abort(self, abort: Abort) -> Served {
        let (caller, responder) = (self.caller, self.responder);
        let Some(id) = self.locate_to_abort(&abort.session).await? else {
            return Ok(responder.document(&ResponseData::Idle));
        };
        let request = AbortRequest {
            reason: abort.reason.map(Into::into),
        };
        let state = match caller.registry().abort(&id, request).await {
            Ok(state) => state,
            Err(error) => return Err(caller.absent(&id, Action::Abort, &error).await),
        };
        let already = state.status.outcome().is_some();
        if !abort.full_log {
            return Ok(responder.document(&ResponseData::Aborted {
                session: responder.state_view(&id, &state),
                already,
                records: None,
            }));
        }
        let log = async {
            let session = match caller.sessions().attach(&id).await {
                Ok(session) => session,
                Err(error) => return Err(caller.absent(&id, Action::Abort, &error).await),
            };
            let log = LogSnapshot::read(&session, ReadUntil::EndWithin(ABORT_PATIENCE)).await?;
            Ok((session, log))
        };
        match tokio::time::timeout(ABORT_PATIENCE, log).await {
            Ok(Ok((session, log))) => Ok(responder.document(&ResponseData::Aborted {
                session: responder.view(&session, log.status, log.tail),
                already,
                records: Some(&log.records),
            })),
            Ok(Err(refusal)) if refusal.problem != Problem::StoreUnavailable => Err(refusal),
            // The abort stands, also while the store doesn't give the log.
            _ => Ok(responder.document(&ResponseData::Aborted {
                session: responder.state_view(&id, &state),
                already,
                records: Some(&[]),
            })),
        }
    }

    /// Returns the id of the session to abort. `None` if the target names a chat of which nothing runs.
    ///
    /// A session that this server writes is found without the store: by its id at once, by its chat if the
    /// store doesn't answer. The caller must have the right to go by a key or a chat, as with the store.
    async fn locate_to_abort(self, target: &Target) -> Result<Option<SessionId>, Refusal> {
        let caller = self.caller;
        let (id, chat) = match target {
            Target::Id(id) => (Some(id.clone()), None),
            Target::Key(key) => {
                caller.may_use_key(key, None)?;
                (Some(caller.key_id(key, 0)), None)
            }
            Target::Chat(chat) => (None, Some(chat)),
            Target::IdOrChat(id, chat) => (Some(id.clone()), Some(chat)),
        };
        if let Some(id) = id
            && caller.may_here(&id, Action::Abort).await
        {
            return Ok(Some(id));
        }
        let located = Lookup::new(caller).locate(target, Action::Abort);
        match tokio::time::timeout(LOCATED_WITHIN, located).await {
            Ok(Err(refusal)) if refusal.problem == Problem::StoreUnavailable => {}
            Ok(located) => return located,
            Err(_) => {}
        }
        if let Some(chat) = chat {
            caller.may_find_by(chat)?;
            let owner = caller.owner.as_ref();
            for id in caller.sessions().writing_in(owner, chat) {
                if caller.may_here(&id, Action::Abort).await {
                    return Ok(Some(id));
                }
            }
        }
        Err(refusals::unavailable())
    }

    /// Deletes a session.
    pub(super) async fn delete(self, id: &SessionId) -> Served {
        self.caller.delete(id).await?;
        Ok(self.responder.document(&ResponseData::Deleted { id }))
    }

    /// Lists the caller's sessions. A caller without an owner is refused.
    pub(super) async fn list(self, list: List) -> Served {
        let owner = &self.caller.owner;
        if owner.is_none() || !self.caller.is_allowed(Action::List, None).await {
            return Err(refusals::forbidden(
                "you may not list sessions here; sign in, or ask the operator of this server",
            ));
        }
        let filter = Filter {
            owner: owner.clone(),
            chat: list.chat,
            status: list.status,
            after: list.after,
            limit: list.limit,
        };
        match self.caller.sessions().list(&filter).await {
            Ok(listing) => Ok(self.responder.document(&ResponseData::Listed(&listing))),
            Err(error) => Err(refusals::store(&error)),
        }
    }
}
