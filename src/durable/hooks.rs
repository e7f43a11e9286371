use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use super::{digest_of, kept_request::KeptRequest};
use crate::{
    BoxFuture,
    chat::{ChatEvent, ChatRequest, Transcript},
    log::{ChatId, Chunk, Ending, Epoch, Outcome, Owner, Position, SessionId},
    session::{Mark, ReadError, Session, Source},
    store::StoreError,
};

/// A session that starts: its first record is stored, and its provider is about to be called.
///
/// [`DurableLayer::on_start`](super::DurableLayer::on_start) gives it to its hook. The result of a
/// start by an application's own handler is [`session::Started`](crate::session::Started).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionStarted {
    /// The session's id.
    pub id: SessionId,
    /// The session's owner.
    pub owner: Option<Owner>,
    /// The request to the provider.
    pub request: Arc<ChatRequest>,
    /// The ids of the calls that only the client claims were handed to it, with the outputs that it
    /// gives for them ([`ClientFields::unverified_outputs`](super::ClientFields::unverified_outputs)).
    pub claims: Vec<String>,
}

impl SessionStarted {
    /// Creates a session that starts, for tests of a hook. It has no owner.
    pub fn new(id: SessionId, request: impl Into<Arc<ChatRequest>>) -> Self {
        Self {
            id,
            owner: None,
            request: request.into(),
            claims: Vec::new(),
        }
    }

    /// Sets [`claims`](field@Self::claims). Default none.
    pub fn claims(mut self, claims: impl IntoIterator<Item = String>) -> Self {
        self.claims = claims.into_iter().collect();
        self
    }

    /// Sets [`owner`](field@Self::owner). Default `None`.
    pub fn owner(mut self, owner: Option<Owner>) -> Self {
        self.owner = owner;
        self
    }
}

/// A session that has ended.
///
/// [`DurableLayer::on_end`](super::DurableLayer::on_end) gives it to its hook, and [`Outbox`](super::Outbox) to its
/// handler. The outcome of a failed
/// session has a code, and the [ending](Transcript::ending) of its transcript has the message that
/// clients get. The cause is [traced](crate#tracing) only.
///
/// ```
/// use unbroken::{
///     DurableLayer, Sessions,
///     access::AnyoneWithTheId,
///     chat::TranscriptEnd,
///     durable::SessionEnded,
///     log::{ErrorCode, Outcome},
/// };
///
/// let durable = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
///     .on_end(|ended: SessionEnded| async move {
///         if ended.outcome == Outcome::Error(ErrorCode::Timeout) {
///             eprintln!("{} took too long", ended.id);
///         } else if let Some(TranscriptEnd::Error(error)) = ended.transcript.ending() {
///             eprintln!("{} failed: {:?}: {}", ended.id, error.code, error.message);
///         }
///     });
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionEnded {
    /// The session's id. A client may use it again after the session's tombstone, so it isn't a key for what is
    /// to happen once; [`ending_id`](field@Self::ending_id) is.
    pub id: SessionId,
    /// The id of this ending: the same in each of its deliveries, and unlike that of any other ending, also of a
    /// later session with the same id. 32 characters of `0-9a-f`, which tell nothing of the session's id. A store
    /// that loses a seal which it had acknowledged may end a session twice; these are two endings.
    pub ending_id: String,
    /// The session's owner.
    pub owner: Option<Owner>,
    /// The conversation that the session belongs to.
    pub chat: Option<ChatId>,
    /// The request of the client, as the session was started with it. It has no messages if the session was
    /// [deleted](field@Self::deleted).
    pub request: Arc<ChatRequest>,
    /// The answer, as the log has it: by [turns](Transcript::messages), with the
    /// [usage](Transcript::usage). It has no more than the ending if the session was
    /// [deleted](field@Self::deleted).
    pub transcript: Transcript,
    /// The outcome of the session.
    pub outcome: Outcome,
    /// The ids of the calls that only the client claims were handed to it, with the outputs that it
    /// gave for them ([`ClientFields::unverified_outputs`](super::ClientFields::unverified_outputs)).
    pub claims: Vec<String>,
    /// The metadata that the client gave with the request, where its protocol has such a thing, as OpenAI's
    /// Responses API does. Empty if the session was deleted.
    pub metadata: BTreeMap<String, String>,
    /// True if the session was deleted before its ending was delivered. `on_end` doesn't run then.
    pub deleted: bool,
    /// The time of the end: for `on_end` the time at which it was called, else by the store's clock as far as this
    /// server's agrees with the time now.
    pub ended_at: SystemTime,
    /// The number of deliveries of this ending that have begun, this one included. Always 1 for `on_end`.
    pub delivery: u32,
}

impl SessionEnded {
    /// Creates a session that has ended, for tests of a hook. It has no owner, and its chat is that of the
    /// request.
    pub fn new(
        id: SessionId,
        request: impl Into<Arc<ChatRequest>>,
        transcript: Transcript,
        outcome: Outcome,
    ) -> Self {
        let request = request.into();
        let ending_id = ending_id(&id, Epoch::first());
        Self {
            id,
            ending_id,
            owner: None,
            chat: request.chat_id.clone(),
            request,
            transcript,
            outcome,
            claims: Vec::new(),
            metadata: BTreeMap::new(),
            deleted: false,
            ended_at: SystemTime::now(),
            delivery: 1,
        }
    }

    /// Sets [`claims`](field@Self::claims). Default none.
    pub fn claims(mut self, claims: impl IntoIterator<Item = String>) -> Self {
        self.claims = claims.into_iter().collect();
        self
    }

    /// Sets [`owner`](field@Self::owner). Default `None`.
    pub fn owner(mut self, owner: Option<Owner>) -> Self {
        self.owner = owner;
        self
    }
}

/// Returns the id of the ending of a session that this epoch has sealed.
pub(super) fn ending_id(id: &SessionId, sealed_by: Epoch) -> String {
    let Epoch { counter, bits } = sealed_by;
    let digest = digest_of(["ending", id.as_str(), &format!("{counter}.{bits}")]);
    let (half, _) = digest.0.split_first_chunk().expect("it has 32 bytes");
    format!("{:032x}", u128::from_be_bytes(*half))
}

pub(super) type Hook<T> = Arc<dyn Fn(T) -> BoxFuture<'static, ()> + Send + Sync>;

/// The hooks of a layer.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    pub(super) on_start: Option<Hook<SessionStarted>>,
    pub(super) on_end: Option<Hook<SessionEnded>>,
}

pub(super) fn hook<T, F, R>(run: F) -> Hook<T>
where
    F: Fn(T) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    Arc::new(move |value| Box::pin(run(value)))
}

impl Hooks {
    /// Drops `on_start`.
    pub(super) fn end_only(self) -> Self {
        Self {
            on_start: None,
            ..self
        }
    }

    pub(super) fn any(&self) -> bool {
        self.on_start.is_some() || self.on_end.is_some()
    }
}

/// The hooks of one session: `on_start` runs once, beside the provider, and is done before `on_end`
/// runs.
#[derive(Clone)]
pub(super) struct SessionHooks {
    hooks: Hooks,
    id: SessionId,
    owner: Option<Owner>,
    request: KeptRequest,
    claims: Vec<String>,
    metadata: BTreeMap<String, String>,
    on_start: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl SessionHooks {
    pub(super) fn new(
        hooks: Hooks,
        id: SessionId,
        owner: Option<Owner>,
        request: KeptRequest,
    ) -> Self {
        Self {
            hooks,
            id,
            owner,
            request,
            claims: Vec::new(),
            metadata: BTreeMap::new(),
            on_start: Arc::default(),
        }
    }

    /// Sets the calls that only the client claims were handed to it.
    pub(super) fn claims(mut self, claims: Vec<String>) -> Self {
        self.claims = claims;
        self
    }

    /// Sets the metadata of the request.
    pub(super) fn metadata(mut self, metadata: BTreeMap<String, String>) -> Self {
        self.metadata = metadata;
        self
    }

    fn spawn_on_start(&self) -> JoinHandle<()> {
        let started = self.hooks.on_start.clone().map(|hook| {
            let (id, owner, request) = (self.id.clone(), self.owner.clone(), self.request.clone());
            (hook, id, owner, request, self.claims.clone())
        });
        // Called on the task, not before it: a hook that panics ends no session.
        tokio::spawn(tracing::Instrument::in_current_span(async move {
            if let Some((hook, id, owner, request, claims)) = started {
                let started = SessionStarted::new(id, request.decode()).owner(owner);
                hook(started.claims(claims)).await;
            }
        }))
    }

    fn start(&self) {
        *self.task() = Some(self.spawn_on_start());
    }

    fn task(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.on_start
            .lock()
            .expect("nothing panics under this lock")
    }

    /// Runs `on_end`, once the session is sealed. `session` gives the handle that keeps the log until
    /// it was read.
    pub(super) async fn end(
        self,
        outcome: Outcome,
        session: impl Future<Output = Result<Session, StoreError>> + Send + 'static,
    ) {
        // `on_start` is still to run for a session that was aborted before its provider was called.
        let task = self.task().take();
        let on_start = task.unwrap_or_else(|| self.spawn_on_start());
        // An error is a panic of `on_start`, which is reported already and doesn't stop `on_end`.
        let _ = on_start.await;
        let Some(on_end) = self.hooks.on_end else {
            return;
        };
        match read_transcript(session).await {
            Ok(transcript) => {
                let ended = SessionEnded::new(self.id, self.request.decode(), transcript, outcome);
                let mut ended = ended.owner(self.owner).claims(self.claims);
                ended.metadata = self.metadata;
                on_end(ended).await;
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn Error,
                "the log of an ended session could not be read; `on_end` is not run"
            ),
        }
    }
}

/// Reads the log of a session that has ended.
async fn read_transcript(
    session: impl Future<Output = Result<Session, StoreError>>,
) -> Result<Transcript, ReadError> {
    let mut reader = session.await?.reader(Position::START).await?;
    let mut log = Vec::new();
    // Never reads past the end: that would record the terminal event as delivered to a client.
    while !reader.at_end() {
        let Some(batch) = reader.next().await.transpose()? else {
            break;
        };
        log.push(batch.chunk().clone());
    }
    let mut transcript = Transcript::new();
    for event in events(&log) {
        transcript.push(&event?);
    }
    Ok(transcript)
}

/// Decodes the events of a log.
pub(super) fn events(log: &[Chunk]) -> impl Iterator<Item = Result<ChatEvent, ReadError>> {
    let records = log.iter().flat_map(Chunk::records);
    records.map(|record| {
        let event = serde_json::from_slice(record.bytes);
        event.map_err(|_| ReadError::Corrupt { lsn: record.lsn })
    })
}

/// A source that runs `on_start` when it is first polled.
pub(super) struct HookedSource<S> {
    source: S,
    // Taken at the first poll.
    hooks: Option<Box<SessionHooks>>,
}

impl<S> HookedSource<S> {
    pub(super) fn new(source: S, hooks: Option<SessionHooks>) -> Self {
        Self {
            source,
            hooks: hooks.map(Box::new),
        }
    }
}

impl<S: Source> Source for HookedSource<Pin<Box<S>>> {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        if let Some(hooks) = self.hooks.take() {
            hooks.start();
        }
        self.source.as_mut().poll_record(cx, out)
    }

    fn silence(&self) -> Option<Duration> {
        self.source.silence()
    }

    fn end(&self) {
        self.source.end();
    }

    fn ending(&self, ending: &Ending) -> Option<Bytes> {
        self.source.ending(ending)
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("on_start", &self.on_start.is_some())
            .field("on_end", &self.on_end.is_some())
            .finish()
    }
}
