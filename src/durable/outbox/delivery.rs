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
        hooks::{ending_id, events},
        kept_request::KeptRequest,
        stored_request::claims,
    },
    session::{EndingHandler, StoredEnding},
    store::StoreError,
};

/// Delivers the endings of a layer to the handler of the application.
pub(in crate::durable) struct LayerEndings {
    outbox: Outbox,
    dialect: Arc<dyn Dialect>,
}

impl LayerEndings {
    pub(in crate::durable) fn new(outbox: Outbox, dialect: Arc<dyn Dialect>) -> Self {
        Self { outbox, dialect }
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
                Some(ended) => ended,
                None => read_summary(&ending, true)?,
            };
            (self.outbox.deliver)(ended).await
        })
    }

    fn give_up(&self, ending: StoredEnding) -> BoxFuture<'_, ()> {
        let give_up = self.outbox.give_up.as_ref();
        let Some(give_up) = give_up.filter(|_| is_chat(&ending.meta)) else {
            return Box::pin(std::future::ready(()));
        };
        Box::pin(async move {
            // A log that can't be read may be what the deliveries failed of.
            let ended = match read_whole(&*self.dialect, &ending).await {
                Ok(Some(ended)) => Ok(ended),
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
        self.outbox.timeout
    }
}

/// Reads the log of an ending. `None` if the session was deleted.
async fn read_whole(
    dialect: &dyn Dialect,
    ending: &StoredEnding,
) -> Result<Option<SessionEnded>, BoxError> {
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
    Ok(Some(ended))
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
