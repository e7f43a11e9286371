use std::{error::Error, sync::Arc, time::Duration};

use serde_json::Map;

use super::Outbox;
use crate::{
    BoxError, BoxFuture,
    chat::{ChatEvent, ChatRequest, Transcript},
    dialect::Dialect,
    durable::{
        SessionEnded,
        format::is_chat,
        history::{ChatExchange, HistoryNote, LayerHistory},
        hooks::{ending_id, events},
        kept_request::KeptRequest,
        stored_request::claims,
    },
    session::{EndingHandler, StoredEnding},
    store::StoreError,
};

/// Delivers the endings of a layer to its history, and then to the handler of the application.
pub(in crate::durable) struct LayerEndings {
    outbox: Option<Outbox>,
    history: Option<LayerHistory>,
    dialect: Arc<dyn Dialect>,
}

/// An ending, with its exchange if its session has kept a chat.
struct ReadEnding {
    ended: SessionEnded,
    exchange: Option<ChatExchange>,
}

impl LayerEndings {
    /// Creates the deliveries of a layer. `None` if it has neither.
    pub(in crate::durable) fn new(
        outbox: Option<Outbox>,
        history: Option<LayerHistory>,
        dialect: Arc<dyn Dialect>,
    ) -> Option<Self> {
        (outbox.is_some() || history.is_some()).then_some(Self {
            outbox,
            history,
            dialect,
        })
    }
}

impl EndingHandler for LayerEndings {
    fn deliver(&self, ending: StoredEnding) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            if !is_chat(&ending.meta) {
                return Err(
                    "the ending is not that of a chat session: two services have one name".into(),
                );
            }
            let ended = match read_whole(&*self.dialect, &ending).await? {
                Some(ReadEnding { ended, exchange }) => {
                    if let (Some(history), Some(exchange)) = (&self.history, exchange)
                        && let Some(chat) = &ended.chat
                    {
                        history
                            .append(ended.owner.as_ref(), chat, &exchange)
                            .await?;
                    }
                    ended
                }
                None => read_summary(&ending, true)?,
            };
            match &self.outbox {
                Some(outbox) => (outbox.deliver)(ended).await,
                None => Ok(()),
            }
        })
    }

    fn give_up(&self, ending: StoredEnding) -> BoxFuture<'_, ()> {
        let give_up = self.outbox.as_ref().and_then(|it| it.give_up.as_ref());
        let Some(give_up) = give_up.filter(|_| is_chat(&ending.meta)) else {
            return Box::pin(std::future::ready(()));
        };
        Box::pin(async move {
            // A log that can't be read may be what the deliveries failed of.
            let ended = match read_whole(&*self.dialect, &ending).await {
                Ok(Some(read)) => Ok(read.ended),
                Ok(None) => read_summary(&ending, true),
                Err(_) => read_summary(&ending, false),
            };
            match ended {
                Ok(ended) => give_up(ended).await,
                Err(error) => tracing::error!(
                    error = &*error as &dyn Error,
                    "an ending that is given up can't be read"
                ),
            }
        })
    }

    fn timeout(&self) -> Duration {
        let outbox = self.outbox.as_ref().map_or(Duration::ZERO, |it| it.timeout);
        let history = self.history.as_ref();
        outbox.saturating_add(history.map_or(Duration::ZERO, |_| LayerHistory::TIMEOUT))
    }
}

/// Reads the log of an ending. `None` if the session was deleted.
async fn read_whole(
    dialect: &dyn Dialect,
    ending: &StoredEnding,
) -> Result<Option<ReadEnding>, BoxError> {
    if ending.deleted {
        return Ok(None);
    }
    let log = match ending.read().await {
        Err(StoreError::Gone(_) | StoreError::NotFound) => return Ok(None),
        log => log?,
    };
    let (mut transcript, mut notes) = (Transcript::new(), Map::new());
    for event in events(&log) {
        let event = event?;
        if let ChatEvent::SessionInfo(info) = &event {
            notes.clone_from(&info.extra);
        }
        transcript.push(&event);
    }
    let mut ended = ended(ending, transcript, false).claims(claims(&notes));
    ended.metadata = dialect.metadata(&notes);
    let exchange = HistoryNote::of(&notes, dialect).map(|note| {
        let ending = (&ended.id, ended.ending_id.clone());
        let usage = ended.transcript.usage();
        note.exchange(dialect, ending, &log, ended.outcome, usage)
    });
    Ok(Some(ReadEnding { ended, exchange }))
}

/// Reads what an ending tells without the log: that of a session that was deleted, without its request too.
fn read_summary(ending: &StoredEnding, deleted: bool) -> Result<SessionEnded, BoxError> {
    let mut transcript = Transcript::new();
    if !ending.summary.is_empty() {
        transcript.push(&serde_json::from_slice(&ending.summary)?);
    }
    let mut ended = ended(ending, transcript, deleted);
    ended.deleted = deleted;
    Ok(ended)
}

fn ended(ending: &StoredEnding, transcript: Transcript, deleted: bool) -> SessionEnded {
    let context = ChatRequest {
        session_id: Some(ending.id.clone()),
        owner: ending.meta.owner.clone(),
        ..ChatRequest::default()
    };
    let request = if deleted || ending.request.is_empty() {
        context
    } else {
        KeptRequest::new(ending.request.clone(), &context).decode()
    };
    let ended = SessionEnded::new(ending.id.clone(), request, transcript, ending.outcome);
    let mut ended = ended.owner(ending.meta.owner.clone());
    ended.chat.clone_from(&ending.meta.chat);
    ended.delivery = ending.delivery;
    ended.ending_id = ending_id(&ending.id, ending.sealed_by);
    ended.ended_at = ending.ended_at();
    ended
}
