use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, PushInfo, PushKind, RedisError, Value,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep},
};

use super::Channels;
use crate::backoff::Backoff;

/// The task that keeps the subscriptions. It ends with this handle.
#[derive(Debug)]
pub(crate) struct SubscriptionTask {
    task: JoinHandle<()>,
}

/// Where to subscribe: a server, or several of a cluster, where a message reaches all.
#[derive(Clone)]
pub(crate) struct SubscribeConfig {
    pub(crate) clients: Vec<Client>,
    pub(crate) connect: Duration,
    pub(crate) response: Duration,
}

/// One connection, as its messages know it.
struct SubscriptionLink {
    serving: AtomicBool,
    lost: Notify,
}

/// How often idle channels are looked for.
const TICK: Duration = Duration::from_secs(1);
/// Every so many ticks the connection is tried, since a dead one may say nothing.
const PING: u32 = 3;
/// So many channels are subscribed to at once.
const BATCH: usize = 1000;

impl SubscriptionTask {
    pub(crate) fn new(tap: SubscribeConfig, bells: Arc<Channels>) -> Self {
        Self {
            task: tokio::spawn(listen(tap, bells)),
        }
    }
}

impl Drop for SubscriptionTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(tap: SubscribeConfig, bells: Arc<Channels>) {
    let mut backoff = Backoff::new();
    for client in tap.clients.iter().cycle() {
        // Nobody waits: nothing to connect for.
        while !bells.any_wanted() {
            bells.wanted.notified().await;
        }
        let line = Arc::new(SubscriptionLink {
            serving: AtomicBool::new(true),
            lost: Notify::new(),
        });
        match connect(&tap, client, &bells, &line).await {
            Ok(connection) => {
                let served = serve(connection, &bells, &line, &mut backoff);
                if let Err(error) = served.await {
                    tracing::warn!(%error, "the subscription to Redis broke");
                }
            }
            Err(error) => tracing::warn!(%error, "no subscription to Redis"),
        }
        line.serving.store(false, SeqCst);
        bells.silence();
        sleep(backoff.next()).await;
    }
}

async fn connect(
    tap: &SubscribeConfig,
    client: &Client,
    bells: &Arc<Channels>,
    line: &Arc<SubscriptionLink>,
) -> Result<MultiplexedConnection, RedisError> {
    let (bells, line) = (bells.clone(), line.clone());
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(tap.connect))
        .set_response_timeout(Some(tap.response))
        .set_push_sender(move |push: PushInfo| {
            // A connection that was given up has no say in its successor's affairs.
            if line.serving.load(SeqCst) {
                heard(&bells, &line, &push);
            }
            Ok::<_, std::convert::Infallible>(())
        });
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

fn heard(bells: &Channels, line: &SubscriptionLink, push: &PushInfo) {
    match (&push.kind, push.data.first()) {
        (PushKind::Message, Some(Value::BulkString(channel))) => {
            if let Ok(channel) = std::str::from_utf8(channel) {
                bells.ring(channel);
            }
        }
        (PushKind::Disconnection, _) => line.lost.notify_one(),
        _ => {}
    }
}

/// Subscribes and unsubscribes until the connection breaks; gives the reason if there is one.
async fn serve(
    mut connection: MultiplexedConnection,
    bells: &Channels,
    line: &SubscriptionLink,
    backoff: &mut Backoff,
) -> Result<(), RedisError> {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0;
    loop {
        for channels in bells.take_wanted().chunks(BATCH) {
            connection.subscribe(channels).await?;
            bells.subscribed(channels);
            // Not sooner: a server may let us in and refuse every channel.
            backoff.reset();
        }
        tokio::select! {
            () = line.lost.notified() => return Ok(()),
            () = bells.wanted.notified() => {}
            _ = tick.tick() => {
                ticks += 1;
                let idle = bells.take_idle();
                for channels in idle.chunks(BATCH) {
                    connection.unsubscribe(channels).await?;
                }
                if ticks % PING == 0 {
                    redis::cmd("PING").exec_async(&mut connection).await?;
                }
            }
        }
    }
}
