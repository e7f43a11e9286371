//! Makes the connections of the pool, and the one that listens.

use std::{pin::Pin, sync::Arc, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures_util::{Stream, stream};
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, config::SslMode};
use unbroken::BoxFuture;

use crate::{PostgresOpenError, PostgresOptions, Tls, db::millis};

/// A connection that makes progress only while its holder polls the messages.
pub(crate) struct PolledConnection {
    pub(crate) client: Client,
    pub(crate) messages: Pin<Box<dyn Stream<Item = Result<AsyncMessage, Error>> + Send>>,
}

/// A function that makes connections.
pub(crate) type ConnectFn =
    Arc<dyn Fn() -> BoxFuture<'static, Result<PolledConnection, Error>> + Send + Sync>;

/// The keepalive time where the URL has none: a dead peer is noticed after about as long.
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(crate) fn parse_url(url: &str) -> Result<Config, PostgresOpenError> {
    let mut config: Config = url.parse().map_err(PostgresOpenError::Url)?;
    if !url.contains("keepalives_idle") {
        config.keepalives_idle(KEEPALIVE);
    }
    Ok(config)
}

pub(crate) fn connect_fn(mut config: Config, tls: impl Tls) -> ConnectFn {
    let name = config.get_application_name().unwrap_or("unbroken");
    config.application_name(format!("{name} (listening)"));
    Arc::new(move || {
        let (config, tls) = (config.clone(), tls.clone());
        Box::pin(async move {
            let (client, mut connection) = config.connect(tls).await?;
            let messages = stream::poll_fn(move |cx| connection.poll_message(cx));
            Ok(PolledConnection {
                client,
                messages: Box::pin(messages),
            })
        })
    })
}

/// Connects with TLS if the URL requires it, and never otherwise: the certificate of a server that only
/// offers TLS is often self-signed, and would be refused.
pub(crate) fn connect_by_url(config: &Config) -> Result<ConnectFn, PostgresOpenError> {
    if config.get_ssl_mode() != SslMode::Require {
        return Ok(connect_fn(without_tls(config), NoTls));
    }
    #[cfg(feature = "tls")]
    return Ok(connect_fn(config.clone(), crate::tls::system()?));
    #[cfg(not(feature = "tls"))]
    Err(PostgresOpenError::TlsMissing)
}

/// Creates a pool with TLS if the URL requires it, and never otherwise.
pub(crate) fn pool_by_url(
    config: &Config,
    options: &PostgresOptions,
) -> Result<Pool, PostgresOpenError> {
    if config.get_ssl_mode() != SslMode::Require {
        return pool(without_tls(config), NoTls, options);
    }
    #[cfg(feature = "tls")]
    return pool(config.clone(), crate::tls::system()?, options);
    #[cfg(not(feature = "tls"))]
    Err(PostgresOpenError::TlsMissing)
}

fn without_tls(config: &Config) -> Config {
    let mut config = config.clone();
    config.ssl_mode(SslMode::Disable);
    config
}

pub(crate) fn pool(
    mut config: Config,
    tls: impl Tls,
    options: &PostgresOptions,
) -> Result<Pool, PostgresOpenError> {
    if config.get_application_name().is_none() {
        config.application_name("unbroken");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(options.connect_timeout);
    }
    // A pooler may refuse an unknown startup parameter, and would not keep it for the connection.
    if options.prepared {
        let given = config.get_options().unwrap_or_default().to_owned();
        let limit = millis(options.statement_timeout);
        config.options(format!("{given} -c statement_timeout={limit}"));
    }
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_config(config, tls, recycling))
        .max_size(options.pool_size)
        .wait_timeout(Some(options.pool_wait))
        .create_timeout(Some(options.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| PostgresOpenError::Unavailable(error.into()))
}
