use std::{
    collections::BTreeMap,
    error::Error,
    future::poll_fn,
    sync::{Arc, Mutex},
};

use serde_json::{Map, Value};

use super::{
    Interrupted, Recovery, RecoveryWay, SessionInputs,
    config::LayerConfig,
    format::is_chat,
    hooks::{HookedSource, Hooks, SessionHooks, events},
    kept_request::KeptRequest,
    recovery_source::{InterruptedAnswer, RecoverySource, SourceSettings},
    stored_request::{claims, restore},
};
use crate::{
    BoxError, BoxFuture,
    chat::{
        Capabilities, ChatEvent, ChatRequest, Inputs, Liveness, Provider, ToolRuns, Transcript,
    },
    dialect::Dialect,
    log::Chunk,
    session::{Continuation, Inbox, Orphan, ReadError, RecoveryHandler, SealedOrphan},
    store::SessionState,
};

/// Recovers the interrupted answers of a layer with its provider.
pub(super) struct ProviderRecovery<S> {
    provider: Mutex<S>,
    recovery: Recovery,
    hooks: Hooks,
    settings: SourceSettings,
    dialect: Arc<dyn Dialect>,
    declares_tools: bool,
}

impl<S> ProviderRecovery<S> {
    pub(super) fn new(config: &LayerConfig, provider: S) -> Self {
        Self {
            provider: Mutex::new(provider),
            recovery: config.recovery.clone(),
            hooks: config.hooks.clone(),
            settings: SourceSettings {
                check_seam: config.recovery.check_seam,
                event_bytes: config.registry().limits().event_bytes,
                session_bytes: config.registry().limits().session_bytes,
                default_format: config.default_format.clone(),
            },
            dialect: config.dialect.clone(),
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
        let goes_on = |way: &RecoveryWay| match way {
            RecoveryWay::Restart => self.dialect.can_restart(),
            RecoveryWay::Reattach | RecoveryWay::Resume => true,
        };
        let may_continue = recovery.decide.is_some() || recovery.ways.iter().any(goes_on);
        may_continue
            && is_chat(&orphan.meta)
            && orphan.attempts < recovery.attempts
            && orphan.epoch.claims() < recovery.claims
    }

    fn sealed(&self, orphan: SealedOrphan) -> BoxFuture<'_, ()> {
        let recovery = &self.recovery;
        let reads_on = recovery.ways.contains(&RecoveryWay::Reattach);
        if !is_chat(&orphan.meta) || !reads_on && recovery.decide.is_none() {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(async move {
            if let Err(error) = self.stop(&orphan).await {
                tracing::warn!(
                    error = &*error as &dyn Error,
                    "the provider wasn't told to stop an answer"
                );
            }
        })
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

impl<S> ProviderRecovery<S>
where
    S: Provider,
{
    /// Tells the provider that an answer is read on by nobody: the call that would read it on is dropped.
    async fn stop(&self, orphan: &SealedOrphan) -> Result<(), BoxError> {
        let log = InterruptedLog::read(&orphan.read().await?)?;
        if log.transcript.stream_state().is_none() {
            return Ok(());
        }
        let mut request = restore(&orphan.request)?;
        request.session_id = Some(orphan.id.clone());
        request.owner.clone_from(&orphan.meta.owner);
        request.declared = log.declared.filter(|_| self.declares_tools);
        request.so_far = Some(Arc::new(log.transcript));
        request.runs = Arc::new(log.runs);
        request.reattach = true;
        request.liveness = Liveness::new();
        request.liveness.end();
        let mut provider = {
            let provider = self.provider.lock();
            provider.expect("nothing panics under this lock").clone()
        };
        poll_fn(|cx| provider.poll_ready(cx))
            .await
            .map_err(Into::into)?;
        drop(provider.call(request));
        Ok(())
    }
}

impl<S> ProviderRecovery<S> {
    /// Decides by the policy. `None` if the session ends.
    async fn decide(
        &self,
        orphan: &Orphan,
        mut request: ChatRequest,
    ) -> Result<Option<DecidedAnswer>, ReadError> {
        let recovery = &self.recovery;
        if orphan.attempts >= recovery.attempts || orphan.claims > recovery.claims {
            tracing::warn!(
                attempts = orphan.attempts,
                claims = orphan.claims,
                "an interrupted answer was taken over too often; it ends"
            );
            return Ok(None);
        }
        let records = orphan.read().await?;
        let InterruptedLog {
            transcript,
            runs,
            claims,
            notes,
            declared,
        } = InterruptedLog::read(&records)?;
        request.declared = declared.filter(|_| self.declares_tools);
        let mut ways = recovery.ways.clone();
        if let Some(decide) = &recovery.decide {
            let id = orphan.id().clone();
            let interrupted = Interrupted::new(id, request.clone(), transcript.clone())
                .owner(orphan.meta().owner.clone())
                .attempts(orphan.attempts)
                .claims(orphan.claims);
            ways = decide(interrupted).await;
        }
        let restarts = ways.contains(&RecoveryWay::Restart);
        let answer = InterruptedAnswer {
            request,
            transcript: Arc::new(transcript),
            runs: Arc::new(runs),
            restart_obstacle: restarts
                .then(|| self.dialect.restart_obstacle(&records))
                .flatten(),
        };
        Ok((!ways.is_empty()).then_some(DecidedAnswer {
            answer,
            ways,
            claims,
            metadata: self.dialect.metadata(&notes),
        }))
    }

    fn source(&self, orphan: Orphan, decided: DecidedAnswer) -> Continuation
    where
        S: Provider,
    {
        let DecidedAnswer {
            mut answer,
            ways,
            claims,
            metadata,
        } = decided;
        let request = &mut answer.request;
        let provider = self.provider.lock();
        let provider = provider.expect("nothing panics under this lock").clone();
        let inbox = Inbox::new();
        request.inputs = Inputs::new(SessionInputs::new(inbox.clone()));
        // `on_start` ran on the server that called the provider first.
        let hooks = self.hooks.clone().end_only();
        let hooks = hooks.any().then(|| {
            let kept = KeptRequest::new(orphan.request.clone(), request);
            let owner = orphan.meta().owner.clone();
            SessionHooks::new(hooks, orphan.id().clone(), owner, kept)
                .claims(claims)
                .metadata(metadata)
        });
        let source = RecoverySource::new(provider, answer, ways, self.settings.clone());
        let source = HookedSource::new(Box::pin(source), hooks.clone());
        let continuation = Continuation::new(source).inbox(inbox);
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

/// An interrupted answer, and what is to be done about it.
struct DecidedAnswer {
    answer: InterruptedAnswer,
    ways: Vec<RecoveryWay>,
    /// The calls that only the client claims were handed to it.
    claims: Vec<String>,
    metadata: BTreeMap<String, String>,
}

/// The content of the log of an interrupted answer.
struct InterruptedLog {
    transcript: Transcript,
    /// All runs of the tools, also those before a restart.
    runs: ToolRuns,
    claims: Vec<String>,
    /// The notes of the start.
    notes: Map<String, Value>,
    /// The capabilities that the session has declared.
    declared: Option<Arc<Capabilities>>,
}

impl InterruptedLog {
    fn read(records: &[Chunk]) -> Result<Self, ReadError> {
        let (mut transcript, mut runs) = (Transcript::new(), ToolRuns::new());
        let (mut claimed, mut notes, mut declared) = (Vec::new(), Map::new(), None);
        for event in events(records) {
            let event = event?;
            if let ChatEvent::SessionInfo(info) = &event {
                claimed = claims(&info.extra);
                notes.clone_from(&info.extra);
                declared = Some(Arc::new(info.capabilities.clone()));
            }
            transcript.push(&event);
            runs.push(&event);
        }
        Ok(Self {
            transcript,
            runs,
            claims: claimed,
            notes,
            declared,
        })
    }
}
