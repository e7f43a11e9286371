use super::{
    refuse,
    serve::{Exchange, Served},
};
use crate::{
    access::Action,
    dialect::{Answer, List},
    session::SessionId,
    store::{Abort, Filter, StoreError},
};

impl Exchange {
    /// Stops a session.
    pub(super) async fn abort(&self, id: &SessionId, reason: Option<String>) -> Served {
        self.state(id, Action::Abort).await?;
        let abort = Abort {
            reason: reason.map(Into::into),
        };
        match self.config.sessions.abort(id, abort).await {
            Ok(state) => Ok(self.answer(&Answer::Aborted {
                session: self.view_of(id, &state),
                already: state.status.outcome().is_some(),
            })),
            Err(error) => Err(self.absent(id, Action::Abort, &error).await),
        }
    }

    /// Forgets a session. What is gone already is a success, to whom it was open.
    pub(super) async fn delete(&self, id: &SessionId) -> Served {
        let deleted = match self.state(id, Action::Delete).await {
            Ok(_) => self.config.sessions.delete(id).await,
            Err(refusal) if refusal == refuse::gone() => Ok(()),
            Err(refusal) => return Err(refusal),
        };
        match deleted {
            Ok(()) | Err(StoreError::Gone(_)) => Ok(self.answer(&Answer::Deleted)),
            Err(error) => Err(self.absent(id, Action::Delete, &error).await),
        }
    }

    /// The caller's sessions: nobody's are listed to nobody.
    pub(super) async fn list(&self, list: List) -> Served {
        if self.owner.is_none() || !self.allows(Action::List, None).await {
            return Err(refuse::forbidden(
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
            Ok(listing) => Ok(self.answer(&Answer::Listed(&listing))),
            Err(error) => Err(refuse::store(&error)),
        }
    }
}
