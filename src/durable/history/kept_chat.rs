//! The conversation of a chat as of now. The history gets an exchange some time after its end: until then it is
//! read from the store.

use std::{collections::HashSet, error::Error};

use super::{ChatExchange, HistoryError, HistoryNote, LayerHistory};
use crate::{
    dialect::{ChatMessage, Dialect},
    durable::hooks::ending_id,
    log::{ChatId, Chunk, ErrorCode, Lsn, Outcome, Owner, Position, SessionId},
    session::Sessions,
    store::{Listed, StoreError},
};

/// The exchanges of a chat.
pub(in crate::durable) struct KeptChat {
    ended: Vec<ChatExchange>,
    /// Those whose answers run, as far as they are written.
    running: Vec<ChatExchange>,
    /// The number of sessions whose logs can't be read.
    damaged: u64,
}

impl KeptChat {
    /// The number of a chat's newest sessions that may have exchanges which the history doesn't have yet.
    pub(in crate::durable) const SESSIONS: usize = 64;

    /// Loads a chat. `listed` are its newest sessions, which were listed before.
    pub(in crate::durable) async fn load(
        sessions: &Sessions,
        dialect: &dyn Dialect,
        history: &LayerHistory,
        (owner, chat): (Option<&Owner>, &ChatId),
        listed: &[Listed],
    ) -> Result<Self, HistoryError> {
        let mut is_last = false;
        loop {
            let mut kept = Self {
                ended: history.load(owner, chat).await?,
                running: Vec::new(),
                damaged: 0,
            };
            let is_whole = kept.add_undelivered(sessions, dialect, listed).await?;
            // A session that is gone was delivered meanwhile, or was deleted.
            if is_whole || is_last {
                return Ok(kept);
            }
            is_last = true;
        }
    }

    /// Adds the exchanges that the history doesn't have. Returns false if a session is gone.
    async fn add_undelivered(
        &mut self,
        sessions: &Sessions,
        dialect: &dyn Dialect,
        listed: &[Listed],
    ) -> Result<bool, HistoryError> {
        let kept = self.ended.iter();
        let endings: HashSet<_> = kept.clone().map(|it| it.ending_id.clone()).collect();
        let kept: HashSet<_> = kept.map(|it| (it.session.clone(), it.number)).collect();
        let mut is_whole = true;
        for Listed { id, state } in listed {
            let outcome = state.status.outcome();
            let ending = ending_id(id, state.epoch);
            if state.meta.outbox.is_none() || outcome.is_some() && endings.contains(&ending) {
                continue;
            }
            let (note, log) = match read(sessions, dialect, id, state.tail).await {
                Ok(Some(read)) => read,
                Ok(None) => continue,
                Err(StoreError::NotFound | StoreError::Gone(_)) => {
                    is_whole = false;
                    continue;
                }
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(
                        session_id = %id,
                        error = &error as &dyn Error,
                        "a chat is loaded without an answer whose log is damaged"
                    );
                    self.damaged += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if kept.contains(&(id.clone(), note.number())) {
                continue;
            }
            if let Some(outcome) = outcome {
                let exchange = note.exchange(dialect, (id, ending), &log, outcome, None);
                self.ended.push(exchange);
            } else {
                let running = Outcome::Error(ErrorCode::Interrupted); // not read
                let ending = (id, String::new());
                let so_far = note.exchange(dialect, ending, &log, running, None);
                self.running.push(so_far);
            }
        }
        Ok(is_whole)
    }

    /// Returns the place of the next exchange, after those that can't be read.
    pub(super) fn next_number(&self) -> u64 {
        let numbers = self.exchanges().map(|it| it.number);
        let last = numbers.max().unwrap_or_default();
        last.saturating_add(self.damaged).saturating_add(1)
    }

    /// Returns the session of the newest exchange.
    pub(super) fn newest(&self) -> Option<&SessionId> {
        let newest = self.exchanges().max_by(|a, b| a.order().cmp(&b.order()));
        newest.map(|it| &it.session)
    }

    fn exchanges(&self) -> impl Iterator<Item = &ChatExchange> {
        self.ended.iter().chain(&self.running)
    }

    /// Returns the messages, with the parts so far of answers that run.
    pub(super) fn into_messages(self) -> Vec<ChatMessage> {
        ChatExchange::conversation(self.ended.into_iter().chain(self.running))
    }

    /// Returns the messages without the answers that run.
    pub(in crate::durable) fn into_page(self) -> Vec<ChatMessage> {
        let answers = self.running.iter().filter_map(|it| it.messages.last());
        let answers: HashSet<_> = answers.map(|answer| answer.id.clone()).collect();
        let mut messages = self.into_messages();
        messages.retain(|message| !answers.contains(&message.id));
        messages
    }
}

/// Reads the log of a session up to its tail; `None` if it kept no chat.
async fn read(
    sessions: &Sessions,
    dialect: &dyn Dialect,
    id: &SessionId,
    tail: Lsn,
) -> Result<Option<(HistoryNote, Vec<Chunk>)>, StoreError> {
    let (mut found, mut at) = (None, Position::START);
    while at.lsn < tail {
        let page = sessions.page(id, at).await?;
        let Some(last) = page.chunks.last() else {
            return Err(StoreError::Rewound { tail: at.lsn });
        };
        at = Position::tagged(last.last(), last.epoch().tag());
        let Some((_, log)) = &mut found else {
            let note = HistoryNote::of_log(&page.chunks, dialect);
            let Some(note) = note else { return Ok(None) };
            found = Some((note, page.chunks));
            continue;
        };
        log.extend(page.chunks);
    }
    Ok(found)
}
