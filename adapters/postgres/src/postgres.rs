use std::{fmt, future::Future, sync::Arc, time::Duration};

use deadpool_postgres::Pool;
use tokio_postgres::Config;
use unbroken::{
    log::SessionId,
    store::{Durability, StoreError},
};

use crate::{
    OpenError, Options, Tls,
    connect::{Dial, configured, dial, dial_as_url_says, pool, pool_as_url_says},
    db::Db,
    durability,
    listen::Way,
    migrate,
    row::Stored,
    sql::Sql,
    wake::{Change, Wake},
};

/// Keeps sessions in PostgreSQL, 14 or later. A clone is a handle to the same pool.
///
/// ```no_run
/// use unbroken::session::Sessions;
/// use unbroken_postgres::{Options, Postgres};
///
/// # async fn run() -> Result<(), unbroken_postgres::OpenError> {
/// let store = Postgres::open("postgres://app@localhost/app", Options::default()).await?;
/// let sessions = Sessions::builder(store).build();
/// # Ok(())
/// # }
/// ```
///
/// # Durability
///
/// Read from the server's settings when the store is opened, as they are for its role and database,
/// unless [`Options::durability`](field@Options::durability) says otherwise:
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
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) db: Arc<Db>,
    pub(crate) sql: Sql,
    pub(crate) wake: Wake,
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
    /// See [`OpenError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let options = options.checked()?;
        let config = configured(url)?;
        let pool = pool_as_url_says(&config, &options)?;
        let same = match &options.listen.0 {
            Way::Same => Some(dial_as_url_says(&config)?),
            _ => None,
        };
        Self::on(pool, same, options).await
    }

    /// Opens a store with a configuration and a way to make TLS connections.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn open_with(
        config: Config,
        tls: impl Tls,
        options: Options,
    ) -> Result<Self, OpenError> {
        let options = options.checked()?;
        let pool = pool(config.clone(), tls.clone(), &options)?;
        Self::on(pool, Some(dial(config, tls)), options).await
    }

    /// Opens a store on a pool of the application's own. What the options say of pool and
    /// connections doesn't count then; [`Options::listen`](field@Options::listen) has to be set.
    ///
    /// # Errors
    ///
    /// [`OpenError::Listen`] if it isn't; see [`OpenError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn with_pool(pool: Pool, options: Options) -> Result<Self, OpenError> {
        Self::on(pool, None, options.checked()?).await
    }

    async fn on(pool: Pool, same: Option<Dial>, options: Options) -> Result<Self, OpenError> {
        let listen = match &options.listen.0 {
            Way::Same => Way::Dial(same.ok_or(OpenError::Listen)?),
            other => other.clone(),
        };
        migrate::run(&pool, &options).await?;
        let durability = match options.durability {
            Some(told) => told,
            None => durability::read(&pool).await?,
        };
        let db = Arc::new(Db {
            pool,
            prepared: options.prepared,
            patience: options.statement_timeout + SLACK,
        });
        let sql = Sql::new(&options.schema);
        let wake = Wake::start(&options, listen, db.clone(), sql.notify.clone());
        Ok(Self {
            inner: Arc::new(Inner {
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
        work: impl FnOnce(Arc<Inner>) -> Fut,
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

impl Inner {
    /// The row of a session, whatever has become of it.
    pub(crate) async fn look(&self, id: &SessionId) -> Result<Stored, StoreError> {
        let row = self.db.query_opt(&self.sql.state, &[&id.as_str()]).await;
        match row.map_err(crate::db::Failure::of_read)? {
            Some(row) => Stored::new(&row),
            None => Err(StoreError::NotFound),
        }
    }

    /// The row of a session that is there.
    pub(crate) async fn find(&self, id: &SessionId) -> Result<Stored, StoreError> {
        let stored = self.look(id).await?;
        stored.here().map(|()| stored)
    }

    pub(crate) fn tell(&self, id: &SessionId, change: Change) {
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
