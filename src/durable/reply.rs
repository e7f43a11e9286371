use std::{fmt, sync::Arc, time::Duration};

use http::Response;

use super::{MountPath, SessionBody, refusals};
use crate::{
    chat::InputId,
    dialect::{Dialect, Encoder, Refusal, ResponseData, SessionView},
    log::{Lsn, Position},
    session::{Limits, ReadError, Session},
};

/// A response with the stream of a session, for handlers of the application's own.
///
/// A handler attaches to the session, checks its owner, and responds:
///
/// ```
/// use http::{Response, request::Parts};
/// use unbroken::{
///     dialect::{Native, Problem, Refusal},
///     durable::{Reply, SessionBody},
///     log::{Owner, SessionId},
///     session::Sessions,
///     store::StoreError,
/// };
///
/// async fn answer(
///     sessions: &Sessions,
///     user: &Owner,
///     id: &SessionId,
///     head: &Parts,
/// ) -> Result<Response<SessionBody>, Refusal> {
///     let session = sessions.attach(id).await?;
///     if session.meta().owner.as_ref() != Some(user) {
///         return Err(StoreError::NotFound.into()); // the refusal for an unknown id
///     }
///     let native = Native::new();
///     let Some(encoder) = native.encoder(head)? else {
///         let detail = "accept `application/x-ndjson` or `text/event-stream`"; // not JSON
///         return Err(Refusal::new(Problem::NotAcceptable, detail));
///     };
///     let after = native.cursor(head)?.unwrap_or_default();
///     Reply::new(native, encoder).after(after).respond(&session).await
/// }
/// ```
pub struct Reply {
    dialect: Arc<dyn Dialect>,
    encoder: Box<dyn Encoder>,
    after: Position,
    inclusive: bool,
    started: bool,
    answered: Vec<InputId>,
    heartbeat: Option<Duration>,
    event_bytes: usize,
    mount: Option<MountPath>,
}

impl Reply {
    /// The default heartbeat period.
    pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

    /// Creates a reply from the first event on, with the dialect's head and the encoder's bytes.
    pub fn new(dialect: impl Dialect, encoder: Box<dyn Encoder>) -> Self {
        Self::shared(Arc::new(dialect), encoder)
    }

    pub(super) fn shared(dialect: Arc<dyn Dialect>, encoder: Box<dyn Encoder>) -> Self {
        Self {
            dialect,
            encoder,
            after: Position::START,
            inclusive: false,
            started: false,
            answered: Vec::new(),
            heartbeat: Some(Self::HEARTBEAT),
            event_bytes: Limits::default().event_bytes,
            mount: None,
        }
    }

    /// Sets the client's cursor; the stream goes on after it. Default the start.
    pub fn after(mut self, position: Position) -> Self {
        self.after = position;
        self
    }

    /// Sets whether the stream includes the record at the cursor, of which the client may have only a
    /// part. Default false.
    pub fn inclusive(mut self, inclusive: bool) -> Self {
        self.inclusive = inclusive;
        self
    }

    /// Sets whether this request has started the session, for the head. Default false.
    pub fn started(mut self, started: bool) -> Self {
        self.started = started;
        self
    }

    /// Sets the questions of the session that this request has answered, for the head. Default none.
    pub fn answered(mut self, inputs: impl IntoIterator<Item = InputId>) -> Self {
        self.answered = inputs.into_iter().collect();
        self
    }

    /// Sets the silence after which the stream sends a heartbeat; `None` turns heartbeats off. Default
    /// 15 seconds.
    pub fn heartbeat(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.heartbeat = period.into();
        self
    }

    /// Sets the maximum size of one event, in bytes. Default that of [`Limits`].
    pub fn event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// Sets the path under which sessions are found, for `Content-Location`. Default none.
    pub fn mount_path(mut self, mount: Option<MountPath>) -> Self {
        self.mount = mount;
        self
    }

    /// Makes the response: the stream, or the dialect's response to a cursor at the terminal event.
    ///
    /// Waits until the store has checked the cursor, never for the session. Cancel safe.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if the log doesn't hold the record at the cursor, or can't be read.
    pub async fn respond(self, session: &Session) -> Result<Response<SessionBody>, Refusal> {
        let refused = |error: ReadError| refusals::read(&error, self.after);
        let mut reader = session.reader(self.after).await.map_err(refused)?;
        let view = SessionView::new(session.id(), reader.status(), reader.tail())
            .event_bytes(self.event_bytes)
            .chat(session.meta().chat.as_ref())
            .mount(self.mount.as_ref().map(MountPath::as_str));
        if reader.at_end() && !self.inclusive {
            // Reading past the end records that the terminal event was delivered.
            let _ = reader.next().await;
            let answer = self.dialect.respond(&ResponseData::AtEnd {
                session: view,
                at: reader.position(),
                encoder: &*self.encoder,
            });
            return Ok(answer.map(SessionBody::document));
        }
        let mut known = Lsn::ZERO;
        if self.after.lsn > Lsn::ZERO && (self.encoder.is_stateful() || self.inclusive) {
            reader = session.reader(Position::START).await.map_err(refused)?;
            known = if self.inclusive {
                self.after.lsn.before()
            } else {
                self.after.lsn
            };
        }
        let head = self.dialect.respond(&ResponseData::Stream {
            session: view,
            encoder: &*self.encoder,
            after: self.after,
            started: self.started,
            answered: &self.answered,
        });
        let body = SessionBody::stream(reader, self.encoder, &view, self.heartbeat).after(known);
        Ok(head.map(|_| body))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("dialect", &self.dialect)
            .field("encoder", &self.encoder)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
