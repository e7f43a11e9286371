use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method};
use tower_layer::Layer;

use super::{Framing, RecordService, config::RecordConfig};
use crate::{
    access::Access,
    exchange::{CrossSite, MountPath},
    log::ServiceName,
    session::Sessions,
};

/// A tower layer that records the streaming responses of a service, and serves them again.
///
/// It wraps any HTTP service: a route, a router, or a proxy. [The module](super) has an example, and says what a request
/// means. The layer is cheap to clone.
///
/// Several layers may share the same [`Sessions`], also with layers of chats. Every layer reaches all recordings of the
/// registry, and is guarded by its own policy only. A [`DurableLayer`](crate::durable::DurableLayer) finds no recordings,
/// and this layer no chats.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct RecordLayer {
    config: Arc<RecordConfig>,
}

impl RecordLayer {
    /// Creates a layer that keeps its recordings in `sessions` and asks `access` about each request that starts, reads,
    /// stops or deletes one.
    ///
    /// `sessions` must know [`RecordingFormat`](super::RecordingFormat), as those of
    /// [`Sessions::builder`](crate::session::Sessions::builder) and
    /// [`Sessions::in_memory`](crate::session::Sessions::in_memory) do; otherwise every start is refused with 500.
    pub fn new(sessions: Sessions, access: impl Access) -> Self {
        Self {
            config: Arc::new(RecordConfig::new(sessions, Arc::new(access))),
        }
    }

    fn config(&mut self) -> &mut RecordConfig {
        Arc::make_mut(&mut self.config)
    }

    /// Sets the name that is stored with each recording. Default `record`.
    ///
    /// The name is part of a request's identity: the same request to a layer with another name starts another session.
    ///
    /// # Panics
    ///
    /// Panics if the name has fewer than 1 or more than 128 bytes.
    #[track_caller]
    pub fn service_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.config().service = ServiceName::new(name);
        self
    }

    /// Sets the path under which clients find the layer, for `Content-Location`. The path that the layer sees follows it.
    ///
    /// It takes precedence over a [`MountPath`] of the request. Without either a response has no `Content-Location`.
    pub fn public_path(mut self, path: &str) -> Self {
        self.config().mount = Some(MountPath::new(path));
        self
    }

    /// Sets the methods that start a session. Default POST.
    ///
    /// For a route of an `EventSource` that is GET. There a request with an id and a cursor only reconnects.
    ///
    /// ```
    /// # use unbroken::{access::AnyoneWithTheId, record::RecordLayer, session::Sessions};
    /// use http::Method;
    ///
    /// let layer = RecordLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
    ///     .start_methods([Method::GET, Method::POST]);
    /// ```
    pub fn start_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.config().start_methods = methods.into_iter().collect();
        self
    }

    /// Sets a path of which a POST stops the session that it names, as the header `X-Session-Abort: 1` does on every
    /// path. Default none. It is the path as the layer sees it.
    pub fn abort_path(mut self, path: impl Into<Arc<str>>) -> Self {
        self.config().abort_path = Some(path.into());
        self
    }

    /// Takes the header `Idempotency-Key` of a request that starts or stops for the id of a session, where it has no other.
    /// Default false. Requests of other methods pass with their keys.
    ///
    /// A key belongs to its owner. Without one it must have at least 22 characters, chosen at random: others could find
    /// the recording by a shorter one.
    pub fn idempotency_keys(mut self, takes: bool) -> Self {
        self.config().takes_keys = takes;
        self
    }

    /// Records responses of this `Content-Type` too, in these frames. Parameters of the type don't count.
    ///
    /// By default these are `text/event-stream` as events, and `application/x-ndjson`, `application/ndjson`,
    /// `application/jsonl` and `application/x-jsonlines` as lines. Another framing for one of them replaces its default.
    pub fn record_type(mut self, content_type: &str, framing: Framing) -> Self {
        self.config().add_type(content_type, framing);
        self
    }

    /// Keeps these headers of a recorded response too, for those that read it later.
    ///
    /// By default these are `Content-Type`, `Content-Language`, `Content-Disposition`, `Trailer` and
    /// `X-Vercel-AI-UI-Message-Stream`. Headers of one connection, of one client or of one moment are never kept:
    /// `Set-Cookie`, `Content-Length`, `Content-Encoding`, `ETag`, `Date`, `Cache-Control` and the like. The client that
    /// started the session gets all but those of the connection.
    pub fn keep_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.config().kept_headers.extend(names);
        self
    }

    /// Sets the maximum size of the body of a request that starts a session, in bytes. Default 1 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.config().max_body = bytes;
        self
    }

    /// Sets the time within which the body of a request that starts a session must arrive. Default 30 seconds.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.config().body_timeout = timeout;
        self
    }

    /// Sets the rule for requests that pages of other sites send without asking. Default
    /// [`CrossSite::refuse`]. It is checked for requests that the layer serves, not for those that pass.
    pub fn cross_site(mut self, rule: CrossSite) -> Self {
        self.config().cross_site = rule;
        self
    }

    /// Sets the time that a start waits until the wrapped service is ready (`Service::poll_ready`). Default zero: a
    /// start is refused with 503 unless the service is ready at once.
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.config().ready_timeout = timeout;
        self
    }

    /// Sets the silence after which a stream of events gets a comment as a heartbeat; `None` turns heartbeats off.
    /// Default 15 seconds. Lines and bytes have none.
    pub fn heartbeat(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.config().heartbeat = period.into();
        self
    }
}

impl<S> Layer<S> for RecordLayer {
    type Service = RecordService<S>;

    fn layer(&self, service: S) -> RecordService<S> {
        RecordService::new(self.config.clone(), service)
    }
}
