use std::{sync::Arc, time::Duration};

use unbroken::{BoxError, store::Store};
use unbroken_conformance::{BrokenStore, ContractRule};
use unbroken_disk::{Disk, DiskOptions};
use unbroken_postgres::Postgres;
use unbroken_redis::Redis;

use crate::{
    arguments::Arguments,
    faults::{Deaf, Lying, Polling, Unfenced},
};

/// Small files: what is opened again after each kill is read again, and there is more than one.
const SEGMENT_BYTES: u32 = 256 << 10;
/// Connections of the pool: there are many servers, and one PostgreSQL.
const POOL: usize = 2;

pub(crate) async fn open(arguments: &Arguments) -> Result<Arc<dyn Store>, BoxError> {
    let store = open_honest(arguments).await?;
    Ok(match arguments.fault.as_str() {
        "lies" => Arc::new(Lying::new(store)),
        "unfenced" => Arc::new(Unfenced::new(store)),
        "deaf" => Arc::new(Deaf::new(store)),
        "polls" => Arc::new(Polling::new(store)),
        "starts-twice" => broken(store, ContractRule::CreateExists),
        "confirms-early" => broken(store, ContractRule::AbortStored),
        _ => store,
    })
}

fn broken(store: Arc<dyn Store>, rule: ContractRule) -> Arc<dyn Store> {
    Arc::new(BrokenStore::new(store).breaking(rule))
}

async fn open_honest(arguments: &Arguments) -> Result<Arc<dyn Store>, BoxError> {
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
                .pool_size(POOL)
                .pool_wait(Duration::from_secs(20))
                .notify(arguments.fault != "silent");
            Arc::new(Postgres::open(name, options).await?)
        }
        _ => return Err(format!("`{name}` is no store").into()),
    })
}
