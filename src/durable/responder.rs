use std::{sync::Arc, time::Duration};

use http::{Response, request::Parts};

use super::{
    MountPath, Reply, SessionBody,
    config::LayerConfig,
    full_log::{LogSnapshot, ReadUntil},
};
use crate::{
    dialect::{Dialect, Encoder, Refusal, ResponseData, SessionView},
    log::{Lsn, SessionId, Status},
    session::Session,
    store::SessionState,
};

/// The response to a request, or the reason why there is none.
pub(super) type Served = Result<Response<SessionBody>, Refusal>;

/// Makes the responses to one request, in the words of the layer's dialect.
pub(super) struct Responder {
    dialect: Arc<dyn Dialect>,
    heartbeat: Option<Duration>,
    event_bytes: usize,
    mount: Option<MountPath>,
}

impl Responder {
    /// Creates a responder for a request with this head, which may name the mount path.
    pub(super) fn new(config: &LayerConfig, head: &Parts) -> Self {
        let mount = config.mount.clone();
        Self {
            dialect: config.dialect.clone(),
            heartbeat: config.heartbeat,
            event_bytes: config.registry().limits().event_bytes,
            mount: mount.or_else(|| head.extensions.get().cloned()),
        }
    }

    /// Responds with a document of the dialect's.
    pub(super) fn document(&self, data: &ResponseData<'_>) -> Response<SessionBody> {
        self.dialect.respond(data).map(SessionBody::document)
    }

    /// Responds with the log of a session, once it is there as far as `until` asks.
    pub(super) async fn full_log(
        &self,
        session: &Session,
        until: ReadUntil,
        started: bool,
    ) -> Served {
        let log = LogSnapshot::read(session, until).await?;
        Ok(self.document(&ResponseData::FullLog {
            session: self.view(session, log.status, log.tail),
            records: &log.records,
            started,
        }))
    }

    /// Prepares a response whose body is a stream in this encoder's bytes.
    pub(super) fn stream(&self, encoder: Box<dyn Encoder>) -> Reply {
        Reply::shared(self.dialect.clone(), encoder)
            .heartbeat(self.heartbeat)
            .event_bytes(self.event_bytes)
            .mount_path(self.mount.clone())
    }

    pub(super) fn view<'a>(
        &'a self,
        session: &'a Session,
        status: Status,
        tail: Lsn,
    ) -> SessionView<'a> {
        SessionView::new(session.id(), status, tail)
            .event_bytes(self.event_bytes)
            .chat(session.meta().chat.as_ref())
            .mount(self.mount.as_ref().map(MountPath::as_str))
    }

    pub(super) fn state_view<'a>(
        &'a self,
        id: &'a SessionId,
        state: &'a SessionState,
    ) -> SessionView<'a> {
        SessionView::new(id, state.status, state.tail)
            .event_bytes(self.event_bytes)
            .chat(state.meta.chat.as_ref())
            .mount(self.mount.as_ref().map(MountPath::as_str))
    }
}
