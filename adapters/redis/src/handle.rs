use std::{fmt, sync::Arc};

use redis::{Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use unbroken::store::Durability;

#[cfg(feature = "cluster")]
use crate::link::{ClusterLanes, ResponseTime};
use crate::{
    RedisOpenError, RedisOptions,
    keys::KeyNames,
    layout,
    link::{CommandConnection, SingleConnection},
    max_value::MaxValue,
    script::LuaScripts,
    settings::ServerSettings,
    wake::{Channels, SubscribeConfig, SubscriptionTask},
};

/// A store that keeps sessions in Redis. Clones share the connections.
///
/// The [documentation of the crate](crate) lists the requirements of a deployment.
#[derive(Clone)]
pub struct Redis {
    pub(crate) inner: Arc<RedisInner>,
}

pub(crate) struct RedisInner {
    pub(crate) link: CommandConnection,
    pub(crate) keys: KeyNames,
    pub(crate) scripts: LuaScripts,
    pub(crate) channels: Arc<Channels>,
    pub(crate) options: RedisOptions,
    pub(crate) durability: Durability,
    pub(crate) max_value: MaxValue,
    // For traces; without credentials.
    server: String,
    _listener: SubscriptionTask,
}

impl Redis {
    /// Connects to the server at a URL: `redis://user:password@host:port/db`, or `rediss://` for TLS,
    /// with the feature `tls`.
    ///
    /// # Errors
    ///
    /// Returns a [`RedisOpenError`] if the server does not answer, or is not safe for logs.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn open(url: &str, options: RedisOptions) -> Result<Self, RedisOpenError> {
        let client = Client::open(connection(url)?).map_err(RedisOpenError::Url)?;
        Self::with_client(client, options).await
    }

    /// Connects with a client of the application, which may have certificates of its own.
    ///
    /// The store makes two connections with it: one for commands, one (RESP3) for wake-ups. It makes a third for
    /// the first command of more than 512 KiB, behind which no other should wait.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn with_client(
        client: Client,
        options: RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        #[cfg(feature = "tls")]
        install_crypto_provider();
        let listener = resp3(&client)?;
        let server = client.get_connection_info().addr().to_string();
        let link = CommandConnection::Single(SingleConnection::new(client, &options).into());
        Self::with_link(link, vec![listener], server, options).await
    }

    /// Connects to a cluster by the URLs of some of its servers.
    ///
    /// One URL is enough; more are tried if that server is down. The credentials of the first are used
    /// for all.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    #[cfg(feature = "cluster")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cluster")))]
    pub async fn open_cluster<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
        options: RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        #[cfg(feature = "tls")]
        install_crypto_provider();
        let nodes = urls.into_iter().map(|url| connection(url.as_ref()));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let clients = nodes.iter().cloned().map(Client::open);
        let clients = clients.collect::<Result<Vec<_>, _>>();
        let time = ResponseTime::of(&options);
        let client = |bytes| {
            redis::cluster::ClusterClient::builder(nodes.clone())
                .connection_timeout(options.connect_timeout)
                .response_timeout(time.for_bytes(bytes))
                .build()
                .map_err(RedisOpenError::Url)
        };
        let (small, large) = (client(0)?, client(options.max_append_bytes)?);
        let connection = small.get_async_connection().await;
        let connection = connection.map_err(RedisOpenError::Unreachable)?;
        let lanes = ClusterLanes::separate(connection, large);
        Self::with_lanes(lanes, clients.map_err(RedisOpenError::Url)?, options).await
    }

    /// Uses a connection of the application to a cluster.
    ///
    /// The store subscribes at one of `servers`, and at the next if that is down. The timeouts of the
    /// connection apply, not those of the options. The connection must not read from replicas.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    #[cfg(feature = "cluster")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cluster")))]
    pub async fn with_cluster(
        connection: redis::cluster_async::ClusterConnection,
        servers: Vec<Client>,
        options: RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        Self::with_lanes(ClusterLanes::shared(connection), servers, options).await
    }

    #[cfg(feature = "cluster")]
    async fn with_lanes(
        lanes: ClusterLanes,
        servers: Vec<Client>,
        options: RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        let addresses: Vec<_> = servers
            .iter()
            .map(|server| server.get_connection_info().addr().to_string())
            .collect();
        let listeners = servers.iter().map(resp3).collect::<Result<_, _>>()?;
        let link = CommandConnection::Cluster(lanes.into());
        Self::with_link(link, listeners, addresses.join(", "), options).await
    }

    async fn with_link(
        link: CommandConnection,
        listeners: Vec<Client>,
        server: String,
        options: RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        if listeners.is_empty() {
            return Err(RedisOpenError::NoServer);
        }
        let settings = ServerSettings::check(&link, &options).await?;
        let keys = KeyNames::new(&options.prefix);
        let scripts = LuaScripts::new();
        layout::check(&link, &keys, &scripts).await?;
        let channels = Arc::new(Channels::new(options.linger));
        let config = SubscribeConfig {
            clients: listeners,
            connect: options.connect_timeout,
            response: options.response_timeout,
        };
        let inner = RedisInner {
            link,
            keys,
            scripts,
            _listener: SubscriptionTask::new(config, channels.clone()),
            channels,
            options,
            durability: settings.durability,
            max_value: MaxValue::new(settings.value_bytes),
            server,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

fn connection(url: &str) -> Result<ConnectionInfo, RedisOpenError> {
    url.into_connection_info().map_err(RedisOpenError::Url)
}

/// Installs a crypto provider of rustls for the process, unless the application has installed one.
#[cfg(feature = "tls")]
fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
}

/// Returns a copy of the client that speaks RESP3, where messages and replies may share a connection.
fn resp3(client: &Client) -> Result<Client, RedisOpenError> {
    let info = client.get_connection_info().clone();
    let redis = info.redis_settings().clone();
    let info = info.set_redis_settings(redis.set_protocol(ProtocolVersion::RESP3));
    Client::open(info).map_err(RedisOpenError::Url)
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("server", &self.inner.server)
            .field("durability", &self.inner.durability)
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
