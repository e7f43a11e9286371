use std::num::NonZeroUsize;

use super::{caller::Caller, refusals};
use crate::{
    access::{Action, SessionRef},
    dialect::{Problem, Refusal, Target},
    log::{ChatId, SessionId},
    session::Session,
    store::{Filter, Listed, StatusFilter, StoreError},
};

/// The most running sessions of one chat that are considered.
const RUNNING: usize = 32;
/// The number of a chat's newest sessions among which ended ones are looked for.
const ENDED: usize = 8;

/// Finds the sessions that a target or a chat names.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a> {
    caller: &'a Caller,
}

impl<'a> Lookup<'a> {
    pub(super) const fn new(caller: &'a Caller) -> Self {
        Self { caller }
    }

    /// Attaches to the session that a target names. `None` if it names a chat of which nothing runs.
    pub(super) async fn find(
        self,
        target: &Target,
        action: Action,
    ) -> Result<Option<Session>, Refusal> {
        let caller = self.caller;
        match target {
            Target::Id(id) => caller.attach(id, action).await.map(Some),
            Target::Key(key) => {
                let id = caller.key_id(key, 0);
                caller.attach(&id, action).await.map(Some)
            }
            Target::Chat(chat) => self.attach_running(chat, action).await,
            Target::IdOrChat(id, chat) => match caller.attach(id, action).await {
                Err(refusal) if refusal.problem == Problem::NotFound => {
                    self.attach_running(chat, action).await
                }
                found => found.map(Some),
            },
        }
    }

    /// Returns the id of the session that a target names, without a handle on it. `None` if it names
    /// a chat of which nothing runs.
    pub(super) async fn locate(
        self,
        target: &Target,
        action: Action,
    ) -> Result<Option<SessionId>, Refusal> {
        let (id, chat) = self.id_and_chat(target);
        if let Some(id) = id {
            match self.caller.state(&id, action).await {
                Ok(_) => return Ok(Some(id)),
                Err(refusal) if refusal.problem == Problem::NotFound && chat.is_some() => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let Some(chat) = chat else { return Ok(None) };
        Ok(self.allowed(chat, action).await?.into_iter().next())
    }

    /// Returns all sessions that a target may name: the one with this id, then those of the chat that
    /// run, then some that have ended. The policy is still to be asked about each.
    pub(super) async fn candidates(self, target: &Target) -> Result<Vec<SessionId>, Refusal> {
        let (id, chat) = self.id_and_chat(target);
        let mut candidates: Vec<_> = id.into_iter().collect();
        if let Some(chat) = chat {
            candidates.extend(self.running(chat).await?.into_iter().map(|it| it.id));
            candidates.extend(self.ended(chat).await?.into_iter().map(|it| it.id));
        }
        Ok(candidates)
    }

    fn id_and_chat(self, target: &Target) -> (Option<SessionId>, Option<&ChatId>) {
        match target {
            Target::Id(id) => (Some(id.clone()), None),
            Target::Key(key) => (Some(self.caller.key_id(key, 0)), None),
            Target::Chat(chat) => (None, Some(chat)),
            Target::IdOrChat(id, chat) => (Some(id.clone()), Some(chat)),
        }
    }

    /// Attaches to the newest session of a chat that runs and that the policy opens.
    async fn attach_running(
        self,
        chat: &ChatId,
        action: Action,
    ) -> Result<Option<Session>, Refusal> {
        for id in self.allowed(chat, action).await? {
            match self.caller.sessions().attach(&id).await {
                // A list may lag.
                Ok(session) if session.status().outcome().is_none() => return Ok(Some(session)),
                Ok(_) | Err(StoreError::NotFound | StoreError::Gone(_)) => {}
                Err(error) => return Err(refusals::store(&error)),
            }
        }
        Ok(None)
    }

    /// Returns the running sessions of a chat that the policy opens, newest first.
    async fn allowed(self, chat: &ChatId, action: Action) -> Result<Vec<SessionId>, Refusal> {
        let mut allowed = Vec::new();
        for Listed { id, state } in self.running(chat).await? {
            let meta = &state.meta;
            let session = SessionRef::new(&id, meta.owner.as_ref(), meta.chat.as_ref());
            if self.caller.is_allowed(action, Some(session)).await {
                allowed.push(id);
            }
        }
        Ok(allowed)
    }

    /// Returns the caller's newest sessions of a chat that have ended, newest first.
    pub(super) async fn ended(self, chat: &ChatId) -> Result<Vec<Listed>, Refusal> {
        let mut ended = self.list(chat, None, ENDED).await?;
        ended.retain(|listed| {
            listed.state.meta.owner == self.caller.owner && listed.state.status.outcome().is_some()
        });
        Ok(ended)
    }

    /// Returns the caller's sessions of a chat that run, newest first.
    pub(super) async fn running(self, chat: &ChatId) -> Result<Vec<Listed>, Refusal> {
        let mut running = Vec::new();
        for status in [StatusFilter::Streaming, StatusFilter::Waiting] {
            running.extend(self.list(chat, Some(status), RUNNING).await?);
        }
        // The list for a caller without an owner holds the sessions of every owner.
        running.retain(|listed| listed.state.meta.owner == self.caller.owner);
        running.sort_by_key(|listed| listed.state.age);
        Ok(running)
    }

    async fn list(
        self,
        chat: &ChatId,
        status: Option<StatusFilter>,
        limit: usize,
    ) -> Result<Vec<Listed>, Refusal> {
        let filter = Filter {
            owner: self.caller.owner.clone(),
            chat: Some(chat.clone()),
            status,
            after: None,
            limit: NonZeroUsize::new(limit),
        };
        let listing = self.caller.sessions().list(&filter).await;
        Ok(listing.map_err(|error| refusals::store(&error))?.sessions)
    }
}
