use std::{
    error::Error,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_core::TryStream;
use serde_json::{Map, Value};
use tower_service::Service;

use super::{
    Interrupted, ProviderSource, Recovery, RecoveryPolicy, SessionInputs,
    config::LayerConfig,
    hooks::{HookedSource, Hooks, SessionHooks, SessionStarted, events},
    stored_request::{first, restore},
};
use crate::{
    BoxError,
    chat::{ChatEvent, ChatRequest, Inputs, Message, SessionInfo, ToolRuns, Transcript},
    log::Lsn,
    session::{Continuation, Inbox, Orphan, ReadError, RecoveryHandler},
    store::{BoxFuture, SessionState},
};

/// What clients are told when an answer begins anew.
const RESTARTED: &str = "The server stopped in the middle of the answer; it begins anew.";

/// Carries on what a layer of this provider started.
pub(super) struct ProviderRecovery<S> {
    provider: Mutex<S>,
    recovery: Recovery,
    can_restart: bool,
    hooks: Hooks,
    info: SessionInfo,
    event_bytes: usize,
}

impl<S> ProviderRecovery<S> {
    pub(super) fn new(config: &LayerConfig, provider: S) -> Self {
        Self {
            provider: Mutex::new(provider),
            recovery: config.recovery.clone(),
            can_restart: config.dialect.can_restart(),
            hooks: config.hooks.clone(),
            info: config.info.clone(),
            event_bytes: config.sessions.limits().event_bytes,
        }
    }
}

impl<S> RecoveryHandler for ProviderRecovery<S>
where
    S: Service<ChatRequest> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    S::Response: TryStream<Ok = ChatEvent> + Send,
    <S::Response as TryStream>::Error: Into<BoxError>,
{
    fn accepts(&self, orphan: &SessionState) -> bool {
        let recovery = &self.recovery;
        let may_go_on = match recovery.policy {
            RecoveryPolicy::Fail => false,
            RecoveryPolicy::Restart => self.can_restart,
            RecoveryPolicy::Resume => true,
        };
        orphan.attempts < recovery.attempts
            && (orphan.tail == Lsn::ZERO || recovery.decide.is_some() || may_go_on)
    }

    fn recover(&self, orphan: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
        Box::pin(async move {
            let decided = match request(&orphan) {
                Ok((request, notes)) => self.decide(&orphan, request, notes).await,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn Error,
                        "the request of an interrupted answer can't be read"
                    );
                    return Ok(None);
                }
            };
            match decided {
                Ok(Some((request, first))) => Ok(Some(self.source(orphan, request, first))),
                Ok(None) => Ok(None),
                Err(ReadError::Unavailable) => Err(ReadError::Unavailable),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn Error,
                        "an interrupted answer can't be read"
                    );
                    Ok(None)
                }
            }
        })
    }
}

impl<S> ProviderRecovery<S> {
    /// What the provider is asked, and what stands in the log before its answer.
    async fn decide(
        &self,
        orphan: &Orphan,
        mut request: ChatRequest,
        notes: Map<String, Value>,
    ) -> Result<Option<(ChatRequest, Option<Bytes>)>, ReadError> {
        if orphan.attempt > self.recovery.attempts {
            return Ok(None);
        }
        if orphan.tail == Lsn::ZERO {
            return Ok(Some((request, Some(first(&self.info, notes)))));
        }
        let mut policy = self.recovery.policy;
        let (transcript, mut runs) = so_far(orphan).await?;
        if let Some(decide) = &self.recovery.decide {
            policy = decide(Interrupted {
                id: orphan.id().clone(),
                owner: orphan.info().owner.clone(),
                request: Arc::new(request.clone()),
                transcript: transcript.clone(),
                attempt: orphan.attempt,
            })
            .await;
        }
        Ok(match policy {
            RecoveryPolicy::Restart if self.can_restart => {
                let restarted = ChatEvent::restarted(RESTARTED);
                runs.push(&restarted);
                request.runs = Arc::new(runs);
                Some((request, Some(restarted.to_json().freeze())))
            }
            RecoveryPolicy::Resume => {
                // Without its tool calls: no model takes those without their results.
                if !transcript.text().is_empty() {
                    request.messages.push(Message::assistant(transcript.text()));
                }
                request.so_far = Some(Arc::new(transcript));
                request.runs = Arc::new(runs);
                Some((request, None))
            }
            RecoveryPolicy::Fail | RecoveryPolicy::Restart => None,
        })
    }

    fn source(&self, orphan: Orphan, mut request: ChatRequest, first: Option<Bytes>) -> Continuation
    where
        S: Service<ChatRequest> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        S::Response: TryStream<Ok = ChatEvent> + Send,
        <S::Response as TryStream>::Error: Into<BoxError>,
    {
        let provider = self.provider.lock();
        let provider = provider.expect("nothing panics under this lock").clone();
        let inbox = Inbox::new();
        request.inputs = Inputs::new(SessionInputs::new(inbox.clone()));
        let books = self.hooks.any().then(|| {
            let begun = SessionStarted {
                id: orphan.id().clone(),
                owner: orphan.info().owner.clone(),
                request: Arc::new(request.clone()),
            };
            let hooks = self.hooks.clone();
            // What has begun on another server doesn't begin here.
            let hooks = if orphan.tail == Lsn::ZERO {
                hooks
            } else {
                hooks.at_end()
            };
            SessionHooks::new(hooks, begun)
        });
        let source = ProviderSource::new(provider, request).event_bytes(self.event_bytes);
        let mut on =
            Continuation::new(HookedSource::new(Box::pin(source), books.clone())).inbox(inbox);
        on.first = first;
        match books {
            None => on,
            Some(books) => {
                let session = orphan.session;
                on.on_sealed(move |outcome| books.end(outcome, async { Ok(session) }))
            }
        }
    }
}

/// The request as it was stored, with whom it serves, and its notes.
fn request(orphan: &Orphan) -> Result<(ChatRequest, Map<String, Value>), serde_json::Error> {
    let (mut request, notes) = restore(&orphan.request)?;
    request.session_id = Some(orphan.id().clone());
    request.owner = orphan.info().owner.clone();
    Ok((request, notes))
}

/// What was answered so far, and what tools did for it, before former restarts too.
async fn so_far(orphan: &Orphan) -> Result<(Transcript, ToolRuns), ReadError> {
    let (mut transcript, mut runs) = (Transcript::new(), ToolRuns::new());
    for event in events(&orphan.read().await?) {
        let event = event?;
        transcript.push(&event);
        runs.push(&event);
    }
    Ok((transcript, runs))
}
