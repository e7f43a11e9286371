use std::{future::Future, sync::Arc, time::Duration};

use futures_core::TryStream;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    ClientFields, DurableService, MountPath, Recovery,
    config::LayerConfig,
    hooks::{SessionEnded, SessionStarted, hook},
    provider_recovery::ProviderRecovery,
};
use crate::{
    BoxError,
    access::Access,
    chat::{Capabilities, ChatEvent, ChatRequest},
    dialect::Dialect,
    log::ServiceName,
    session::Sessions,
};

/// Makes a durable HTTP service of a provider. The [module](super) has an example.
///
/// It wraps a provider, not a `Router` or another HTTP service; what comes of it is what a router
/// mounts.
///
/// Cheap to clone. Several layers, each with its own dialect or provider, may share the same
/// [`Sessions`]; give them different [names](Self::service_name) then. Each of them reaches all
/// sessions of the registry, also those that another one started, and its own policy is all that
/// guards them: the laxest policy of a registry holds for every session in it. Where that isn't
/// meant, give each layer a registry of its own.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a provider"]
pub struct DurableLayer {
    config: LayerConfig,
}

impl DurableLayer {
    /// A layer that keeps its answers in `sessions` and lets in whom `access` lets in.
    pub fn new(sessions: Sessions, access: impl Access) -> Self {
        Self {
            config: LayerConfig::new(sessions, Arc::new(access)),
        }
    }

    /// How clients speak. Default [`Native`](crate::dialect::Native).
    pub fn dialect(mut self, dialect: impl Dialect) -> Self {
        self.config.dialect = Arc::new(dialect);
        self
    }

    /// The name that is stored with sessions, for what can start them again. The same request to a
    /// layer of another name is another one. Default `chat`.
    pub fn service_name(mut self, name: impl Into<ServiceName>) -> Self {
        self.config.service = name.into();
        self
    }

    /// The path under which clients find the service, for `Location` and `Content-Location`. Wins
    /// over a [`MountPath`] of the request: it is what holds behind a proxy that rewrites paths.
    pub fn public_path(mut self, path: &str) -> Self {
        self.config.mount = Some(MountPath::new(path));
        self
    }

    /// What clients may choose of a chat request. Default [nothing](ClientFields::nothing).
    pub fn open(mut self, open: ClientFields) -> Self {
        self.config.open = open;
        self
    }

    /// The most bytes that a request's body may have. Default 1 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.config.max_body = bytes;
        self
    }

    /// How long a request's body may take to arrive. Default 30 seconds.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.config.body_timeout = timeout;
        self
    }

    /// How long a start waits for the provider to be ready, as tower means it; this delays the
    /// response's head. Default zero: a provider that isn't ready at once is refused with 503.
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.config.ready_timeout = timeout;
        self
    }

    /// How long a stream may be silent before it shows that it is alive; `None` for as long as it
    /// likes. Default 15 seconds.
    pub fn heartbeat(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.config.heartbeat = period.into();
        self
    }

    /// What `session_info`, the first event of each session, says that a session can do.
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.config.info.capabilities = capabilities;
        self
    }

    /// Whom `session_info` says that the model plays.
    pub fn persona(mut self, persona: impl Into<serde_json::Value>) -> Self {
        self.config.info.persona = Some(persona.into());
        self
    }

    /// What becomes of answers whose server died or shut down in the middle. Default
    /// [`Recovery::fail`]: they end, and the client may ask again.
    ///
    /// This server carries on what it finds from when the layer is given its provider, if that is
    /// inside a tokio runtime, else from the first session on.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.config.recovery = recovery;
        self
    }

    /// Runs for each session that begins, beside its provider, on a task of its own.
    pub fn on_start<F, R>(mut self, run: F) -> Self
    where
        F: Fn(SessionStarted) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.config.hooks.on_start = Some(hook(run));
        self
    }

    /// Runs for each session that has ended, once its `on_start` is done, on a task of its own.
    ///
    /// At most once per session, on the server that sealed it: a server that dies or shuts down in
    /// mid-answer runs none, and neither does one whose session another server took over; that one
    /// does if it [carries the answer on](Self::recovery), not if it ends it. Not run for a session
    /// whose log was deleted before it could be read.
    pub fn on_end<F, R>(mut self, run: F) -> Self
    where
        F: Fn(SessionEnded) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.config.hooks.on_end = Some(hook(run));
        self
    }
}

impl<S> Layer<S> for DurableLayer
where
    S: Service<ChatRequest> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    S::Response: TryStream<Ok = ChatEvent> + Send,
    <S::Response as TryStream>::Error: Into<BoxError>,
{
    type Service = DurableService<S>;

    fn layer(&self, provider: S) -> DurableService<S> {
        let restarter = ProviderRecovery::new(&self.config, provider.clone());
        let service = self.config.service.clone();
        self.config.sessions.on_recovery(service, restarter);
        DurableService::new(Arc::new(self.config.clone()), provider)
    }
}
