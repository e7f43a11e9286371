use std::{
    error::Error,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use super::{
    Interrupted, ProviderSource, Recovery, RecoveryPolicy, SessionInputs,
    answer_check::DefaultFormat,
    config::LayerConfig,
    hooks::{HookedSource, Hooks, SessionHooks, events},
    kept_request::KeptRequest,
    stored_request::{claims, restore},
};
use crate::{
    BoxFuture,
    chat::{Capabilities, ChatEvent, ChatRequest, Inputs, Message, Provider, ToolRuns, Transcript},
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
    event_bytes: usize,
    session_bytes: u64,
    default_format: DefaultFormat,
    declares_tools: bool,
}

impl<S> ProviderRecovery<S> {
    pub(super) fn new(config: &LayerConfig, provider: S) -> Self {
        Self {
            provider: Mutex::new(provider),
            recovery: config.recovery.clone(),
            can_restart: config.dialect.can_restart(),
            hooks: config.hooks.clone(),
            event_bytes: config.sessions.limits().event_bytes,
            session_bytes: config.sessions.limits().session_bytes,
            default_format: config.default_format.clone(),
            declares_tools: config.tools.is_some(),
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
        orphan.attempts < recovery.attempts && (recovery.decide.is_some() || may_continue)
    }

    fn recover(&self, orphan: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
        Box::pin(async move {
            let decided = match request(&orphan) {
                Ok(request) => self.decide(&orphan, request).await,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn Error,
                        "the request of an interrupted answer can't be read"
                    );
                    return Ok(None);
                }
            };
            match decided {
                Ok(Some(answer)) => Ok(Some(self.source(orphan, answer))),
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
    /// Decides by the policy. `None` if the session ends.
    async fn decide(
        &self,
        orphan: &Orphan,
        mut request: ChatRequest,
    ) -> Result<Option<FurtherAnswer>, ReadError> {
        if orphan.attempt > self.recovery.attempts {
            return Ok(None);
        }
        let mut policy = self.recovery.policy;
        let InterruptedLog {
            transcript,
            mut runs,
            claims,
            declared,
        } = InterruptedLog::read(orphan).await?;
        request.declared = declared.filter(|_| self.declares_tools);
        if let Some(decide) = &self.recovery.decide {
            let id = orphan.id().clone();
            let interrupted = Interrupted::new(id, request.clone(), transcript.clone())
                .owner(orphan.meta().owner.clone())
                .attempt(orphan.attempt);
            policy = decide(interrupted).await;
        }
        let first = match policy {
            RecoveryPolicy::Restart if self.can_restart => {
                let restarted = ChatEvent::restarted(RESTARTED);
                runs.push(&restarted);
                request.runs = Arc::new(runs);
                Some(restarted.to_json().freeze())
            }
            RecoveryPolicy::Resume => {
                // Without the tool calls: no model takes those without their results.
                if !transcript.text().is_empty() {
                    request.messages.push(Message::assistant(transcript.said()));
                }
                request.so_far = Some(Arc::new(transcript));
                request.runs = Arc::new(runs);
                None
            }
            RecoveryPolicy::Fail | RecoveryPolicy::Restart => return Ok(None),
        };
        Ok(Some(FurtherAnswer {
            request,
            first,
            claims,
        }))
    }

    fn source(&self, orphan: Orphan, answer: FurtherAnswer) -> Continuation
    where
        S: Provider,
    {
        let FurtherAnswer {
            mut request,
            first,
            claims,
        } = answer;
        let provider = self.provider.lock();
        let provider = provider.expect("nothing panics under this lock").clone();
        let inbox = Inbox::new();
        request.inputs = Inputs::new(SessionInputs::new(inbox.clone()));
        // `on_start` ran on the server that called the provider first.
        let hooks = self.hooks.clone().end_only();
        let hooks = hooks.any().then(|| {
            let kept = KeptRequest::new(orphan.request.clone(), &request);
            let owner = orphan.meta().owner.clone();
            SessionHooks::new(hooks, orphan.id().clone(), owner, kept).claims(claims)
        });
        let source = ProviderSource::in_format(provider, request, &self.default_format)
            .event_bytes(self.event_bytes)
            .session_bytes(self.session_bytes);
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

/// Decodes the stored request, with the session's id and owner.
fn request(orphan: &Orphan) -> Result<ChatRequest, serde_json::Error> {
    let mut request = restore(&orphan.request)?;
    request.session_id = Some(orphan.id().clone());
    request.owner.clone_from(&orphan.meta().owner);
    Ok(request)
}

/// The second part of an interrupted answer.
struct FurtherAnswer {
    /// The request to the provider.
    request: ChatRequest,
    /// The record that goes before the provider's events.
    first: Option<Bytes>,
    /// The calls that only the client claims were handed to it.
    claims: Vec<String>,
}

/// The content of the log of an interrupted answer.
struct InterruptedLog {
    transcript: Transcript,
    /// All runs of the tools, also those before a restart.
    runs: ToolRuns,
    claims: Vec<String>,
    /// The capabilities that the session has declared.
    declared: Option<Arc<Capabilities>>,
}

impl InterruptedLog {
    async fn read(orphan: &Orphan) -> Result<Self, ReadError> {
        let (mut transcript, mut runs) = (Transcript::new(), ToolRuns::new());
        let (mut claimed, mut declared) = (Vec::new(), None);
        for event in events(&orphan.read().await?) {
            let event = event?;
            if let ChatEvent::SessionInfo(info) = &event {
                claimed = claims(&info.extra);
                declared = Some(Arc::new(info.capabilities.clone()));
            }
            transcript.push(&event);
            runs.push(&event);
        }
        Ok(Self {
            transcript,
            runs,
            claims: claimed,
            declared,
        })
    }
}
