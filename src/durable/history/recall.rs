use std::error::Error;

use super::{HistoryError, HistoryNote, KeptChat, LayerHistory};
use crate::{
    dialect::{KeyReuse, Problem, Recall, Refusal, SessionNaming, Start},
    durable::{caller::Caller, refusals},
    log::{ChatId, Digest, Outcome},
    session::Session,
    store::Listed,
};

/// The conversation of a start, which the history has.
pub(in crate::durable) struct ChatRecall<'a> {
    caller: &'a Caller,
    history: LayerHistory,
    recall: Box<dyn Recall>,
    chat: ChatId,
}

impl<'a> ChatRecall<'a> {
    /// Takes the recall of a start, and leaves of its messages only those that the client itself gives. `None` if
    /// the layer has no history.
    ///
    /// # Errors
    ///
    /// Refused if the request needs a history and the layer has none, or the other way round.
    pub(in crate::durable) fn of(
        caller: &'a Caller,
        start: &mut Start,
    ) -> Result<Option<Self>, Refusal> {
        let recall = start.recall.take();
        let Some(history) = caller.config.history.clone() else {
            return match recall {
                Some(recall) if recall.is_needed() => Err(refusals::no_history()),
                _ => Ok(None),
            };
        };
        let (Some(recall), Some(chat)) = (recall, start.chat.clone()) else {
            return Err(Refusal::new(
                Problem::WrongShape,
                "this server keeps the conversation, and needs the `id` of its chat; send it",
            ));
        };
        recall.narrow(&mut start.request);
        Ok(Some(Self {
            caller,
            history,
            recall,
            chat,
        }))
    }

    /// Puts the conversation into the start, and names its session by its place in the chat; or returns the session
    /// that the same request has started.
    pub(in crate::durable) async fn run(
        self,
        start: &mut Start,
        digest: Digest,
    ) -> Result<Option<Session>, Refusal> {
        let (caller, chat) = (self.caller, &self.chat);
        caller.may_find_by(chat)?;
        let owner = caller.owner.as_ref();
        let listed = caller.sessions().of_chat(owner, chat, KeptChat::SESSIONS);
        // Before the history is loaded: what it gets meanwhile is found in either.
        let listed = listed.await.map_err(|error| refusals::store(&error))?;
        let same: Vec<_> = listed
            .iter()
            .filter(|it| it.state.meta.digest == digest)
            .collect();
        let is_running =
            |it: &&&Listed| it.state.status.outcome().is_none() && it.state.abort.is_none();
        if let Some(running) = same.iter().find(is_running)
            && let Some(session) = caller.existing(&running.id, digest).await?
        {
            return Ok(Some(session));
        }
        let dialect = &*caller.config.dialect;
        let kept = KeptChat::load(
            caller.registry(),
            dialect,
            &self.history,
            (owner, chat),
            &listed,
        );
        let kept = kept.await.map_err(|error| refusal(&error))?;
        let is_answered = |it: &&&Listed| {
            it.state.status.outcome() == Some(Outcome::Complete) && kept.newest() == Some(&it.id)
        };
        if let SessionNaming::Key(key) = &start.naming
            && key.key_reuse() != KeyReuse::AfterEnd
            && let Some(answered) = same.iter().find(is_answered)
            && let Some(session) = caller.existing(&answered.id, digest).await?
        {
            return Ok(Some(session));
        }
        let number = kept.next_number();
        let asked = self.recall.recall(&kept.into_messages(), start)?;
        let note = serde_json::to_value(HistoryNote::new(dialect, number, asked));
        let note = note.map_err(|error| {
            tracing::error!(error = &error as &dyn Error, "a message can't be stored");
            Refusal::new(Problem::Internal, "the message can't be stored; change it")
        })?;
        start.notes.insert(HistoryNote::NAME.to_owned(), note);
        // The same message at another place of the chat, such as after it was edited twice, is another request.
        if let SessionNaming::Key(key) = &mut start.naming {
            *key = key.clone().at(number);
        }
        Ok(None)
    }
}

fn refusal(error: &HistoryError) -> Refusal {
    match error {
        HistoryError::Store(error) => refusals::store(error),
        error => {
            tracing::error!(error = error as &dyn Error, "a chat can't be loaded");
            refusals::chat_unavailable()
        }
    }
}
