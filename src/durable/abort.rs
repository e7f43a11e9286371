use std::time::Duration;

use super::{
    exchange::{Exchange, Served},
    full_log::{ReadUntil, log},
    refusals,
};
use crate::{
    access::Action,
    dialect::{Abort, List, ResponseData},
    log::SessionId,
    store::{self, Filter, StoreError},
};

/// How long an abort that is answered with the whole log waits for its terminal event.
const ABORT_PATIENCE: Duration = Duration::from_secs(5);

impl Exchange {
    /// Stops a session.
    pub(super) async fn abort(&self, abort: Abort) -> Served {
        let Some(id) = self.locate(&abort.session, Action::Abort).await? else {
            return Ok(self.answer(&ResponseData::Idle));
        };
        let wish = store::AbortRequest {
            reason: abort.reason.map(Into::into),
        };
        let sessions = &self.config.sessions;
        let state = match sessions.abort(&id, wish).await {
            Ok(state) => state,
            Err(error) => return Err(self.absent(&id, Action::Abort, &error).await),
        };
        let already = state.status.outcome().is_some();
        if !abort.full_log {
            return Ok(self.answer(&ResponseData::Aborted {
                session: self.view_of(&id, &state),
                already,
                records: None,
            }));
        }
        let session = match sessions.attach(&id).await {
            Ok(session) => session,
            Err(error) => return Err(self.absent(&id, Action::Abort, &error).await),
        };
        let log = log(&session, ReadUntil::EndWithin(ABORT_PATIENCE)).await?;
        Ok(self.answer(&ResponseData::Aborted {
            session: self.view(&session, log.status, log.tail),
            already,
            records: Some(&log.records),
        }))
    }

    /// Forgets a session. What is gone already is a success, to whom it was open.
    pub(super) async fn delete(&self, id: &SessionId) -> Served {
        let deleted = match self.state(id, Action::Delete).await {
            Ok(_) => self.config.sessions.delete(id).await,
            Err(refusal) if refusal == refusals::gone() => Ok(()),
            Err(refusal) => return Err(refusal),
        };
        match deleted {
            Ok(()) | Err(StoreError::Gone(_)) => Ok(self.answer(&ResponseData::Deleted { id })),
            Err(error) => Err(self.absent(id, Action::Delete, &error).await),
        }
    }

    /// The caller's sessions: nobody's are listed to nobody.
    pub(super) async fn list(&self, list: List) -> Served {
        if self.owner.is_none() || !self.allows(Action::List, None).await {
            return Err(refusals::forbidden(
                "you may not list sessions here; sign in, or ask whoever runs this server",
            ));
        }
        let filter = Filter {
            owner: self.owner.clone(),
            chat: list.chat,
            status: list.status,
            after: list.after,
            limit: list.limit,
        };
        match self.config.sessions.list(&filter).await {
            Ok(listing) => Ok(self.answer(&ResponseData::Listed(&listing))),
            Err(error) => Err(refusals::store(&error)),
        }
    }
}
