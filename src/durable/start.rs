use std::{error::Error, sync::Arc};

use futures_core::TryStream;
use http::Extensions;
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tower_service::Service;

use super::{
    ProviderSource, SessionInputs,
    admission::{Admission, unstopped},
    answers::AcceptedAnswers,
    exchange::{Exchange, Served},
    full_log::ReadUntil,
    hooks::{HookedSource, SessionHooks, SessionStarted},
    refusals, stored_request,
};
use crate::{
    BoxError,
    access::{Action, SessionRef},
    chat::{ChatEvent, ChatRequest, Inputs},
    dialect::{
        Concurrency, GivenAnswers, KeyReuse, Problem, Refusal, ResponseData, ResponseMode,
        SessionNaming, Start,
    },
    log::{ChatId, Digest, Outcome, SessionId},
    session::{self, Inbox, Permit, Session, StartError},
    store::{Listed, StoreError, Tombstone},
};

/// How many times a key is looked up; one that was used more often gets an id of ours.
const KEY_USES: u32 = 64;

/// Where a session is, or goes.
enum ResolvedId {
    Taken(Session),
    Free(SessionId),
}

impl Exchange {
    /// Authorise, compare with what exists, limits, readiness, create: everything that can be
    /// refused is refused before the session exists.
    pub(super) async fn start<S>(
        &self,
        mut start: Start,
        digest: Digest,
        extensions: Extensions,
        mut provider: S,
    ) -> Served
    where
        S: Service<ChatRequest> + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        S::Response: TryStream<Ok = ChatEvent> + Send,
        <S::Response as TryStream>::Error: Into<BoxError>,
    {
        self.config.open.admit(&mut start.request)?;
        let named = match &start.naming {
            SessionNaming::Generated => SessionId::random(),
            SessionNaming::Prefixed(prefix) => SessionId::random_after(prefix),
            SessionNaming::Client(id) => id.clone(),
            SessionNaming::Key(key) => self.id_of(key, 0),
        };
        let new = SessionRef::new(&named, self.owner.as_ref(), start.chat.as_ref());
        if !self.allows(Action::Start, Some(new)).await {
            return Err(refusals::forbidden(
                "you may not start a session here; sign in, or ask whoever runs this server",
            ));
        }
        if let Some(answers) = &start.answers
            && let Some((session, taken)) = self.answered(start.chat.as_ref(), answers).await?
        {
            return match start.response_mode {
                ResponseMode::Stream(encoder) => {
                    let reply = self.reply(encoder).after(taken.after);
                    reply.answered(taken.inputs).with(&session).await
                }
                other => self.begin(&session, other, false).await,
            };
        }
        self.fit(&mut start)?;
        let running = self.rivals(&start).await?;
        let rivals: Vec<_> = unstopped(&running).cloned().collect();
        let id = match self.place(&start.naming, named, digest, &rivals).await? {
            ResolvedId::Taken(session) => {
                return self.begin(&session, start.response_mode, false).await;
            }
            ResolvedId::Free(id) => id,
        };
        if start.concurrency == Concurrency::Refuse && !rivals.is_empty() {
            return Err(refusals::chat_busy());
        }
        let may_exist = !matches!(
            start.naming,
            SessionNaming::Generated | SessionNaming::Prefixed(_)
        );
        let same = may_exist.then_some((&id, digest));
        let room = self.take_room(&mut provider, same, start.concurrency, &running);
        let permit = match room.await? {
            Admission::Free(permit) => permit,
            Admission::Same(session) => {
                return self.begin(&session, start.response_mode, false).await;
            }
        };
        let mode = std::mem::replace(&mut start.response_mode, ResponseMode::Document);
        let started = self
            .create(permit, id, start, digest, extensions, provider)
            .await?;
        self.begin(&started.session, mode, started.created).await
    }

    /// Leaves out what can be spared of notes that wouldn't fit into the first record.
    ///
    /// # Errors
    ///
    /// If they don't fit even then.
    fn fit(&self, start: &mut Start) -> Result<(), Refusal> {
        let most = self.config.sessions.limits().event_bytes;
        if start.notes.is_empty() {
            return Ok(());
        }
        let bytes = |notes: &Map<String, Value>| {
            let first = stored_request::first(&self.config.info, notes.clone());
            first.len()
        };
        if bytes(&start.notes) > most {
            start.notes.extend(std::mem::take(&mut start.lean_notes));
        }
        let bytes = bytes(&start.notes);
        if bytes <= most {
            return Ok(());
        }
        Err(Refusal::new(
            Problem::BodyTooLarge,
            format!(
                "what is kept of the message that this goes on in has {bytes} bytes, and an event has \
                 at most {most}; begin a new message"
            ),
        ))
    }

    /// The session that asked what this answers, if one that runs did, or if one did that has ended
    /// and was answered so: then the response to this was lost, and it comes again.
    async fn answered(
        &self,
        chat: Option<&ChatId>,
        answers: &GivenAnswers,
    ) -> Result<Option<(Session, AcceptedAnswers)>, Refusal> {
        let (mut running, mut ended) = (Vec::new(), Vec::new());
        if let Some(chat) = chat {
            running.extend(self.running(chat).await?.into_iter().map(|it| it.id));
            ended.extend(self.ended(chat).await?.into_iter().map(|it| it.id));
        }
        if let Some(id) = &answers.session
            && !running.contains(id)
            && !ended.contains(id)
        {
            match self.state(id, Action::Answer).await {
                Ok(state) if state.status.outcome().is_some() => ended.push(id.clone()),
                Ok(_) => running.push(id.clone()),
                Err(refusal) if matches!(refusal.problem, Problem::NotFound | Problem::Gone) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        for id in running {
            if let Some(taken) = self.answer_all(&id, answers).await? {
                let session = self.session(&id, Action::Read).await?;
                return Ok(Some((session, taken)));
            }
        }
        for id in ended {
            if let Some(taken) = self.was_answered(&id, answers).await? {
                let session = self.session(&id, Action::Read).await?;
                return Ok(Some((session, taken)));
            }
        }
        Ok(None)
    }

    /// The other sessions of the conversation that run, if this start goes by them.
    async fn rivals(&self, start: &Start) -> Result<Vec<Listed>, Refusal> {
        let attaches = match &start.naming {
            SessionNaming::Key(key) => key.key_reuse() != KeyReuse::Never,
            SessionNaming::Generated | SessionNaming::Prefixed(_) | SessionNaming::Client(_) => {
                false
            }
        };
        match &start.chat {
            Some(chat) if attaches || start.concurrency != Concurrency::Allow => {
                self.running(chat).await
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Where the session is, if this request or one like it has started it; else where it goes.
    async fn place(
        &self,
        naming: &SessionNaming,
        named: SessionId,
        digest: Digest,
        rivals: &[Listed],
    ) -> Result<ResolvedId, Refusal> {
        let key = match naming {
            SessionNaming::Generated | SessionNaming::Prefixed(_) => {
                return Ok(ResolvedId::Free(named));
            }
            SessionNaming::Client(_) => {
                let there = self.existing(&named, digest).await?;
                return Ok(there.map_or(ResolvedId::Free(named), ResolvedId::Taken));
            }
            SessionNaming::Key(key) => key,
        };
        // The one that runs may stand behind ids that are free again by now.
        if let Some(same) = rivals.iter().find(|it| it.state.info.digest == digest)
            && let Some(session) = self.existing(&same.id, digest).await?
        {
            return Ok(ResolvedId::Taken(session));
        }
        for count in 0..KEY_USES {
            let id = self.id_of(key, count);
            let session = match self.existing(&id, digest).await {
                Ok(Some(session)) => session,
                Ok(None) => return Ok(ResolvedId::Free(id)),
                Err(gone)
                    if gone.problem == Problem::Gone && key.key_reuse() != KeyReuse::Never =>
                {
                    continue;
                }
                Err(refusal) => return Err(refusal),
            };
            let outcome = session.status().outcome();
            let attaches = match (key.key_reuse(), outcome) {
                (KeyReuse::Never, _) | (KeyReuse::UnlessComplete, Some(Outcome::Complete)) => true,
                // One that was stopped is as good as ended.
                (_, None) => self.state(&id, Action::Start).await?.abort.is_none(),
                (_, Some(_)) => false,
            };
            if attaches {
                return Ok(ResolvedId::Taken(session));
            }
        }
        Ok(ResolvedId::Free(SessionId::random()))
    }

    /// The session that this request started before, if it did.
    pub(super) async fn existing(
        &self,
        id: &SessionId,
        digest: Digest,
    ) -> Result<Option<Session>, Refusal> {
        let sessions = &self.config.sessions;
        let found = async {
            let info = sessions.info(id).await?;
            if info.owner != self.owner || info.digest != digest {
                return Ok(None);
            }
            sessions.attach(id).await.map(Some)
        };
        match found.await {
            Ok(Some(session)) => Ok(Some(session)),
            Ok(None) => Err(refusals::in_use()),
            Err(StoreError::NotFound) => Ok(None),
            Err(StoreError::Gone(tombstone)) => Err(self.buried(&tombstone)),
            Err(error) => Err(refusals::store(&error)),
        }
    }

    /// Whoever it belonged to may know that it is gone; others only that the id is taken.
    fn buried(&self, tombstone: &Tombstone) -> Refusal {
        if tombstone.owner == self.owner {
            refusals::gone()
        } else {
            refusals::in_use()
        }
    }

    async fn create<S>(
        &self,
        permit: Permit,
        id: SessionId,
        start: Start,
        digest: Digest,
        extensions: Extensions,
        provider: S,
    ) -> Result<session::Started, Refusal>
    where
        S: Service<ChatRequest> + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        S::Response: TryStream<Ok = ChatEvent> + Send,
        <S::Response as TryStream>::Error: Into<BoxError>,
    {
        let config = &self.config;
        let (mut request, notes) = (start.request, start.notes);
        let stored = stored_request::store(&mut request, &notes).map_err(|error| {
            tracing::error!(error = &error as &dyn Error, "a request can't be stored");
            Refusal::new(Problem::Internal, "the request can't be stored; change it")
        })?;
        request.session_id = Some(id.clone());
        request.owner = self.owner.clone();
        request.extensions = extensions;
        let inbox = Inbox::new();
        request.inputs = Inputs::new(SessionInputs::new(inbox.clone()));

        let first = stored_request::first(&config.info, notes);
        let mut new = session::SessionSpec::new(id.clone(), config.service.clone(), digest, first)
            .owner(self.owner.clone())
            .chat(start.chat)
            .request(stored)
            .inbox(inbox);
        let (give, given) = oneshot::channel();
        let books = config.hooks.any().then(|| {
            let begun = SessionStarted {
                id,
                owner: self.owner.clone(),
                request: Arc::new(request.clone()),
            };
            SessionHooks::new(config.hooks.clone(), begun)
        });
        if let Some(books) = books.clone() {
            let (sessions, id) = (config.sessions.clone(), new.id.clone());
            new = new.on_sealed(move |outcome| {
                books.end(outcome, async move {
                    match given.await {
                        Ok(session) => Ok(session),
                        Err(_) => sessions.attach(&id).await,
                    }
                });
            });
        }
        let booked = books.is_some();
        let source = ProviderSource::new(provider, request)
            .event_bytes(config.sessions.limits().event_bytes);
        let source = HookedSource::new(Box::pin(source), books);
        let started = match config.sessions.start(permit, new, source).await {
            Ok(started) => started,
            Err(StartError::Gone(tombstone)) => return Err(self.buried(&tombstone)),
            Err(error) => return Err(error.into()),
        };
        if booked && started.created {
            let _ = give.send(started.session.clone());
        }
        Ok(started)
    }

    /// The answer to a start: the stream from its beginning, or a document.
    async fn begin(&self, session: &Session, mode: ResponseMode, started: bool) -> Served {
        match mode {
            ResponseMode::Stream(encoder) => {
                self.reply(encoder).started(started).with(session).await
            }
            ResponseMode::Document => {
                let session = self.view(session, session.status(), session.tail());
                Ok(self.answer(&ResponseData::Document { session, started }))
            }
            ResponseMode::CurrentLog => self.document(session, ReadUntil::Begun, started).await,
            ResponseMode::FullLog => self.document(session, ReadUntil::End, started).await,
        }
    }
}
