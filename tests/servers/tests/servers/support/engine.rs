use std::{env, path::Path, sync::OnceLock};

use libtest_mimic::{Completion, Failed, Trial};
use tempfile::TempDir;
use unbroken_postgres::tokio_postgres::{self, NoTls};
use unbroken_redis::redis;

use super::{Checked, Error};

/// The engine of the store that a cluster shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// For one server at a time.
    Disk,
    Redis,
    Postgres,
}

impl Engine {
    pub(crate) const SHARED: [Self; 2] = [Self::Redis, Self::Postgres];
    pub(crate) const ALL: [Self; 3] = [Self::Disk, Self::Redis, Self::Postgres];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }

    /// Returns the store's name on a server's command line. A disk store is in this folder.
    pub(crate) fn store(self, folder: &Path) -> String {
        match self {
            Self::Disk => format!("disk:{}", folder.join("store").display()),
            Self::Redis => redis_url(),
            Self::Postgres => postgres_url(),
        }
    }

    pub(crate) fn is_shared(self) -> bool {
        self != Self::Disk
    }

    /// Returns the reason if the engine is not available.
    fn unavailable(self) -> Option<&'static str> {
        static REDIS: OnceLock<Option<String>> = OnceLock::new();
        static POSTGRES: OnceLock<Option<String>> = OnceLock::new();
        let reason = match self {
            Self::Disk => return None,
            Self::Redis => REDIS.get_or_init(|| {
                let answer = runtime().block_on(redis_connection());
                answer.err().map(|error| format!("no Redis: {error}"))
            }),
            Self::Postgres => POSTGRES.get_or_init(|| {
                let answer = runtime().block_on(postgres(""));
                answer.err().map(|error| format!("no PostgreSQL: {error}"))
            }),
        };
        reason.as_deref()
    }

    /// Returns a test on this engine. If the engine is not available, the test is ignored, or fails if
    /// `CI` is set.
    pub(crate) fn trial<Fut>(
        self,
        name: &str,
        test: impl FnOnce(Self) -> Fut + Send + 'static,
    ) -> Trial
    where
        Fut: Future<Output = Checked>,
    {
        Trial::ignorable_test(format!("{}::{name}", self.name()), move || {
            match self.unavailable() {
                None => {}
                Some(reason) if env::var_os("CI").is_some() => {
                    return Err(Failed::from(format!("{reason}, and this is CI")));
                }
                Some(reason) => return Ok(Completion::ignored_with(reason)),
            }
            match runtime().block_on(test(self)) {
                Ok(()) => Ok(Completion::Completed),
                Err(error) => Err(Failed::from(error.to_string())),
            }
        })
    }

    /// Removes the data of this space.
    pub(crate) async fn clean(self, space: &str) -> Checked {
        match self {
            Self::Disk => Ok(()),
            Self::Redis => {
                let mut connection = redis_connection().await?;
                let mut cursor = 0_u64;
                loop {
                    let mut scan = redis::cmd("SCAN");
                    scan.arg(cursor).arg("MATCH").arg(format!("{space}:*"));
                    let found = scan.arg("COUNT").arg(5000).query_async(&mut connection);
                    let (next, keys): (u64, Vec<String>) = found.await?;
                    if !keys.is_empty() {
                        let mut unlink = redis::cmd("UNLINK");
                        unlink.arg(keys).exec_async(&mut connection).await?;
                    }
                    if next == 0 {
                        return Ok(());
                    }
                    cursor = next;
                }
            }
            Self::Postgres => postgres(&format!("DROP SCHEMA IF EXISTS {space} CASCADE")).await,
        }
    }
}

pub(crate) fn redis_url() -> String {
    env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned())
}

pub(crate) fn postgres_url() -> String {
    env::var("POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned())
}

pub(crate) async fn redis_connection() -> Result<redis::aio::MultiplexedConnection, Error> {
    let client = redis::Client::open(redis_url())?;
    Ok(client.get_multiplexed_async_connection().await?)
}

/// Runs SQL statements.
pub(crate) async fn postgres(statements: &str) -> Checked {
    let (client, connection) = tokio_postgres::connect(&postgres_url(), NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute(statements).await?;
    connection.abort();
    Ok(())
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

pub(crate) fn temp_dir() -> Result<TempDir, Error> {
    Ok(tempfile::Builder::new()
        .prefix("unbroken-servers-")
        .tempdir()?)
}
