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
    dialect::{Abort, List, ResponseData},
    log::SessionId,
    store::{AbortRequest, Filter, StoreError},
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
        let lookup = Lookup::new(caller);
        let Some(id) = lookup.locate(&abort.session, Action::Abort).await? else {
            return Ok(responder.document(&ResponseData::Idle));
        };
        let request = AbortRequest {
            reason: abort.reason.map(Into::into),
        };
        let state = match caller.sessions().abort(&id, request).await {
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
        let session = match caller.sessions().attach(&id).await {
            Ok(session) => session,
            Err(error) => return Err(caller.absent(&id, Action::Abort, &error).await),
        };
        let log = LogSnapshot::read(&session, ReadUntil::EndWithin(ABORT_PATIENCE)).await?;
        Ok(responder.document(&ResponseData::Aborted {
            session: responder.view(&session, log.status, log.tail),
            already,
            records: Some(&log.records),
        }))
    }

    /// Deletes a session. To delete one that is gone already is a success, for a caller that might
    /// have deleted it.
    pub(super) async fn delete(self, id: &SessionId) -> Served {
        let deleted = match self.caller.state(id, Action::Delete).await {
            Ok(_) => self.caller.sessions().delete(id).await,
            Err(refusal) if refusal == refusals::gone() => Ok(()),
            Err(refusal) => return Err(refusal),
        };
        match deleted {
            Ok(()) | Err(StoreError::Gone(_)) => {
                Ok(self.responder.document(&ResponseData::Deleted { id }))
            }
            Err(error) => Err(self.caller.absent(id, Action::Delete, &error).await),
        }
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
