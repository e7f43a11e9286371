use std::{collections::BTreeMap, error::Error, sync::Arc};

use http::Extensions;
use tokio::sync::oneshot;

use super::{
    ProviderSource, SessionInputs,
    caller::Caller,
    follow_up::FollowUp,
    hooks::{HookedSource, SessionHooks},
    kept_request::KeptRequest,
    stored_request,
};
use crate::{
    chat::{ChatEvent, ChatRequest, Inputs, Provider, SessionInfo},
    dialect::{Problem, Refusal, Start},
    log::{ChatId, Digest, SessionId},
    session::{Inbox, Permit, SessionSpec, StartError, Started},
};

/// A session to create from a start that was admitted.
pub(super) struct Creation<'a> {
    caller: &'a Caller,
    id: SessionId,
    digest: Digest,
    chat: Option<ChatId>,
    request: ChatRequest,
    /// The request, for the store.
    stored: bytes::Bytes,
    /// The first record, which holds the notes.
    first: bytes::Bytes,
    claims: Vec<String>,
    metadata: BTreeMap<String, String>,
}

impl<'a> Creation<'a> {
    /// Encodes what is stored of a start.
    pub(super) fn new(
        caller: &'a Caller,
        id: SessionId,
        digest: Digest,
        start: Start,
        info: &SessionInfo,
        extensions: Extensions,
    ) -> Result<Self, Refusal> {
        let (mut request, notes) = (start.request, start.notes);
        let stored = stored_request::store(&request).map_err(|error| {
            tracing::error!(error = &error as &dyn Error, "a request can't be stored");
            Refusal::new(Problem::Internal, "the request can't be stored; change it")
        })?;
        let info = stored_request::session_info(info, &request, notes.clone());
        let declared = Arc::new(info.capabilities.clone());
        let first = ChatEvent::from(info).to_json().freeze();
        request.declared = caller.config.tools.is_some().then_some(declared);
        request.session_id = Some(id.clone());
        request.owner.clone_from(&caller.owner);
        request.extensions = extensions;
        Ok(Self {
            caller,
            id,
            digest,
            chat: start.chat,
            request,
            stored,
            claims: stored_request::claims(&notes),
            metadata: caller.config.dialect.metadata(&notes),
            first,
        })
    }

    /// Creates the session, and starts its writer; or attaches to one that the same request has
    /// created meanwhile.
    pub(super) async fn create<S: Provider>(
        self,
        permit: Permit,
        provider: S,
        follow_up: Option<FollowUp>,
    ) -> Result<Started, Refusal> {
        let (config, owner) = (&self.caller.config, &self.caller.owner);
        let sessions = self.caller.sessions();
        let (id, mut request) = (self.id, self.request);
        let inbox = Inbox::new();
        request.inputs = Inputs::new(SessionInputs::new(inbox.clone()));
        let service = config.service().clone();
        let mut spec = SessionSpec::new(id.clone(), service, self.digest, self.first)
            .owner(owner.clone())
            .chat(self.chat)
            .request(self.stored.clone())
            .inbox(inbox);
        spec.has_reserved = follow_up.is_some();
        let outbox = config.ending_kept_for();
        spec.outbox = outbox;
        let (session_sender, session_receiver) = oneshot::channel();
        let hooks = config.hooks.any().then(|| {
            let kept = KeptRequest::new(self.stored, &request);
            SessionHooks::new(config.hooks.clone(), id.clone(), owner.clone(), kept)
                .claims(self.claims)
                .metadata(self.metadata)
        });
        if let Some(hooks) = hooks.clone() {
            let sessions = sessions.clone();
            spec = spec.on_sealed(move |outcome| {
                hooks.end(outcome, async move {
                    match session_receiver.await {
                        Ok(session) => Ok(session),
                        Err(_) => sessions.attach(&id).await,
                    }
                })
            });
        }
        let is_hooked = hooks.is_some();
        let source = ProviderSource::in_format(provider, request, &config.default_format)
            .event_bytes(config.registry().limits().event_bytes)
            .session_bytes(config.registry().limits().session_bytes);
        let source = HookedSource::new(Box::pin(source), hooks);
        let started = match follow_up {
            None => sessions.start(permit, spec, source).await,
            Some(follow_up) => {
                let sessions = sessions.clone();
                // On a task of its own: outputs that are reserved are taken by a session, also if the client
                // disconnects between the two.
                let starting = tokio::spawn(tracing::Instrument::in_current_span(async move {
                    follow_up.reserve(sessions.registry(), outbox).await?;
                    Ok::<_, Refusal>(sessions.start(permit, spec, source).await)
                }));
                let started = starting.await.map_err(|error| {
                    tracing::error!(error = &error as &dyn Error, "a start was cut");
                    Refusal::new(Problem::Internal, "the start was cut; try again")
                })?;
                started?
            }
        };
        let started = match started {
            Ok(started) => started,
            Err(StartError::Gone(tombstone)) => {
                return Err(self.caller.tombstone_refusal(&tombstone));
            }
            Err(error) => return Err(error.into()),
        };
        if is_hooked && started.created {
            let _ = session_sender.send(started.session.clone());
        }
        Ok(started)
    }
}
