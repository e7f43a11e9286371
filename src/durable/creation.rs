use std::error::Error;

use http::Extensions;
use tokio::sync::oneshot;

use super::{
    ProviderSource, SessionInputs,
    caller::Caller,
    hooks::{HookedSource, SessionHooks, SessionStarted},
    stored_request,
};
use crate::{
    chat::{ChatRequest, Inputs, Provider},
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
    /// The request and its notes, for the store.
    stored: bytes::Bytes,
    /// The first record, which holds the notes.
    first: bytes::Bytes,
}

impl<'a> Creation<'a> {
    /// Encodes what is stored of a start.
    pub(super) fn new(
        caller: &'a Caller,
        id: SessionId,
        digest: Digest,
        start: Start,
        extensions: Extensions,
    ) -> Result<Self, Refusal> {
        let (mut request, notes) = (start.request, start.notes);
        let stored = stored_request::store(&mut request, &notes).map_err(|error| {
            tracing::error!(error = &error as &dyn Error, "a request can't be stored");
            Refusal::new(Problem::Internal, "the request can't be stored; change it")
        })?;
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
            first: stored_request::first_record(&caller.config.info, notes),
        })
    }

    /// Creates the session, and starts its writer; or attaches to one that the same request has
    /// created meanwhile.
    pub(super) async fn create<S: Provider>(
        self,
        permit: Permit,
        provider: S,
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
            .request(self.stored)
            .inbox(inbox);
        let (session_sender, session_receiver) = oneshot::channel();
        let hooks = config.hooks.any().then(|| {
            let started = SessionStarted::new(id.clone(), request.clone()).owner(owner.clone());
            SessionHooks::new(config.hooks.clone(), started)
        });
        if let Some(hooks) = hooks.clone() {
            let sessions = sessions.clone();
            spec = spec.on_sealed(move |outcome| {
                hooks.end(outcome, async move {
                    match session_receiver.await {
                        Ok(session) => Ok(session),
                        Err(_) => sessions.attach(&id).await,
                    }
                });
            });
        }
        let is_hooked = hooks.is_some();
        let source =
            ProviderSource::new(provider, request).event_bytes(sessions.limits().event_bytes);
        let source = HookedSource::new(Box::pin(source), hooks);
        let started = match sessions.start(permit, spec, source).await {
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
