use std::num::NonZeroUsize;

use super::{exchange::Exchange, refusals};
use crate::{
    access::{Action, SessionRef},
    dialect::{Problem, Refusal, SessionKey, Target},
    log::{ChatId, SessionId},
    session::Session,
    store::{Filter, Listed, StatusFilter, StoreError},
};

/// How many running sessions of one conversation are looked at.
const RUNNING: usize = 32;
/// How many of the newest sessions of one conversation are looked at for one that has ended.
const ENDED: usize = 8;

impl Exchange {
    /// The session that a client means, if the caller may do this with it. `None` if it means a
    /// conversation of which nothing runs.
    pub(super) async fn find(
        &self,
        target: &Target,
        action: Action,
    ) -> Result<Option<Session>, Refusal> {
        match target {
            Target::Id(id) => self.session(id, action).await.map(Some),
            Target::Key(key) => {
                let id = self.id_of(key, 0);
                self.session(&id, action).await.map(Some)
            }
            Target::Chat(chat) => self.active(chat, action).await,
            Target::IdOrChat(id, chat) => match self.session(id, action).await {
                Err(refusal) if refusal.problem == Problem::NotFound => {
                    self.active(chat, action).await
                }
                found => found.map(Some),
            },
        }
    }

    /// The id that a key names for the `count`th time in the caller's hands.
    pub(super) fn id_of(&self, key: &SessionKey, count: u32) -> SessionId {
        key.id(self.config.service.as_str(), self.owner.as_ref(), count)
    }

    /// The same, by the store's word and without a handle.
    pub(super) async fn locate(
        &self,
        target: &Target,
        action: Action,
    ) -> Result<Option<SessionId>, Refusal> {
        let (id, chat) = self.named(target);
        if let Some(id) = id {
            match self.state(&id, action).await {
                Ok(_) => return Ok(Some(id)),
                Err(refusal) if refusal.problem == Problem::NotFound && chat.is_some() => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let Some(chat) = chat else { return Ok(None) };
        Ok(self.open(chat, action).await?.into_iter().next())
    }

    /// The sessions that a client may mean, where what it says tells which: the one of this id, then
    /// those of the conversation that run, then some that have ended. What the caller may do with them
    /// is still to be asked.
    pub(super) async fn candidates(&self, target: &Target) -> Result<Vec<SessionId>, Refusal> {
        let (id, chat) = self.named(target);
        let mut candidates: Vec<_> = id.into_iter().collect();
        if let Some(chat) = chat {
            candidates.extend(self.running(chat).await?.into_iter().map(|it| it.id));
            candidates.extend(self.ended(chat).await?.into_iter().map(|it| it.id));
        }
        Ok(candidates)
    }

    fn named<'a>(&self, target: &'a Target) -> (Option<SessionId>, Option<&'a ChatId>) {
        match target {
            Target::Id(id) => (Some(id.clone()), None),
            Target::Key(key) => (Some(self.id_of(key, 0)), None),
            Target::Chat(chat) => (None, Some(chat)),
            Target::IdOrChat(id, chat) => (Some(id.clone()), Some(chat)),
        }
    }

    /// The newest session of a conversation that runs and that the caller may do this with.
    async fn active(&self, chat: &ChatId, action: Action) -> Result<Option<Session>, Refusal> {
        for id in self.open(chat, action).await? {
            match self.config.sessions.attach(&id).await {
                // A list may lag.
                Ok(session) if session.status().outcome().is_none() => return Ok(Some(session)),
                Ok(_) | Err(StoreError::NotFound | StoreError::Gone(_)) => {}
                Err(error) => return Err(refusals::store(&error)),
            }
        }
        Ok(None)
    }

    /// Those that the caller may do this with.
    async fn open(&self, chat: &ChatId, action: Action) -> Result<Vec<SessionId>, Refusal> {
        let mut open = Vec::new();
        for Listed { id, state } in self.running(chat).await? {
            let info = &state.info;
            let known = SessionRef::new(&id, info.owner.as_ref(), info.chat.as_ref());
            if self.allows(action, Some(known)).await {
                open.push(id);
            }
        }
        Ok(open)
    }

    /// The newest sessions of a conversation that have ended and are the caller's, newest first.
    pub(super) async fn ended(&self, chat: &ChatId) -> Result<Vec<Listed>, Refusal> {
        let filter = Filter {
            owner: self.owner.clone(),
            chat: Some(chat.clone()),
            status: None,
            after: None,
            limit: NonZeroUsize::new(ENDED),
        };
        let listing = self.config.sessions.list(&filter).await;
        let mut ended = listing.map_err(|error| refusals::store(&error))?.sessions;
        ended.retain(|listed| {
            listed.state.info.owner == self.owner && listed.state.status.outcome().is_some()
        });
        Ok(ended)
    }

    /// The sessions of a conversation that run and are the caller's, newest first.
    pub(super) async fn running(&self, chat: &ChatId) -> Result<Vec<Listed>, Refusal> {
        let mut running = Vec::new();
        for status in [StatusFilter::Streaming, StatusFilter::Waiting] {
            let filter = Filter {
                owner: self.owner.clone(),
                chat: Some(chat.clone()),
                status: Some(status),
                after: None,
                limit: NonZeroUsize::new(RUNNING),
            };
            let listing = self.config.sessions.list(&filter).await;
            running.extend(listing.map_err(|error| refusals::store(&error))?.sessions);
        }
        // Where the caller has no name, the list holds everybody's.
        running.retain(|listed| listed.state.info.owner == self.owner);
        running.sort_by_key(|listed| listed.state.age);
        Ok(running)
    }
}
