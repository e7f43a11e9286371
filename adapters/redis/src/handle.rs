use std::{fmt, sync::Arc};

use redis::{Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use unbroken::store::Durability;

use crate::{
    RedisOpenError, RedisOptions,
    keys::KeyNames,
    link::{CommandConnection, SingleConnection},
    script::LuaScripts,
    settings::ServerSettings,
    wake::{Channels, SubscribeConfig, SubscriptionTask},
};

/// Keeps sessions in Redis. A clone is a handle to the same connections.
///
/// The [crate's documentation](crate) says what a deployment has to see to.
#[derive(Clone)]
pub struct Redis {
    pub(crate) inner: Arc<RedisInner>,
}

pub(crate) struct RedisInner {
    pub(crate) link: CommandConnection,
    pub(crate) keys: KeyNames,
    pub(crate) scripts: LuaScripts,
    pub(crate) bells: Arc<Channels>,
    pub(crate) options: RedisOptions,
    pub(crate) durability: Durability,
    // For whoever looks at a trace; without credentials.
    server: String,
    _listener: SubscriptionTask,
}

impl Redis {
    /// Connects to the server at this URL: `redis://user:password@host:port/db`, or `rediss://` for
    /// TLS, with the feature `tls`.
    ///
    /// # Errors
    ///
    /// [`RedisOpenError`]: the server does not answer, or is not one to keep logs on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn open(url: &str, options: RedisOptions) -> Result<Self, RedisOpenError> {
        let client = Client::open(connection(url)?).map_err(RedisOpenError::Url)?;
        Self::with_client(client, options).await
    }

    /// Connects as the application's own client says, certificates and all. Makes two connections of
    /// its own with it: one for commands, one (RESP3) for wake-ups.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn with_client(
        client: Client,
        options: RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        #[cfg(feature = "tls")]
        choose_crypto();
        let listener = resp3(&client)?;
        let server = client.get_connection_info().addr().to_string();
        let (connect, response) = (options.connect_timeout, options.response_timeout);
        let link =
            CommandConnection::Single(SingleConnection::new(client, connect, response).into());
        Self::with_link(link, vec![listener], server, options).await
    }

    /// Connects to a cluster; one of its servers is enough, more are for when that one is down. All
    /// have the credentials of the first.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[cfg(feature = "cluster")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cluster")))]
    pub async fn open_cluster<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
        options: RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        #[cfg(feature = "tls")]
        choose_crypto();
        let nodes = urls.into_iter().map(|url| connection(url.as_ref()));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let clients = nodes.iter().cloned().map(Client::open);
        let clients = clients.collect::<Result<Vec<_>, _>>();
        let cluster = redis::cluster::ClusterClient::builder(nodes)
            .connection_timeout(options.connect_timeout)
            .response_timeout(options.response_timeout)
            .build()
            .map_err(RedisOpenError::Url)?;
        let connection = cluster.get_async_connection().await;
        let connection = connection.map_err(RedisOpenError::Unreachable)?;
        Self::with_cluster(connection, clients.map_err(RedisOpenError::Url)?, options).await
    }

    /// Uses the application's own connection to a cluster. The subscriptions go to one of these
    /// servers of it, the next one when that is down.
    ///
    /// The connection's own timeouts hold, not those of the options; it must not read from replicas.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[cfg(feature = "cluster")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cluster")))]
    pub async fn with_cluster(
        connection: redis::cluster_async::ClusterConnection,
        servers: Vec<Client>,
        options: RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        let addresses: Vec<_> = servers
            .iter()
            .map(|server| server.get_connection_info().addr().to_string())
            .collect();
        let listeners = servers.iter().map(resp3).collect::<Result<_, _>>()?;
        let link = CommandConnection::Cluster(connection);
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
        let durability = ServerSettings::check(&link, &options).await?;
        let bells = Arc::new(Channels::new(options.linger));
        let tap = SubscribeConfig {
            clients: listeners,
            connect: options.connect_timeout,
            response: options.response_timeout,
        };
        let inner = RedisInner {
            link,
            keys: KeyNames::new(&options.prefix),
            scripts: LuaScripts::new(),
            _listener: SubscriptionTask::new(tap, bells.clone()),
            bells,
            options,
            durability,
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

/// rustls wants one crypto library to be chosen for the process; what the application chose stays.
#[cfg(feature = "tls")]
fn choose_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
}

/// The same client, speaking RESP3: only there may messages and answers share a connection.
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
