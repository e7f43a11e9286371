use std::{
    error::Error,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    Interrupted, ProviderSource, Recovery, RecoveryPolicy, SessionInputs,
    config::LayerConfig,
    hooks::{HookedSource, Hooks, SessionHooks, SessionStarted, events},
    stored_request::{first_record, restore},
};
use crate::{
    BoxFuture,
    chat::{ChatEvent, ChatRequest, Inputs, Message, Provider, SessionInfo, ToolRuns, Transcript},
    log::Lsn,
    session::{Continuation, Inbox, Orphan, ReadError, RecoveryHandler},
    store::SessionState,
};

/// The reason in the `restarted` event.
const RESTARTED: &str = "The server stopped in the middle of the answer; it begins anew.";

/// Recovers the interrupted answers of a layer with its provider.
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
    S: Provider,
{
    fn accepts(&self, orphan: &SessionState) -> bool {
        let recovery = &self.recovery;
        let may_continue = match recovery.policy {
            RecoveryPolicy::Fail => false,
            RecoveryPolicy::Restart => self.can_restart,
            RecoveryPolicy::Resume => true,
        };
        orphan.attempts < recovery.attempts
            && (orphan.tail == Lsn::ZERO || recovery.decide.is_some() || may_continue)
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
    /// Decides by the policy. Returns the request to the provider, and the record that goes before its
    /// answer.
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
            return Ok(Some((request, Some(first_record(&self.info, notes)))));
        }
        let mut policy = self.recovery.policy;
        let (transcript, mut runs) = read_transcript(orphan).await?;
        if let Some(decide) = &self.recovery.decide {
            let id = orphan.id().clone();
            let interrupted = Interrupted::new(id, request.clone(), transcript.clone())
                .owner(orphan.meta().owner.clone())
                .attempt(orphan.attempt);
            policy = decide(interrupted).await;
        }
        Ok(match policy {
            RecoveryPolicy::Restart if self.can_restart => {
                let restarted = ChatEvent::restarted(RESTARTED);
                runs.push(&restarted);
                request.runs = Arc::new(runs);
                Some((request, Some(restarted.to_json().freeze())))
            }
            RecoveryPolicy::Resume => {
                // Without the tool calls: no model takes those without their results.
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
        S: Provider,
    {
        let provider = self.provider.lock();
        let provider = provider.expect("nothing panics under this lock").clone();
        let inbox = Inbox::new();
        request.inputs = Inputs::new(SessionInputs::new(inbox.clone()));
        let hooks = self.hooks.any().then(|| {
            let started = SessionStarted::new(orphan.id().clone(), request.clone())
                .owner(orphan.meta().owner.clone());
            let hooks = self.hooks.clone();
            // `on_start` ran on the server that called the provider first.
            let hooks = if orphan.tail == Lsn::ZERO {
                hooks
            } else {
                hooks.end_only()
            };
            SessionHooks::new(hooks, started)
        });
        let source = ProviderSource::new(provider, request).event_bytes(self.event_bytes);
        let source = HookedSource::new(Box::pin(source), hooks.clone());
        let mut continuation = Continuation::new(source).inbox(inbox);
        continuation.first = first;
        match hooks {
            None => continuation,
            Some(hooks) => {
                let session = orphan.session;
                continuation.on_sealed(move |outcome| hooks.end(outcome, async { Ok(session) }))
            }
        }
    }
}

/// Decodes the stored request, with the session's id and owner, and its notes.
fn request(orphan: &Orphan) -> Result<(ChatRequest, Map<String, Value>), serde_json::Error> {
    let (mut request, notes) = restore(&orphan.request)?;
    request.session_id = Some(orphan.id().clone());
    request.owner.clone_from(&orphan.meta().owner);
    Ok((request, notes))
}

/// Reads the answer so far, and all runs of its tools, also those before a restart.
async fn read_transcript(orphan: &Orphan) -> Result<(Transcript, ToolRuns), ReadError> {
    let (mut transcript, mut runs) = (Transcript::new(), ToolRuns::new());
    for event in events(&orphan.read().await?) {
        let event = event?;
        transcript.push(&event);
        runs.push(&event);
    }
    Ok((transcript, runs))
}
