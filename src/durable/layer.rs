use std::{any::type_name, future::Future, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{
    ClientFields, CrossSite, DurableService, MountPath, Outbox, Recovery,
    answer_check::DefaultFormat,
    config::LayerConfig,
    hooks::{SessionEnded, SessionStarted, hook},
    outbox::LayerEndings,
    provider_recovery::ProviderRecovery,
};
use crate::{
    access::Access,
    chat::{Capabilities, ChatOptions, EnabledTools, Provider},
    dialect::{Dialect, RequestLimits},
    log::ServiceName,
    session::{HandlerOrigin, Sessions},
};

/// A tower layer that makes a durable HTTP service of a provider.
///
/// It wraps a provider, not a `Router` or another HTTP service. A router mounts the resulting
/// [`DurableService`]. [The module](super) has an example. The layer is cheap to clone.
///
/// # Several layers
///
/// Several layers, each with its own dialect or provider, may share the same [`Sessions`]:
///
/// ```
/// # use futures_util::stream;
/// # use unbroken::chat::{ChatEvent, ProviderError, provider_fn};
/// use tower::Layer;
/// use unbroken::{DurableLayer, Sessions, access::AnyoneWithTheId};
///
/// # let fast = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
/// # let thorough = fast.clone();
/// let (sessions, access) = (Sessions::in_memory(), AnyoneWithTheId::new());
/// let fast = DurableLayer::new(sessions.clone(), access).layer(fast);
/// // Both speak the same dialect, so the second layer needs a name.
/// let thorough = DurableLayer::new(sessions, access)
///     .service_name("thorough")
///     .layer(thorough);
/// ```
///
/// Every layer reaches all sessions of the registry, also those that another layer started, and is
/// guarded by its own policy only: the laxest policy of a registry holds for every session in it. To
/// keep sessions apart, give each layer a registry of its own.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a provider"]
pub struct DurableLayer {
    // Its address identifies the layer: clones share it until one of them is changed.
    pub(super) config: Arc<LayerConfig>,
}

impl DurableLayer {
    /// Creates a layer that keeps its sessions in `sessions` and asks `access` about each request.
    pub fn new(sessions: Sessions, access: impl Access) -> Self {
        Self {
            config: Arc::new(LayerConfig::new(sessions, Arc::new(access))),
        }
    }

    pub(super) fn config(&mut self) -> &mut LayerConfig {
        Arc::make_mut(&mut self.config)
    }

    /// Sets the dialect that clients speak. Default [`Native`](crate::dialect::Native).
    pub fn dialect(mut self, dialect: impl Dialect) -> Self {
        self.config().set_dialect(Arc::new(dialect));
        self
    }

    /// Sets the name that is stored with each session. Default the
    /// [name of the dialect](Dialect::name).
    ///
    /// A server recovers an interrupted answer only if it has a layer of the name that is stored
    /// with the session. The name is part of a request's identity: the same request to a layer with
    /// another name starts another session. So don't change it while sessions are kept.
    ///
    /// # Panics
    ///
    /// Panics if the name has fewer than 1 or more than 128 bytes.
    #[track_caller]
    pub fn service_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.config().service = Some(ServiceName::new(name));
        self
    }

    /// Sets the path under which clients find the service, for `Location` and `Content-Location`.
    ///
    /// It takes precedence over a [`MountPath`] of the request. Set it behind a proxy that rewrites
    /// paths.
    pub fn public_path(mut self, path: &str) -> Self {
        self.config().mount = Some(MountPath::new(path));
        self
    }

    /// Sets the fields of a chat request that clients may choose. Default
    /// [`ClientFields::nothing`].
    pub fn client_fields(mut self, fields: ClientFields) -> Self {
        self.config().client_fields = fields;
        self
    }

    /// Sets the options of the model for all requests. Default none. A client's own option takes
    /// precedence, if [`ClientFields`] opens it; a provider field does so by its name.
    ///
    /// ```
    /// # use unbroken::{DurableLayer, Sessions, access::AnyoneWithTheId};
    /// use unbroken::{chat::ChatOptions, durable::ClientFields};
    ///
    /// let layer = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
    ///     .options(ChatOptions::new().max_output_tokens(1_000).temperature(0.2))
    ///     .client_fields(ClientFields::nothing().temperature(0.0..=1.0));
    /// ```
    ///
    /// The text of an answer is checked against a [`response_format`](ChatOptions::response_format), and
    /// [`Complete::mismatch`](field@crate::chat::Complete::mismatch) tells where it doesn't fit: with the
    /// feature `tools` by the schema that is set here, compiled, and otherwise, or where the client has sent
    /// its own schema, in the bounds that [`ClientFields::response_format`] describes.
    ///
    /// They are stored with the request, so that an answer that is recovered is made with the options that
    /// it began with.
    ///
    /// # Panics
    ///
    /// Panics if an option is [out of its range](ChatOptions::check).
    #[track_caller]
    pub fn options(mut self, options: ChatOptions) -> Self {
        if let Err(error) = options.check() {
            panic!("{error}");
        }
        let config = self.config();
        config.default_format = DefaultFormat::new(&options);
        config.options = options;
        self
    }

    /// Sets the server's tools that a request may use if it doesn't say so in `enabledTools`. Default
    /// [`EnabledTools::All`].
    ///
    /// The dialects whose clients can't say it have a setting of their own, such as
    /// `AgUi::enabled_tools`.
    pub fn enabled_tools(mut self, tools: EnabledTools) -> Self {
        self.config().enabled_tools = tools;
        self
    }

    /// Sets the maximum size of a request's body, in bytes. Default 1 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.config().max_body = bytes;
        self
    }

    /// Sets the limits on the elements of a request's body, such as messages and tools. Default
    /// [`RequestLimits::new`].
    pub fn request_limits(mut self, limits: RequestLimits) -> Self {
        self.config().request_limits = limits;
        self
    }

    /// Sets the rule for requests that pages of other sites send without asking. Default
    /// [`CrossSite::refuse`].
    pub fn cross_site(mut self, rule: CrossSite) -> Self {
        self.config().cross_site = rule;
        self
    }

    /// Sets the time within which a request's body must arrive. Default 30 seconds.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.config().body_timeout = timeout;
        self
    }

    /// Sets the time that a start waits until the provider is ready (`Service::poll_ready`). Default
    /// zero: a start is refused with 503 unless the provider is ready at once.
    ///
    /// The wait delays the head of the response.
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.config().ready_timeout = timeout;
        self
    }

    /// Sets the silence after which a stream sends a heartbeat; `None` turns heartbeats off. Default
    /// 15 seconds.
    pub fn heartbeat(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.config().heartbeat = period.into();
        self
    }

    /// Sets the capabilities that `session_info`, the first event of each session, declares.
    ///
    /// Name all tools of the server, such as `Tools::names`, or [pass them](Self::tools). A session declares
    /// those of them that its request enables, and those that its client brought.
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.config().set_capabilities(capabilities);
        self
    }

    /// Sets the tools that each session declares in `session_info`, beside those that
    /// [`capabilities`](Self::capabilities) names: the tools that the source has when the session begins.
    ///
    /// Pass the [`ToolLayer`](crate::tools::ToolLayer) that runs them:
    ///
    /// ```
    /// # use futures_util::stream;
    /// # use unbroken::chat::{ChatEvent, ProviderError, provider_fn};
    /// # let model = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    /// # let other_program = unbroken::tools::Tools::new();
    /// use tower::ServiceBuilder;
    /// use unbroken::{DurableLayer, Sessions, access::AnyoneWithTheId, tools::{ToolLayer, Tools}};
    ///
    /// let tools = ToolLayer::new(Tools::new()).source(other_program);
    /// let chat = ServiceBuilder::new()
    ///     .layer(DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).tools(tools.clone()))
    ///     .layer(tools)
    ///     .service(model);
    /// ```
    ///
    /// Whose a name is, is decided then: if the server and the client both have a tool of that name, it is the
    /// server's, and the client's is not offered to the model. It stays so for the session, also if the
    /// server's tools change: a name that was declared as the client's doesn't become the server's, nor the
    /// other way round.
    #[cfg(feature = "tools")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tools")))]
    pub fn tools(mut self, tools: impl crate::tools::ToolSource) -> Self {
        self.config().tools = Some(super::declared_tools::DeclaredTools::new(tools));
        self
    }

    /// Sets the persona of the model that `session_info` declares. Default none.
    pub fn persona(mut self, persona: impl Into<serde_json::Value>) -> Self {
        self.config().set_persona(persona.into());
        self
    }

    /// Sets the recovery of answers whose server died or shut down before their end. Default
    /// [`Recovery::new`]: they end, and the client may ask again.
    ///
    /// The search for interrupted answers begins with [`layer`](Layer::layer) inside a tokio runtime,
    /// otherwise with the first session.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.config().recovery = recovery;
        self
    }

    /// Lets clients without an owner find sessions by chat ids. The application promises that its chat
    /// ids are secrets: random, and known only to clients that may use the chat.
    ///
    /// By default a chat id leads a client to sessions of its own [owner](Access::identify) only, and a
    /// client without an owner finds none by it. Chat ids are often short, and stand in URLs: under a
    /// policy without owners, every client could read and stop the answers of the chat `1`.
    ///
    /// With this option a chat id opens the sessions without an owner that belong to the chat, if it could
    /// be a [session id](crate::log::SessionId): 22 to 128 characters of `A-Z a-z 0-9 . _ ~ -`. A request
    /// with another chat id is refused with 403. An owner that
    /// [`PerPeer`](crate::access::PerPeer) names counts as none.
    ///
    /// ```
    /// # use futures_util::stream;
    /// # use unbroken::chat::{ChatEvent, ProviderError, provider_fn};
    /// # #[cfg(feature = "ai-sdk")] {
    /// use tower::Layer;
    /// use unbroken::{DurableLayer, Sessions, access::AnyoneWithTheId, dialect::AiSdk};
    ///
    /// # let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    /// // The page makes its chat ids with `crypto.randomUUID()`.
    /// let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
    ///     .dialect(AiSdk::new())
    ///     .secret_chat_ids()
    ///     .layer(provider);
    /// # }
    /// ```
    pub fn secret_chat_ids(mut self) -> Self {
        self.config().secret_chat_ids = true;
        self
    }

    /// Sets a hook that runs when a session starts, beside its provider, on a task of its own.
    pub fn on_start<F, R>(mut self, run: F) -> Self
    where
        F: Fn(SessionStarted) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.config().hooks.on_start = Some(hook(run));
        self
    }

    /// Sets the outbox, through which the ending of every session is delivered at least once, whichever
    /// server is alive. Default none.
    ///
    /// It begins to deliver with [`layer`](Layer::layer) inside a tokio runtime, otherwise with the first
    /// session. Sessions that began without it have no ending to deliver.
    pub fn outbox(mut self, outbox: Outbox) -> Self {
        self.config().outbox = Some(outbox);
        self
    }

    /// Sets a hook that runs when a session has ended and its `on_start` is done, on a task of its
    /// own.
    ///
    /// It runs at most once per session, on the server that seals the session. A server that dies, or
    /// hands the session over at its [shutdown](crate::session::Sessions::shutdown), runs none; a shutdown that ends
    /// the session waits for the hook. A server that takes the session over runs it if it
    /// [continues the answer](Self::recovery), not if it only ends the session. It doesn't run for a
    /// session whose log is deleted before it could be read. [`outbox`](Self::outbox) has none of these gaps.
    pub fn on_end<F, R>(mut self, run: F) -> Self
    where
        F: Fn(SessionEnded) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.config().hooks.on_end = Some(hook(run));
        self
    }
}

/// Wraps a provider, and registers it with the [`Sessions`] to recover the interrupted answers of
/// this [service name](DurableLayer::service_name).
///
/// The same layer, or a clone that was not changed, may wrap a provider of the same type several
/// times.
///
/// # Panics
///
/// [`layer`](Layer::layer) panics if the dialect [finds sessions by chat ids](Dialect::finds_by_chat),
/// the access policy [names no owners](Access::names_owners), and the layer doesn't have
/// [secret chat ids](DurableLayer::secret_chat_ids): clients could not resume then, or strangers could
/// read the answers of a chat whose id they guess.
///
/// It also panics if another layer over the same [`Sessions`] has the same service
/// name and is still in use, or if the application has registered a handler of its own under it:
/// an interrupted answer could then be continued by the wrong provider. Give each layer a name of
/// its own with [`service_name`](DurableLayer::service_name).
impl<S: Provider> Layer<S> for DurableLayer {
    type Service = DurableService<S>;

    fn layer(&self, provider: S) -> DurableService<S> {
        assert_finds_chats_safely(&self.config);
        assert_keeps_chats(&self.config);
        let service = self.config.service();
        let handler = ProviderRecovery::new(&self.config, provider.clone());
        let (dialect, provider_type) = (self.config.dialect.name(), type_name::<S>());
        let description = format!("the layer of dialect `{dialect}` over `{provider_type}`");
        let origin = HandlerOrigin::new(description.clone(), &self.config);
        let sessions = self.config.registry();
        if let Err(former) = sessions.register_layer(service.clone(), handler, origin) {
            panic!(
                "two services over the same `Sessions` are named `{service}`: {former}, and \
                 {description}; give this layer a name of its own with `DurableLayer::service_name`"
            );
        }
        let (outbox, history) = (self.config.outbox.clone(), self.config.history.clone());
        if let Some(endings) = LayerEndings::new(outbox, history, self.config.dialect.clone()) {
            sessions.on_ending(service.clone(), endings);
        }
        DurableService::new(self.config.clone(), provider)
    }
}

fn assert_finds_chats_safely(config: &LayerConfig) {
    let LayerConfig {
        dialect, access, ..
    } = config;
    assert!(
        !dialect.finds_by_chat() || access.names_owners() || config.secret_chat_ids,
        "the dialect `{}` finds sessions by chat ids, and the access policy {access:?} names no owners: \
         use a policy that names them, such as `access::OnlyTheOwner` with a signed cookie, or, if all \
         chat ids are long and random, `DurableLayer::secret_chat_ids`",
        dialect.name(),
    );
}

fn assert_keeps_chats(config: &LayerConfig) {
    assert!(
        config.history.is_none() || config.dialect.message_form().is_some(),
        "the dialect `{}` has no form of messages that a history could keep, and its clients send the whole conversation; use \
         `DurableLayer::outbox` to store answers",
        config.dialect.name(),
    );
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::{
        access::AnyoneWithTheId,
        chat::{ChatEvent, ProviderError, provider_fn},
    };

    fn provider() -> impl Provider {
        provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]))
    }

    fn layer(sessions: &Sessions) -> DurableLayer {
        DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
    }

    #[test]
    #[should_panic(
        expected = "two services over the same `Sessions` are named `native`: the layer"
    )]
    fn a_second_layer_of_the_same_name_is_refused() {
        let sessions = Sessions::in_memory();
        let _first = layer(&sessions).layer(provider());
        let _second = layer(&sessions).layer(provider());
    }

    #[test]
    #[should_panic(expected = "are named `native`")]
    fn a_changed_clone_is_another_layer() {
        let layer = layer(&Sessions::in_memory());
        let _first = layer.layer(provider());
        let _second = layer.recovery(Recovery::new().restart()).layer(provider());
    }

    #[test]
    fn a_layer_and_its_clones_may_wrap_a_provider_repeatedly() {
        let layer = layer(&Sessions::in_memory());
        let _first = layer.layer(provider());
        let _second = layer.layer(provider());
        let _third = layer.clone().layer(provider());
    }

    #[test]
    fn names_differ_by_dialect_registry_or_option() {
        let sessions = Sessions::in_memory();
        let _native = layer(&sessions).layer(provider());
        let _named = layer(&sessions).service_name("other").layer(provider());
        let _elsewhere = layer(&Sessions::in_memory()).layer(provider());
        #[cfg(feature = "ai-sdk")]
        let _sdk = layer(&sessions)
            .dialect(crate::dialect::AiSdk::new())
            .secret_chat_ids()
            .layer(provider());
    }

    /// Defines a test for each dialect that finds sessions by chats.
    macro_rules! need_owners {
        ($($(#[$if:meta])* $name:ident: $dialect:expr;)+) => {
            $($(#[$if])* #[test]
            #[should_panic(expected = "use a policy that names them, such as `access::OnlyTheOwner`")]
            fn $name() {
                let _refused = layer(&Sessions::in_memory()).dialect($dialect).layer(provider());
            })+
        };
    }

    need_owners! {
        #[cfg(feature = "ai-sdk")]
        the_ai_sdk_needs_a_policy_that_names_owners: crate::dialect::AiSdk::new();
        #[cfg(feature = "ag-ui")]
        ag_ui_needs_a_policy_that_names_owners: crate::dialect::AgUi::new();
        #[cfg(all(feature = "ai-sdk", feature = "durable-streams"))]
        durable_streams_of_ui_messages_need_a_policy_that_names_owners:
            crate::dialect::DurableStreams::ui_messages(crate::dialect::AiSdk::new());
    }

    #[cfg(feature = "durable-streams")]
    #[test]
    fn durable_streams_of_events_find_no_chats_and_need_no_owners() {
        let layer = layer(&Sessions::in_memory()).dialect(crate::dialect::DurableStreams::new());
        let _layer = layer.layer(provider());
    }

    #[cfg(feature = "ai-sdk")]
    #[test]
    #[should_panic(expected = "`DurableLayer::secret_chat_ids`")]
    fn an_owner_per_peer_is_not_enough_to_find_chats() {
        let access = crate::access::PerPeer::new(AnyoneWithTheId::new());
        let layer = DurableLayer::new(Sessions::in_memory(), access);
        let _refused = layer
            .dialect(crate::dialect::AiSdk::new())
            .layer(provider());
    }

    #[cfg(feature = "ag-ui")]
    #[test]
    fn a_policy_that_names_owners_may_find_chats() {
        let owner = |_: &mut http::request::Parts| Some(crate::log::Owner::new("ann"));
        let access = crate::access::OnlyTheOwner::new(owner);
        let layer = DurableLayer::new(Sessions::in_memory(), access);
        let _layer = layer.dialect(crate::dialect::AgUi::new()).layer(provider());
    }

    #[test]
    fn the_name_of_a_dropped_service_is_free() {
        let sessions = Sessions::in_memory();
        drop(layer(&sessions).layer(provider()));
        let _again = layer(&sessions).layer(provider());
    }
}
