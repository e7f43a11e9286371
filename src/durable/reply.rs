use std::{fmt, sync::Arc, time::Duration};

use http::Response;

use super::{MountPath, SessionBody, refusals};
use crate::{
    chat::InputId,
    dialect::{Dialect, Encoder, Refusal, ResponseData, SessionView},
    log::{Lsn, Position},
    session::{Limits, ReadError, Session},
};

/// Answers with the stream of a session: what the layer does, for handlers of the application's own.
///
/// ```
/// # use unbroken::{session::Session, log::Position};
/// use http::Response;
/// use unbroken::{
///     dialect::{Native, Refusal},
///     durable::{Reply, SessionBody},
/// };
///
/// async fn answer(
///     head: &http::request::Parts,
///     session: &Session,
/// ) -> Result<Response<SessionBody>, Refusal> {
///     let native = Native::new();
///     let Some(encoder) = native.encoder(head)? else {
///         return Ok(Response::new(SessionBody::empty())); // wants JSON
///     };
///     let after = native.cursor(head)?.unwrap_or_default();
///     Reply::new(native, encoder).after(after).with(session).await
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
    /// What a silent stream waits before it shows that it is alive, unless told otherwise.
    pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

    /// From the first event on, in this encoder's bytes under this dialect's head.
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

    /// After what the client has.
    pub fn after(mut self, position: Position) -> Self {
        self.after = position;
        self
    }

    /// Also the record at that position, of which the client may have a part only.
    pub fn inclusive(mut self, inclusive: bool) -> Self {
        self.inclusive = inclusive;
        self
    }

    /// To the request that started the session.
    pub fn started(mut self, started: bool) -> Self {
        self.started = started;
        self
    }

    /// To a request that has answered these questions of the session.
    pub fn answered(mut self, inputs: impl IntoIterator<Item = InputId>) -> Self {
        self.answered = inputs.into_iter().collect();
        self
    }

    /// How long the stream may be silent before it shows that it is alive; `None` for as long as it
    /// likes. Default 15 seconds.
    pub fn heartbeat(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.heartbeat = period.into();
        self
    }

    /// The most bytes that one event may have, if that isn't what [`Limits`] have by default.
    pub fn event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// Where sessions are found, for `Content-Location`.
    pub fn mounted(mut self, mount: Option<MountPath>) -> Self {
        self.mount = mount;
        self
    }

    /// The response: the stream, or what the dialect says where the cursor is the terminal event.
    ///
    /// Waits for the store's word on the cursor, never for the session. Cancel safe.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], if the log doesn't hold what the cursor stands at, or can't be read.
    pub async fn with(self, session: &Session) -> Result<Response<SessionBody>, Refusal> {
        let refused = |error: ReadError| refusals::read(&error, self.after);
        let mut reader = session.reader(self.after).await.map_err(refused)?;
        let view = SessionView::new(session.id(), reader.status(), reader.tail())
            .event_bytes(self.event_bytes)
            .chat(session.info().chat.as_ref())
            .mount(self.mount.as_ref().map(MountPath::as_str));
        if reader.at_end() && !self.inclusive {
            // The client has had it all: this is where the session learns so, if it hasn't yet.
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
