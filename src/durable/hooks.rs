use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::task::JoinHandle;

use crate::{
    chat::{ChatEvent, ChatRequest, Transcript},
    log::{Chunk, Outcome, Owner, Position, SessionId},
    session::{Mark, ReadError, Session, Source},
    store::{BoxFuture, StoreError},
};

/// A session that begins: its first record is stored, and its provider is about to be called.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionStarted {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// What the provider is asked.
    pub request: Arc<ChatRequest>,
}

/// A session that has ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionEnded {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// What the provider was asked.
    pub request: Arc<ChatRequest>,
    /// What was answered, as the log has it.
    pub transcript: Transcript,
    /// How it ended.
    pub outcome: Outcome,
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
    /// Without those of the beginning.
    pub(super) fn at_end(self) -> Self {
        Self {
            on_start: None,
            ..self
        }
    }

    pub(super) fn any(&self) -> bool {
        self.on_start.is_some() || self.on_end.is_some()
    }
}

/// The hooks of one session: `on_start` runs once, beside the provider, and is done before `on_end`.
#[derive(Clone)]
pub(super) struct SessionHooks {
    hooks: Hooks,
    begun: SessionStarted,
    started: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl SessionHooks {
    pub(super) fn new(hooks: Hooks, begun: SessionStarted) -> Self {
        Self {
            hooks,
            begun,
            started: Arc::default(),
        }
    }

    fn start(&self) -> JoinHandle<()> {
        let (hook, begun) = (self.hooks.on_start.clone(), self.begun.clone());
        // On a task of its own from its first line on: a hook that panics ends no session.
        tokio::spawn(tracing::Instrument::in_current_span(async move {
            if let Some(hook) = hook {
                hook(begun).await;
            }
        }))
    }

    fn begin(&self) {
        *self.slot() = Some(self.start());
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.started.lock().expect("nothing panics under this lock")
    }

    /// To be called when the session is sealed. `session` gives the handle that keeps the log at
    /// hand until it was read.
    pub(super) fn end(
        self,
        outcome: Outcome,
        session: impl Future<Output = Result<Session, StoreError>> + Send + 'static,
    ) {
        // A session that was stopped before its provider was called begins and ends here.
        let started = self.slot().take().unwrap_or_else(|| self.start());
        let Some(on_end) = self.hooks.on_end else {
            return;
        };
        let begun = self.begun;
        tokio::spawn(tracing::Instrument::in_current_span(async move {
            // A hook that panicked was reported by then, and is no reason to skip the other.
            let _ = started.await;
            match whole(session).await {
                Ok(transcript) => {
                    on_end(SessionEnded {
                        id: begun.id,
                        owner: begun.owner,
                        request: begun.request,
                        transcript,
                        outcome,
                    })
                    .await;
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn Error,
                    "the log of an ended session could not be read; `on_end` is not run"
                ),
            }
        }));
    }
}

/// The log of a session that has ended.
async fn whole(
    session: impl Future<Output = Result<Session, StoreError>>,
) -> Result<Transcript, ReadError> {
    let mut reader = session.await?.reader(Position::START).await?;
    let mut log = Vec::new();
    // Not read past the end: that would count as a client that has had it all.
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

/// The events of a log.
pub(super) fn events(log: &[Chunk]) -> impl Iterator<Item = Result<ChatEvent, ReadError>> {
    let records = log.iter().flat_map(Chunk::records);
    records.map(|record| {
        let event = serde_json::from_slice(record.bytes);
        event.map_err(|_| ReadError::Corrupt { lsn: record.lsn })
    })
}

/// A source that tells the books when it is first asked.
pub(super) struct HookedSource<S> {
    source: S,
    books: Option<SessionHooks>,
}

impl<S> HookedSource<S> {
    pub(super) fn new(source: S, books: Option<SessionHooks>) -> Self {
        Self { source, books }
    }
}

impl<S: Source> Source for HookedSource<Pin<Box<S>>> {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        if let Some(books) = self.books.take() {
            books.begin();
        }
        self.source.as_mut().poll_record(cx, out)
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
