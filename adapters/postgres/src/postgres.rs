use std::{fmt, future::Future, sync::Arc};

use deadpool_postgres::Pool;
use tokio_postgres::Config;
use unbroken::{
    log::SessionId,
    store::{Durability, StoreError},
};

use crate::{
    PostgresOpenError, PostgresOptions, Tls,
    connect::{ConnectFn, connect_by_url, connect_fn, parse_url, pool, pool_by_url},
    db::StatementRunner,
    durability,
    listen::ListenMode,
    migrate,
    row::SessionRow,
    sql::Statements,
    wake::{ChangeKind, Notifications},
};

/// A store that keeps sessions in PostgreSQL, 14 or later. Clones share the pool.
///
/// ```no_run
/// use unbroken::session::Sessions;
/// use unbroken_postgres::{PostgresOptions, Postgres};
///
/// # async fn run() -> Result<(), unbroken_postgres::PostgresOpenError> {
/// let store = Postgres::open("postgres://app@localhost/app", PostgresOptions::new()).await?;
/// let sessions = Sessions::builder(store).build();
/// # Ok(())
/// # }
/// ```
///
/// # Durability
///
/// It is read from the settings of the server when the store is opened, as they are for its role and
/// database, unless [`PostgresOptions::durability`](field@PostgresOptions::durability) is set:
///
/// | settings | [`Durability`] | lost with the power of the host; lost with the host |
/// |---|---|---|
/// | `synchronous_standby_names` set, `synchronous_commit` `on` or `remote_apply`, `fsync` on | `Replicated` | nothing; nothing |
/// | `fsync` on, `synchronous_commit` not `off` | `Host` | nothing; the records that no replica has |
/// | otherwise | `Process` | up to the last half second, or with `fsync` off perhaps everything; as with the power |
///
/// A reader sees a record only after its commit, which waits for the disk, and for the standby if there
/// is one. Cancelling that wait (`pg_cancel_backend`) makes the server confirm a commit that no standby
/// has; this library never does.
///
/// # Deployment caveat
///
/// At log level `debug` of the target `tokio_postgres`, statements are logged with their parameters,
/// which contain the records of sessions.
#[derive(Clone)]
pub struct Postgres {
    pub(crate) inner: Arc<PostgresInner>,
}

pub(crate) struct PostgresInner {
    pub(crate) db: Arc<StatementRunner>,
    pub(crate) sql: Statements,
    pub(crate) wake: Notifications,
    pub(crate) durability: Durability,
    pub(crate) max_append_bytes: usize,
    pub(crate) max_tombstones: usize,
    pub(crate) schema: String,
}

impl Postgres {
    /// Opens a store at a URL (`postgres://user:password@host:5432/database?…`, or `key=value` pairs).
    ///
    /// Creates or migrates the schema, unless the options forbid it. Several servers may do so at once.
    ///
    /// With `sslmode=require` in the URL the connections use TLS, and need a certificate that the system
    /// trusts for the host (feature `tls`). With any other mode they don't use TLS. For another
    /// connector, see [`open_with`](Self::open_with).
    ///
    /// # Errors
    ///
    /// Returns a [`PostgresOpenError`].
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, PostgresOpenError> {
        let options = options.checked()?;
        let config = parse_url(url)?;
        let pool = pool_by_url(&config, &options)?;
        let store_connection = match &options.listen.0 {
            ListenMode::StoreUrl => Some(connect_by_url(&config)?),
            _ => None,
        };
        Self::start(pool, store_connection, options).await
    }

    /// Opens a store with a configuration and a connector for TLS.
    ///
    /// # Errors
    ///
    /// Returns a [`PostgresOpenError`].
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn open_with(
        config: Config,
        tls: impl Tls,
        options: PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        let options = options.checked()?;
        let pool = pool(config.clone(), tls.clone(), &options)?;
        Self::start(pool, Some(connect_fn(config, tls)), options).await
    }

    /// Opens a store on a pool of the application.
    ///
    /// The options of the pool and its connections have no effect.
    /// [`PostgresOptions::listen`](field@PostgresOptions::listen) must be set.
    ///
    /// # Errors
    ///
    /// Returns [`PostgresOpenError::Listen`] if it isn't, or another [`PostgresOpenError`].
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub async fn with_pool(
        pool: Pool,
        options: PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        Self::start(pool, None, options.checked()?).await
    }

    async fn start(
        pool: Pool,
        store_connection: Option<ConnectFn>,
        options: PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        let listen = match &options.listen.0 {
            ListenMode::StoreUrl => {
                ListenMode::Connection(store_connection.ok_or(PostgresOpenError::Listen)?)
            }
            other => other.clone(),
        };
        migrate::run(&pool, &options).await?;
        let durability = match options.durability {
            Some(durability) => durability,
            None => durability::read(&pool).await?,
        };
        let db = Arc::new(StatementRunner::new(pool, &options));
        let sql = Statements::new(&options.schema);
        let wake = Notifications::start(&options, listen, db.clone(), sql.notify.clone());
        Ok(Self {
            inner: Arc::new(PostgresInner {
                db,
                sql,
                wake,
                durability,
                max_append_bytes: options.max_append_bytes,
                max_tombstones: options.max_tombstones,
                schema: options.schema,
            }),
        })
    }

    /// Runs work on a separate task, which ends although the caller drops the future. So no connection
    /// returns to the pool in the middle of a statement.
    pub(crate) async fn on_task<T, Fut>(
        &self,
        work: impl FnOnce(Arc<PostgresInner>) -> Fut,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Fut: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        match tokio::spawn(work(self.inner.clone())).await {
            Ok(answer) => answer,
            Err(error) => Err(StoreError::unavailable(true, error)),
        }
    }
}

impl PostgresInner {
    /// Reads the row of a session.
    pub(crate) async fn find(&self, id: &SessionId) -> Result<SessionRow, StoreError> {
        let row = self.db.query_opt(&self.sql.state, &[&id.as_str()]).await;
        match row.map_err(crate::db::StatementError::of_read)? {
            Some(row) => SessionRow::new(&row),
            None => Err(StoreError::NotFound),
        }
    }

    pub(crate) fn notify(&self, id: &SessionId, change: ChangeKind) {
        self.wake.notify(id, change);
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("schema", &self.inner.schema)
            .field("durability", &self.inner.durability)
            .field("pool", &self.inner.db.pool.status())
            .finish_non_exhaustive()
    }
}
