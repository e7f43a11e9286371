use std::sync::Arc;

use unbroken::{
    BoxError,
    store::{Memory, Store},
};
use unbroken_disk::{Disk, DiskOptions};
use unbroken_postgres::Postgres;
use unbroken_redis::Redis;

/// Opens the store that a command line names: `memory`, `disk:PATH`, `redis://…` or `postgres://…`.
///
/// # Errors
///
/// Returns an error if the name is none of these, or if the store cannot be opened.
pub async fn open_store(name: &str) -> Result<Arc<dyn Store>, BoxError> {
    Ok(match name.split_once(':') {
        None if name == "memory" => Arc::new(Memory::new()),
        Some(("disk", path)) => Arc::new(Disk::open(path, DiskOptions::new()).await?),
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
    })
}
