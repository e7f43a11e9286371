use std::mem;

use http::Extensions;
use serde_json::{Map, Value};

use super::{
    admission::{Admission, Admitted, not_aborted},
    answers::AnswerRequest,
    caller::Caller,
    client_outputs::{ClientOutputs, Verified},
    creation::Creation,
    follow_up,
    full_log::ReadUntil,
    history::{ChatRecall, HistoryNote},
    lookup::Lookup,
    refusals, request_depth,
    resolved_id::ResolvedId,
    responder::{Responder, Served},
    stored_request,
};
use crate::{
    chat::{Provider, SessionInfo},
    dialect::{
        Concurrency, KeyReuse, Problem, Refusal, ResponseData, ResponseMode, SessionNaming, Start,
    },
    log::{Digest, SessionId, Status},
    session::Session,
    store::{AbortRequest, Listed},
};

/// A request to start a session that the policy allows: find what exists or admit, create, respond. All
/// refusals come before the session exists.
pub(super) struct StartRequest<'a> {
    caller: &'a Caller,
    responder: &'a Responder,
    start: Start,
    digest: Digest,
    /// The id that the policy was asked about.
    asked: SessionId,
}

impl<'a> StartRequest<'a> {
    pub(super) const fn new(
        caller: &'a Caller,
        responder: &'a Responder,
        start: Start,
        digest: Digest,
        asked: SessionId,
    ) -> Self {
        Self {
            caller,
            responder,
            start,
            digest,
            asked,
        }
    }

    /// Serves the start. The extensions of the HTTP request go to the provider.
    pub(super) async fn run<S: Provider>(
        mut self,
        extensions: Extensions,
        mut provider: S,
    ) -> Served {
        let caller = self.caller;
        let dialect = &*caller.config.dialect;
        let recall = ChatRecall::of(caller, &mut self.start)?;
        let fields = &caller.config.client_fields;
        fields.apply(&mut self.start.request, dialect)?;
        request_depth::check(&self.start.request, &self.start.notes, dialect)?;
        let defaults = &caller.config.options;
        self.start.request.options.fill_in(defaults);
        let default = &caller.config.enabled_tools;
        let enabled = &mut self.start.request.enabled_tools;
        enabled.get_or_insert_with(|| default.clone());
        if let SessionNaming::Key(key) = &self.start.naming {
            caller.may_use_key(key, self.start.chat.as_ref())?;
        }
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
        if let Some(recall) = recall {
            if let Some(session) = recall.run(&mut self.start, self.digest).await? {
                return respond(self.responder, self.start.response_mode, &session, false).await;
            }
            // The words of a client come back in the notes.
            request_depth::check(&self.start.request, &self.start.notes, dialect)?;
        }
        // Before the outputs are verified: a follow-up that another request starts meanwhile is not among
        // them, so this one doesn't supersede it.
        let mut running = self.running().await?;
        let follow_up = match ClientOutputs::new(caller)
            .verify(&mut self.start, self.digest)
            .await?
        {
            Verified::Start(guard) => guard,
            Verified::Repeated(session) => {
                return respond(self.responder, self.start.response_mode, &session, false).await;
            }
        };
        // Once: the names of tools may change while the server runs.
        let info = caller.config.session_info();
        self.shorten_notes(&info)?;
        let concurrent: Vec<_> = not_aborted(&running).cloned().collect();
        let (naming, digest) = (&self.start.naming, self.digest);
        let requested = ResolvedId::requested(caller, naming, &self.asked);
        let resolved = ResolvedId::resolve(caller, naming, requested, digest, &concurrent).await;
        // An id that is derived from the session that handed over was used by its follow-up.
        let derived = follow_up.as_ref().is_some_and(|it| it.derived);
        let given_before = |refusal: Refusal| match refusal.problem {
            Problem::IdInUse | Problem::Gone if derived => follow_up::given_before(),
            _ => refusal,
        };
        let (id, is_taken) = match resolved.map_err(given_before)? {
            ResolvedId::Existing(session) => {
                return respond(self.responder, self.start.response_mode, &session, false).await;
            }
            ResolvedId::Free(id) => (id, false),
            ResolvedId::Taken(id) => (id, true),
        };
        // A session that this start begins is none beside it.
        running.retain(|it| it.id != id);
        let blocks = |it: &Listed| match self.start.concurrency {
            Concurrency::Refuse => true,
            Concurrency::CancelQuestions => it.state.status != Status::Waiting,
            Concurrency::Allow | Concurrency::Supersede => false,
        };
        if not_aborted(&running).any(blocks) {
            return Err(refusals::chat_busy());
        }
        let same = match naming {
            SessionNaming::Generated | SessionNaming::Prefixed(_) => None,
            SessionNaming::Client(_) | SessionNaming::Key(_) => Some((&id, digest)),
        };
        if is_taken {
            // Refused below, so it supersedes nothing.
            running.clear();
        }
        let admission = Admission::new(caller, &mut provider, same);
        let permit = match admission.admit(self.start.concurrency, &running).await? {
            Admitted::Permit(permit) => permit,
            Admitted::Attached(session) => {
                return respond(self.responder, self.start.response_mode, &session, false).await;
            }
        };
        if is_taken {
            return Err(refusals::in_use());
        }
        let mode = mem::replace(&mut self.start.response_mode, ResponseMode::Document);
        let creation = Creation::new(caller, id, digest, self.start, &info, extensions)?;
        let started = creation.create(permit, provider, follow_up).await;
        let started = started.map_err(given_before)?;
        let response = respond(self.responder, mode, &started.session, started.created).await;
        if response.is_err() && started.created {
            // A start that is refused doesn't run.
            abort_refused(caller, started.session.id()).await;
        }
        response
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
            Some(chat) if self.start.concurrency != Concurrency::Allow => {
                Lookup::new(self.caller).running(chat).await
            }
            Some(chat) if may_attach && self.caller.may_find_by(chat).is_ok() => {
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
    fn shorten_notes(&mut self, info: &SessionInfo) -> Result<(), Refusal> {
        let start = &mut self.start;
        let max = self.caller.registry().limits().event_bytes;
        if start.notes.is_empty() {
            return Ok(());
        }
        let request = &start.request;
        let bytes = |notes: &Map<String, Value>| {
            stored_request::first_record(info, request, notes.clone()).len()
        };
        if bytes(&start.notes) > max {
            start.notes.extend(mem::take(&mut start.lean_notes));
        }
        let bytes = bytes(&start.notes);
        if bytes <= max {
            return Ok(());
        }
        if HistoryNote::continues(&start.notes) {
            return Err(Refusal::new(
                Problem::BodyTooLarge,
                format!(
                    "the answer that this request continues has {bytes} bytes as it is stored, and an event has at \
                     most {max} (the application sets `Limits::event_bytes`); send a new message"
                ),
            ));
        }
        if start.notes.contains_key(HistoryNote::NAME) {
            return Err(Refusal::new(
                Problem::BodyTooLarge,
                format!(
                    "the message has {bytes} bytes as it is stored, and an event has at most {max} (the \
                     application sets `Limits::event_bytes`); send less, or links instead of files"
                ),
            ));
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

/// Aborts a session whose start was refused after its creation.
async fn abort_refused(caller: &Caller, id: &SessionId) {
    let abort = AbortRequest {
        reason: Some("its start was refused".into()),
    };
    if let Err(error) = caller.registry().abort(id, abort).await {
        tracing::warn!(%error, "a session whose start was refused can't be aborted");
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
