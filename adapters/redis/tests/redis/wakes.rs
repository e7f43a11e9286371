//! Waiters are woken by a change of any server, and when the subscription is lost.

use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use tokio::task::JoinHandle;
use unbroken::{
    log::SessionId,
    store::{AfterAppend, Seen, SessionState, Store, StoreError, StoreExt},
};
use unbroken_redis::{Redis, redis};

use crate::support::{
    self, fixture,
    server::{self, Server},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        #[cfg(feature = "cluster")]
        trial("a_dead_node_of_a_cluster_is_skipped", missing, dead_node),
        trial("two_servers_wake_each_other", missing, two_servers),
        trial(
            "a_lost_subscription_ends_every_wait",
            missing,
            lost_subscription,
        ),
        trial("a_session_without_waiters_is_unsubscribed", missing, linger),
    ]
}

type Waiter = JoinHandle<Result<SessionState, StoreError>>;

fn wait(store: &Redis, id: &SessionId, seen: Seen) -> Waiter {
    let (store, id) = (store.clone(), id.clone());
    tokio::spawn(async move { store.changed(&id, seen, Duration::from_secs(60)).await })
}

/// Waits until the channels of a session are subscribed to, or until they are not.
async fn subscribed(server: &Server, id: &SessionId, kinds: &[&str], are: bool) {
    let mut connection = support::connect(&server.url()).await;
    for _ in 0..500 {
        let mut command = redis::cmd("PUBSUB");
        let asked = command.arg("CHANNELS").query_async(&mut connection).await;
        let channels: Vec<String> = asked.expect("PUBSUB works");
        let is = |kind: &&str| {
            let channel = format!("{{{id}}}:{kind}");
            channels.iter().any(|is| is.ends_with(&channel))
        };
        if kinds.iter().all(|kind| is(kind) == are) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{kinds:?} are not as they should be");
}

async fn two_servers() -> Result<(), Failed> {
    const ROUNDS: u64 = 500;
    let server = Server::start(&[]).await;
    let options = support::options();
    let (writer, reader) = (
        server.open(options.clone()).await,
        server.open(options).await,
    );
    let (id, epoch) = fixture::created(&writer).await;
    let mut seen = reader.state(&id).await?.version();
    let mut delays = Vec::new();
    for lsn in 1..=ROUNDS {
        let (reader, session) = (reader.clone(), id.clone());
        let waiter = tokio::spawn(async move {
            let state = reader
                .changed(&session, seen.into(), Duration::from_secs(60))
                .await;
            (state, Instant::now())
        });
        // So that the waiter sleeps by then. If it doesn't, it returns sooner, never later.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let began = Instant::now();
        fixture::push(&writer, &id, epoch, lsn, &["x"]).await?;
        let (state, at) = waiter.await?;
        let state = state?;
        assert_eq!(state.tail.get(), lsn);
        seen = state.version();
        delays.push(at.saturating_duration_since(began));
    }
    delays.sort_unstable();
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    println!(
        "from the call of append to the waiter on another server: p50 {:?}, p99 {:?}",
        at(50),
        at(99)
    );
    Ok(())
}

async fn lost_subscription() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let store = server.open(support::options()).await;
    let (id, epoch) = fixture::created(&store).await;
    let mut admin = support::connect(&server.url()).await;
    for lsn in 1..=3 {
        let seen = store.state(&id).await?.version();
        let waiters = [
            wait(&store, &id, seen.into()),
            wait(&store, &id, Seen::Owner(seen)),
            wait(&store, &id, seen.into()),
        ];
        subscribed(&server, &id, &["records", "turns"], true).await;
        let killed = Instant::now();
        let mut kill = redis::cmd("CLIENT");
        let count: u64 = kill
            .arg("KILL")
            .arg("TYPE")
            .arg("pubsub")
            .query_async(&mut admin)
            .await?;
        assert_eq!(
            count, 1,
            "round {lsn}: one connection is shared by all waiters"
        );
        for waiter in waiters {
            let state = waiter.await??;
            assert_eq!(state.version(), seen, "nothing had changed");
        }
        let took = killed.elapsed();
        assert!(took < Duration::from_secs(1), "they waited for {took:?}");

        // The next waiter is woken again.
        let waiter = wait(&store, &id, seen.into());
        subscribed(&server, &id, &["records"], true).await;
        let began = Instant::now();
        fixture::push(&store, &id, epoch, lsn, &["x"]).await?;
        assert_eq!(waiter.await??.tail.get(), lsn);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "woken after {took:?}");
    }
    Ok(())
}

async fn linger() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let options = support::options().linger(Duration::from_millis(100));
    let store = server.open(options).await;
    let (id, epoch) = fixture::created(&store).await;
    let seen = store.state(&id).await?.version();
    let waiter = wait(&store, &id, seen.into());
    subscribed(&server, &id, &["records"], true).await;
    let chunk = fixture::chunk(1, epoch, &["z"]);
    store.append(&id, chunk, AfterAppend::Streaming).await?;
    waiter.await??;
    subscribed(&server, &id, &["records"], false).await;
    // A new waiter subscribes again.
    let seen = store.state(&id).await?.version();
    let waiter = wait(&store, &id, seen.into());
    subscribed(&server, &id, &["records"], true).await;
    fixture::push(&store, &id, epoch, 2, &["y"]).await?;
    assert_eq!(waiter.await??.tail.get(), 2);
    Ok(())
}

/// Opens a store with a connection of the application, and an absent server to subscribe at.
#[cfg(feature = "cluster")]
async fn dead_node() -> Result<(), Failed> {
    let urls = support::cluster::shared().urls();
    let nowhere = format!("redis://127.0.0.1:{}", server::free_port());
    let cluster = redis::cluster::ClusterClient::new(urls.iter().map(String::as_str))?;
    let connection = cluster.get_async_connection().await?;
    let servers = [&nowhere, &urls[1]].map(|url| redis::Client::open(url.as_str()));
    let servers = servers.into_iter().collect::<Result<_, _>>()?;
    let store = Redis::with_cluster(connection, servers, support::options()).await?;
    // Sessions of all slots.
    for _ in 0..5 {
        let (id, epoch) = fixture::created(&store).await;
        let seen = store.state(&id).await?.version();
        let waiter = wait(&store, &id, seen.into());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        fixture::push(&store, &id, epoch, 1, &["x"]).await?;
        assert_eq!(waiter.await??.tail.get(), 1);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "woken after {took:?}");
    }
    Ok(())
}
