//! The servers of the tests, and the trials that need them.

#[cfg(feature = "cluster")]
pub(crate) mod cluster;
pub(crate) mod fixture;
pub(crate) mod outbox;
pub(crate) mod proxy;
pub(crate) mod scene;
pub(crate) mod server;
#[path = "../../../../../tests/support/slow_link.rs"]
pub(crate) mod slow_link;

use std::{env, future::Future, time::Duration};

use libtest_mimic::{Completion, Failed, Trial};
use unbroken_redis::{
    Redis, RedisOptions,
    redis::{self, AsyncConnectionConfig, Client, aio::MultiplexedConnection},
};

/// Returns the URL of the machine's server.
pub(crate) fn url() -> String {
    env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned())
}

/// Returns options with a unique prefix.
pub(crate) fn options() -> RedisOptions {
    let token = unbroken::store::Token::random().0;
    RedisOptions::new().prefix(format!("unbroken-test-{token:032x}:"))
}

pub(crate) async fn open(options: RedisOptions) -> Redis {
    Redis::open(&url(), options)
        .await
        .expect("the server opens")
}

/// Returns the reason if the machine has no server.
pub(crate) fn missing_server() -> Option<String> {
    let answer = runtime().block_on(async {
        let client = Client::open(url()).ok()?;
        let connect = client.get_multiplexed_async_connection();
        let connected = tokio::time::timeout(Duration::from_secs(30), connect);
        connected.await.ok()?.ok()
    });
    answer
        .is_none()
        .then(|| format!("no Redis server answers at {}", address(&url())))
}

/// Removes the credentials from a URL.
fn address(url: &str) -> &str {
    url.rsplit('@').next().unwrap_or_default()
}

pub(crate) async fn connect(url: &str) -> MultiplexedConnection {
    let client = Client::open(url).expect("a URL of a test is right");
    // Many tests share the machine.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(10)))
        .set_response_timeout(Some(Duration::from_secs(10)));
    let connected = client.get_multiplexed_async_connection_with_config(&config);
    connected.await.expect("the server answers")
}

/// Removes the keys of a test from the machine's server.
pub(crate) async fn clean(prefix: &str) {
    let mut connection = connect(&url()).await;
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*"));
        let found = scan.arg("COUNT").arg(1000).query_async(&mut connection);
        let (next, keys): (u64, Vec<String>) = found.await.expect("SCAN works");
        if !keys.is_empty() {
            let mut unlink = redis::cmd("UNLINK");
            let unlinked = unlink.arg(keys).exec_async(&mut connection).await;
            unlinked.expect("UNLINK works");
        }
        if next == 0 {
            return;
        }
        cursor = next;
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Creates a test, which is ignored with the reason if something is missing; on CI that is a failure.
pub(crate) fn trial<F, Fut>(name: impl Into<String>, missing: Option<&String>, test: F) -> Trial
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Failed>>,
{
    match missing.cloned() {
        None => Trial::test(name, move || runtime().block_on(test())),
        Some(reason) => Trial::ignorable_test(name, move || {
            if env::var_os("CI").is_some() {
                return Err(Failed::from(format!("{reason}, and this is CI")));
            }
            Ok(Completion::ignored_with(reason))
        }),
    }
}
