use std::time::Duration;

use super::{caller::Caller, refusals};
use crate::{
    access::{Action, SessionRef},
    dialect::{Problem, Refusal, SessionKey, Target},
    log::{ChatId, SessionId},
    session::Session,
    store::{Listed, StoreError},
};

/// The most running sessions of one chat that are considered.
const RUNNING: usize = 32;
/// The most ended sessions of one chat that are considered.
const ENDED: usize = 8;

/// The caller's sessions of one chat, newest first.
pub(super) struct ChatSessions {
    pub(super) running: Vec<Listed>,
    pub(super) ended: Vec<Listed>,
}

/// Finds the sessions that a target or a chat names.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a> {
    caller: &'a Caller,
    ended_within: Duration,
}

impl<'a> Lookup<'a> {
    pub(super) const fn new(caller: &'a Caller) -> Self {
        Self {
            caller,
            ended_within: Duration::ZERO,
        }
    }

    /// Sets the time since its end within which [`find`](Self::find) takes the newest session of a chat of
    /// which nothing runs. Default zero, which means never.
    pub(super) const fn ended_within(mut self, within: Duration) -> Self {
        self.ended_within = within;
        self
    }

    /// Attaches to the session that a target names. `None` if it names a chat of which nothing runs, and
    /// nothing has ended just now.
    pub(super) async fn find(
        self,
        target: &Target,
        action: Action,
    ) -> Result<Option<Session>, Refusal> {
        let caller = self.caller;
        match target {
            Target::Id(id) => caller.attach(id, action).await.map(Some),
            Target::Key(key) => {
                let id = self.key_id(key)?;
                caller.attach(&id, action).await.map(Some)
            }
            Target::Chat(chat) => self.attach_of_chat(chat, action).await,
            Target::IdOrChat(id, chat) => match caller.attach(id, action).await {
                Err(refusal) if refusal.problem == Problem::NotFound => {
                    self.attach_of_chat(chat, action).await
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
        let (id, chat) = self.id_and_chat(target)?;
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
        let (id, chat) = self.id_and_chat(target)?;
        let mut candidates: Vec<_> = id.into_iter().collect();
        // The id stands for itself where the chat may not be searched.
        let chat =
            chat.filter(|chat| candidates.is_empty() || self.caller.may_find_by(chat).is_ok());
        if let Some(chat) = chat {
            let ChatSessions { running, ended } = self.of_chat(chat).await?;
            candidates.extend(running.into_iter().chain(ended).map(|it| it.id));
        }
        Ok(candidates)
    }

    fn id_and_chat(self, target: &Target) -> Result<(Option<SessionId>, Option<&ChatId>), Refusal> {
        Ok(match target {
            Target::Id(id) => (Some(id.clone()), None),
            Target::Key(key) => (Some(self.key_id(key)?), None),
            Target::Chat(chat) => (None, Some(chat)),
            Target::IdOrChat(id, chat) => (Some(id.clone()), Some(chat)),
        })
    }

    fn key_id(self, key: &SessionKey) -> Result<SessionId, Refusal> {
        self.caller.may_use_key(key, None)?;
        Ok(self.caller.key_id(key, 0))
    }

    /// Attaches to the newest session of a chat that runs and that the policy opens; else to the newest of
    /// all, if it has ended just now.
    async fn attach_of_chat(
        self,
        chat: &ChatId,
        action: Action,
    ) -> Result<Option<Session>, Refusal> {
        let ChatSessions { running, ended } = self.of_chat(chat).await?;
        for listed in running {
            // A list may lag.
            let is_wanted = |session: &Session| {
                session.status().outcome().is_none() || !self.ended_within.is_zero()
            };
            if let Some(session) = self.attach(&listed, action).await?.filter(is_wanted) {
                return Ok(Some(session));
            }
        }
        let is_recent = |it: &Listed| {
            it.state
                .ended
                .is_some_and(|ended| ended < self.ended_within)
        };
        match ended.first().filter(|it| is_recent(it)) {
            Some(newest) => self.attach(newest, action).await,
            None => Ok(None),
        }
    }

    /// Attaches to a session of a list. `None` if it is gone, or the policy doesn't open it.
    async fn attach(self, listed: &Listed, action: Action) -> Result<Option<Session>, Refusal> {
        if !self.is_allowed(listed, action).await {
            return Ok(None);
        }
        match self.caller.sessions().attach(&listed.id).await {
            Ok(session) => Ok(Some(session)),
            Err(StoreError::NotFound | StoreError::Gone(_)) => Ok(None),
            Err(error) => Err(refusals::store(&error)),
        }
    }

    /// Returns the running sessions of a chat that the policy opens, newest first.
    async fn allowed(self, chat: &ChatId, action: Action) -> Result<Vec<SessionId>, Refusal> {
        let mut allowed = Vec::new();
        for listed in self.running(chat).await? {
            if self.is_allowed(&listed, action).await {
                allowed.push(listed.id);
            }
        }
        Ok(allowed)
    }

    async fn is_allowed(self, Listed { id, state }: &Listed, action: Action) -> bool {
        let meta = &state.meta;
        let session = SessionRef::new(id, meta.owner.as_ref(), meta.chat.as_ref());
        self.caller.is_allowed(action, Some(session)).await
    }

    /// Returns the caller's sessions of a chat that run, newest first.
    pub(super) async fn running(self, chat: &ChatId) -> Result<Vec<Listed>, Refusal> {
        let mut running = self.newest(chat, RUNNING).await?;
        running.retain(is_running);
        Ok(running)
    }

    /// Returns the caller's sessions of a chat: those that run, and the newest that have ended.
    pub(super) async fn of_chat(self, chat: &ChatId) -> Result<ChatSessions, Refusal> {
        let all = self.newest(chat, RUNNING + ENDED).await?;
        let (mut running, mut ended): (Vec<_>, Vec<_>) = all.into_iter().partition(is_running);
        running.truncate(RUNNING);
        ended.truncate(ENDED);
        Ok(ChatSessions { running, ended })
    }

    async fn newest(self, chat: &ChatId, limit: usize) -> Result<Vec<Listed>, Refusal> {
        let caller = self.caller;
        caller.may_find_by(chat)?;
        let listed = caller
            .sessions()
            .of_chat(caller.owner.as_ref(), chat, limit);
        listed.await.map_err(|error| refusals::store(&error))
    }
}

fn is_running(listed: &Listed) -> bool {
    listed.state.status.outcome().is_none()
}
