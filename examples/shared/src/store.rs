use std::sync::Arc;

use tokio::sync::watch;
use unbroken::{
    BoxError,
    store::{Memory, Store},
};
use unbroken_disk::{Disk, DiskHealth, DiskOptions};
use unbroken_postgres::Postgres;
use unbroken_redis::Redis;

/// The store of an example, and a watch over it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenedStore {
    /// The store.
    pub store: Arc<dyn Store>,
    // A store of another kind reconnects by itself.
    disk: Option<watch::Receiver<DiskHealth>>,
}

impl OpenedStore {
    /// Waits until the store needs a restart of the process, and returns the reason. A disk that is full
    /// is none, since the store goes on by itself. Cancel safe.
    pub async fn restart_needed(mut self) -> BoxError {
        if let Some(health) = &mut self.disk
            && let Ok(broken) = health.wait_for(DiskHealth::needs_restart).await
        {
            return broken.to_string().into();
        }
        std::future::pending().await
    }
}

/// Opens the store that a command line names: `memory`, `disk:PATH`, `redis://…` or `postgres://…`.
///
/// # Errors
///
/// Returns an error if the name is none of these, or if the store cannot be opened.
pub async fn open_store(name: &str) -> Result<OpenedStore, BoxError> {
    let store: Arc<dyn Store> = match name.split_once(':') {
        None if name == "memory" => Arc::new(Memory::new()),
        Some(("disk", path)) => {
            let disk = Disk::open(path, DiskOptions::new()).await?;
            let health = disk.watch_health();
            return Ok(OpenedStore {
                store: Arc::new(disk),
                disk: Some(health),
            });
        }
        Some(("redis" | "rediss", _)) => {
            Arc::new(Redis::open(name, unbroken_redis::RedisOptions::new()).await?)
        }
        Some(("postgres" | "postgresql", _)) => {
            Arc::new(Postgres::open(name, unbroken_postgres::PostgresOptions::new()).await?)
        }
        _ => {
            let known = "memory, disk:PATH, redis://… or postgres://…";
            return Err(format!("`{name}` is not a store; name one of {known}").into());
        }
    };
    Ok(OpenedStore { store, disk: None })
}
