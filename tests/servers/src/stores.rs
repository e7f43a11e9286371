use std::{sync::Arc, time::Duration};

use unbroken::{BoxError, store::Store};
use unbroken_conformance::{BrokenStore, ContractRule};
use unbroken_disk::{Disk, DiskOptions};
use unbroken_postgres::Postgres;
use unbroken_redis::Redis;

use crate::{
    arguments::Arguments,
    faults::{EarlyAckStore, NoWakeupStore, PollingStore, UnfencedStore},
};

/// The size of the disk store's segments: small, so that a restart reads several.
const SEGMENT_BYTES: u32 = 256 << 10;
/// The size of a server's connection pool: many servers share one PostgreSQL.
const POOL_SIZE: usize = 2;

pub(crate) async fn open(arguments: &Arguments) -> Result<Arc<dyn Store>, BoxError> {
    let store = open_engine(arguments).await?;
    Ok(match arguments.fault.as_str() {
        "lies" => Arc::new(EarlyAckStore::new(store)),
        "unfenced" => Arc::new(UnfencedStore::new(store)),
        "deaf" => Arc::new(NoWakeupStore::new(store)),
        "polls" => Arc::new(PollingStore::new(store)),
        "starts-twice" => broken(store, ContractRule::CreateExists),
        "confirms-early" => broken(store, ContractRule::AbortStored),
        _ => store,
    })
}

fn broken(store: Arc<dyn Store>, rule: ContractRule) -> Arc<dyn Store> {
    Arc::new(BrokenStore::new(store).breaking(rule))
}

async fn open_engine(arguments: &Arguments) -> Result<Arc<dyn Store>, BoxError> {
    let (name, space) = (arguments.store.as_str(), arguments.space.as_str());
    Ok(match name.split_once(':') {
        Some(("disk", path)) => {
            let options = DiskOptions::new().segment_bytes(SEGMENT_BYTES);
            Arc::new(Disk::open(path, options).await?)
        }
        Some(("redis", _)) => {
            let options = unbroken_redis::RedisOptions::new().prefix(format!("{space}:"));
            Arc::new(Redis::open(name, options).await?)
        }
        Some(("postgres", _)) => {
            let options = unbroken_postgres::PostgresOptions::new()
                .schema(space)
                .pool_size(POOL_SIZE)
                .pool_wait(Duration::from_secs(20))
                .notify(arguments.fault != "silent");
            Arc::new(Postgres::open(name, options).await?)
        }
        _ => {
            return Err(format!(
                "`{name}` is not a store: give disk:PATH, redis://… or postgres://…"
            )
            .into());
        }
    })
}
