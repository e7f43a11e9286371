use std::mem;

use http::Extensions;
use serde_json::{Map, Value};

use super::{
    admission::{Admission, Admitted, not_aborted},
    answers::AnswerRequest,
    caller::Caller,
    creation::Creation,
    full_log::ReadUntil,
    lookup::Lookup,
    refusals,
    resolved_id::ResolvedId,
    responder::{Responder, Served},
    stored_request,
};
use crate::{
    access::{Action, SessionRef},
    chat::Provider,
    dialect::{
        Concurrency, KeyReuse, Problem, Refusal, ResponseData, ResponseMode, SessionNaming, Start,
    },
    log::{Digest, SessionId},
    session::Session,
    store::Listed,
};

/// A request to start a session: authorise, find what exists or admit, create, respond. All refusals
/// come before the session exists.
pub(super) struct StartRequest<'a> {
    caller: &'a Caller,
    responder: &'a Responder,
    start: Start,
    digest: Digest,
}

impl<'a> StartRequest<'a> {
    pub(super) const fn new(
        caller: &'a Caller,
        responder: &'a Responder,
        start: Start,
        digest: Digest,
    ) -> Self {
        Self {
            caller,
            responder,
            start,
            digest,
        }
    }

    /// Serves the start. The extensions of the HTTP request go to the provider.
    pub(super) async fn run<S: Provider>(
        mut self,
        extensions: Extensions,
        mut provider: S,
    ) -> Served {
        let caller = self.caller;
        caller.config.client_fields.apply(&mut self.start.request)?;
        let requested = ResolvedId::requested(caller, &self.start.naming);
        self.authorise(&requested).await?;
        if let Some(answers) = &self.start.answers
            && let Some((session, accepted)) = AnswerRequest::new(caller)
                .answer_any(self.start.chat.as_ref(), answers)
                .await?
        {
            return match self.start.response_mode {
                ResponseMode::Stream(encoder) => {
                    let reply = self.responder.stream(encoder).after(accepted.after);
                    reply.answered(accepted.inputs).respond(&session).await
                }
                mode => respond(self.responder, mode, &session, false).await,
            };
        }
        self.shorten_notes()?;
        let running = self.running().await?;
        let concurrent: Vec<_> = not_aborted(&running).cloned().collect();
        let (naming, digest) = (&self.start.naming, self.digest);
        let resolved = ResolvedId::resolve(caller, naming, requested, digest, &concurrent).await?;
        let id = match resolved {
            ResolvedId::Existing(session) => {
                return respond(self.responder, self.start.response_mode, &session, false).await;
            }
            ResolvedId::Free(id) => id,
        };
        if self.start.concurrency == Concurrency::Refuse && !concurrent.is_empty() {
            return Err(refusals::chat_busy());
        }
        let same = match naming {
            SessionNaming::Generated | SessionNaming::Prefixed(_) => None,
            SessionNaming::Client(_) | SessionNaming::Key(_) => Some((&id, digest)),
        };
        let admission = Admission::new(caller, &mut provider, same);
        let permit = match admission.admit(self.start.concurrency, &running).await? {
            Admitted::Permit(permit) => permit,
            Admitted::Attached(session) => {
                return respond(self.responder, self.start.response_mode, &session, false).await;
            }
        };
        let mode = mem::replace(&mut self.start.response_mode, ResponseMode::Document);
        let creation = Creation::new(caller, id, digest, self.start, extensions)?;
        let started = creation.create(permit, provider).await?;
        respond(self.responder, mode, &started.session, started.created).await
    }

    async fn authorise(&self, requested: &SessionId) -> Result<(), Refusal> {
        let chat = self.start.chat.as_ref();
        let session = SessionRef::new(requested, self.caller.owner.as_ref(), chat);
        if self.caller.is_allowed(Action::Start, Some(session)).await {
            return Ok(());
        }
        Err(refusals::forbidden(
            "you may not start a session here; sign in, or ask the operator of this server",
        ))
    }

    /// Returns the running sessions of the chat, or none if the start doesn't depend on them.
    async fn running(&self) -> Result<Vec<Listed>, Refusal> {
        let may_attach = match &self.start.naming {
            SessionNaming::Key(key) => key.key_reuse() != KeyReuse::Never,
            SessionNaming::Generated | SessionNaming::Prefixed(_) | SessionNaming::Client(_) => {
                false
            }
        };
        match &self.start.chat {
            Some(chat) if may_attach || self.start.concurrency != Concurrency::Allow => {
                Lookup::new(self.caller).running(chat).await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Replaces the notes by their lean form if the first record would be too large for an event.
    ///
    /// # Errors
    ///
    /// Refused if the lean notes are too large as well.
    fn shorten_notes(&mut self) -> Result<(), Refusal> {
        let start = &mut self.start;
        let max = self.caller.sessions().limits().event_bytes;
        if start.notes.is_empty() {
            return Ok(());
        }
        let bytes = |notes: &Map<String, Value>| {
            let info = &self.caller.config.info;
            stored_request::first_record(info, notes.clone()).len()
        };
        if bytes(&start.notes) > max {
            start.notes.extend(mem::take(&mut start.lean_notes));
        }
        let bytes = bytes(&start.notes);
        if bytes <= max {
            return Ok(());
        }
        Err(Refusal::new(
            Problem::BodyTooLarge,
            format!(
                "the stored part of the message that this request continues has {bytes} bytes, and an \
                 event has at most {max}; begin a new message"
            ),
        ))
    }
}

/// Responds to a start in the way that the client wants: the stream from its beginning, or a
/// document.
async fn respond(
    responder: &Responder,
    mode: ResponseMode,
    session: &Session,
    started: bool,
) -> Served {
    match mode {
        ResponseMode::Stream(encoder) => {
            let reply = responder.stream(encoder).started(started);
            reply.respond(session).await
        }
        ResponseMode::Document => {
            let session = responder.view(session, session.status(), session.tail());
            Ok(responder.document(&ResponseData::Document { session, started }))
        }
        ResponseMode::CurrentLog => {
            let until = ReadUntil::FirstRecord;
            responder.full_log(session, until, started).await
        }
        ResponseMode::FullLog => responder.full_log(session, ReadUntil::End, started).await,
    }
}
