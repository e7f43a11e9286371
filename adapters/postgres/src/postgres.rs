use std::{fmt, future::Future, sync::Arc, time::Duration};

use deadpool_postgres::Pool;
use tokio_postgres::Config;
use unbroken::{
    log::SessionId,
    store::{Durability, StoreError},
};

use crate::{
    PostgresOpenError, PostgresOptions, Tls,
    connect::{ConnectFn, configured, dial, dial_as_url_says, pool, pool_as_url_says},
    db::StatementRunner,
    durability,
    listen::ListenMode,
    migrate,
    row::SessionRow,
    sql::Statements,
    wake::{ChangeKind, Notifications},
};

/// Keeps sessions in PostgreSQL, 14 or later. A clone is a handle to the same pool.
///
/// ```no_run
/// use unbroken::session::Sessions;
/// use unbroken_postgres::{PostgresOptions, Postgres};
///
/// # async fn run() -> Result<(), unbroken_postgres::PostgresOpenError> {
/// let store = Postgres::open("postgres://app@localhost/app", PostgresOptions::default()).await?;
/// let sessions = Sessions::builder(store).build();
/// # Ok(())
/// # }
/// ```
///
/// # Durability
///
/// Read from the server's settings when the store is opened, as they are for its role and database,
/// unless [`PostgresOptions::durability`](field@PostgresOptions::durability) says otherwise:
///
/// | settings | [`Durability`] | what is lost with the host's power, and with the host |
/// |---|---|---|
/// | `synchronous_standby_names` set, `synchronous_commit` `on` or `remote_apply`, `fsync` on | `Replicated` | nothing; nothing |
/// | `fsync` on, `synchronous_commit` not `off` | `Host` | nothing; what no replica has yet |
/// | otherwise | `Process` | up to the last half second, or with `fsync` off perhaps everything; the same |
///
/// A reader is shown a record only after its commit, which waits for the disk, and for the standby
/// where there is one. Whoever cancels that wait (`pg_cancel_backend`) makes the server confirm a
/// commit that no standby has; nothing here ever does.
///
/// # Deployment caveat
///
/// At log level `debug` of the target `tokio_postgres`, statements are logged with their parameters:
/// with what was said in a session.
#[derive(Clone)]
pub struct Postgres {
    pub(crate) inner: Arc<PostgresInner>,
}

pub(crate) struct PostgresInner {
    pub(crate) db: Arc<StatementRunner>,
    pub(crate) sql: Statements,
    pub(crate) wake: Notifications,
    pub(crate) durability: Durability,
    pub(crate) max_append: usize,
    schema: String,
}

/// A reply that the server was told to give up by now isn't waited for much longer.
const SLACK: Duration = Duration::from_secs(5);

impl Postgres {
    /// Opens a store at a URL (`postgres://user:password@host:5432/database?…`, or `key=value`
    /// pairs), and makes or migrates its schema unless told not to. Several servers may do so at
    /// once.
    ///
    /// With `sslmode=require` in the URL the connections are TLS, with a certificate that the
    /// system trusts for that host (feature `tls`); with any other they are not. For TLS of one's
    /// own, [`open_with`](Self::open_with).
    ///
    /// # Errors
    ///
    /// See [`PostgresOpenError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, PostgresOpenError> {
        let options = options.checked()?;
        let config = configured(url)?;
        let pool = pool_as_url_says(&config, &options)?;
        let same = match &options.listen.0 {
            ListenMode::Same => Some(dial_as_url_says(&config)?),
            _ => None,
        };
        Self::on(pool, same, options).await
    }

    /// Opens a store with a configuration and a way to make TLS connections.
    ///
    /// # Errors
    ///
    /// See [`PostgresOpenError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn open_with(
        config: Config,
        tls: impl Tls,
        options: PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        let options = options.checked()?;
        let pool = pool(config.clone(), tls.clone(), &options)?;
        Self::on(pool, Some(dial(config, tls)), options).await
    }

    /// Opens a store on a pool of the application's own. What the options say of pool and
    /// connections doesn't count then; [`PostgresOptions::listen`](field@PostgresOptions::listen) has to be set.
    ///
    /// # Errors
    ///
    /// [`PostgresOpenError::Listen`] if it isn't; see [`PostgresOpenError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn with_pool(
        pool: Pool,
        options: PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        Self::on(pool, None, options.checked()?).await
    }

    async fn on(
        pool: Pool,
        same: Option<ConnectFn>,
        options: PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        let listen = match &options.listen.0 {
            ListenMode::Same => ListenMode::Dial(same.ok_or(PostgresOpenError::Listen)?),
            other => other.clone(),
        };
        migrate::run(&pool, &options).await?;
        let durability = match options.durability {
            Some(told) => told,
            None => durability::read(&pool).await?,
        };
        let db = Arc::new(StatementRunner {
            pool,
            prepared: options.prepared,
            patience: options.statement_timeout + SLACK,
        });
        let sql = Statements::new(&options.schema);
        let wake = Notifications::start(&options, listen, db.clone(), sql.notify.clone());
        Ok(Self {
            inner: Arc::new(PostgresInner {
                db,
                sql,
                wake,
                durability,
                max_append: options.max_append,
                schema: options.schema,
            }),
        })
    }

    /// Does this on a task of its own: it comes to its end though whoever wanted it is gone, so that
    /// no connection goes back to the pool with a statement half done.
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
            Err(cut) => Err(StoreError::unavailable(true, cut)),
        }
    }
}

impl PostgresInner {
    /// The row of a session, whatever has become of it.
    pub(crate) async fn look(&self, id: &SessionId) -> Result<SessionRow, StoreError> {
        let row = self.db.query_opt(&self.sql.state, &[&id.as_str()]).await;
        match row.map_err(crate::db::StatementError::of_read)? {
            Some(row) => SessionRow::new(&row),
            None => Err(StoreError::NotFound),
        }
    }

    /// The row of a session that is there.
    pub(crate) async fn find(&self, id: &SessionId) -> Result<SessionRow, StoreError> {
        let stored = self.look(id).await?;
        stored.here().map(|()| stored)
    }

    pub(crate) fn tell(&self, id: &SessionId, change: ChangeKind) {
        self.wake.tell(id, change);
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
