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

/// The task that keeps the subscriptions. It ends when this handle is dropped.
#[derive(Debug)]
pub(crate) struct SubscriptionTask {
    task: JoinHandle<()>,
}

/// The servers to subscribe at: one, or several of a cluster, where a message reaches all.
#[derive(Clone)]
pub(crate) struct SubscribeConfig {
    pub(crate) clients: Vec<Client>,
    pub(crate) connect: Duration,
    pub(crate) response: Duration,
}

/// The state of one connection, shared with the callback for its messages.
struct SubscriptionLink {
    serving: AtomicBool,
    lost: Notify,
}

/// The time between two looks for idle channels.
const TICK: Duration = Duration::from_secs(1);
/// The number of ticks between two pings, since a dead connection may report nothing.
const PING: u32 = 3;
/// The most channels of one command.
const BATCH: usize = 1000;

impl SubscriptionTask {
    pub(crate) fn new(config: SubscribeConfig, channels: Arc<Channels>) -> Self {
        Self {
            task: tokio::spawn(listen(config, channels)),
        }
    }
}

impl Drop for SubscriptionTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(config: SubscribeConfig, channels: Arc<Channels>) {
    let mut backoff = Backoff::new();
    for client in config.clients.iter().cycle() {
        // Without a waiter there is no need for a connection.
        while !channels.any_wanted() {
            channels.wanted.notified().await;
        }
        let link = Arc::new(SubscriptionLink {
            serving: AtomicBool::new(true),
            lost: Notify::new(),
        });
        match connect(&config, client, &channels, &link).await {
            Ok(connection) => {
                let served = serve(connection, &channels, &link, &mut backoff);
                if let Err(error) = served.await {
                    tracing::warn!(%error, "the subscription to Redis failed");
                }
            }
            Err(error) => tracing::warn!(%error, "no subscription to Redis"),
        }
        link.serving.store(false, SeqCst);
        channels.unsubscribe_all();
        sleep(backoff.next()).await;
    }
}

async fn connect(
    config: &SubscribeConfig,
    client: &Client,
    channels: &Arc<Channels>,
    link: &Arc<SubscriptionLink>,
) -> Result<MultiplexedConnection, RedisError> {
    let (channels, link) = (channels.clone(), link.clone());
    let connection_config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect))
        .set_response_timeout(Some(config.response))
        .set_push_sender(move |push: PushInfo| {
            // Messages of a connection that was given up don't reach its successor.
            if link.serving.load(SeqCst) {
                on_push(&channels, &link, &push);
            }
            Ok::<_, std::convert::Infallible>(())
        });
    client
        .get_multiplexed_async_connection_with_config(&connection_config)
        .await
}

fn on_push(channels: &Channels, link: &SubscriptionLink, push: &PushInfo) {
    match (&push.kind, push.data.first()) {
        (PushKind::Message, Some(Value::BulkString(channel))) => {
            if let Ok(channel) = std::str::from_utf8(channel) {
                channels.publish(channel);
            }
        }
        (PushKind::Disconnection, _) => link.lost.notify_one(),
        _ => {}
    }
}

/// Subscribes and unsubscribes until the connection breaks.
///
/// # Errors
///
/// Returns the error of the connection; a plain disconnection is `Ok`.
async fn serve(
    mut connection: MultiplexedConnection,
    channels: &Channels,
    link: &SubscriptionLink,
    backoff: &mut Backoff,
) -> Result<(), RedisError> {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0;
    loop {
        for names in channels.take_wanted().chunks(BATCH) {
            connection.subscribe(names).await?;
            channels.set_subscribed(names);
            // Not sooner: a server may accept the connection and refuse every channel.
            backoff.reset();
        }
        tokio::select! {
            () = link.lost.notified() => return Ok(()),
            () = channels.wanted.notified() => {}
            _ = tick.tick() => {
                ticks += 1;
                let idle = channels.take_idle();
                for names in idle.chunks(BATCH) {
                    connection.unsubscribe(names).await?;
                }
                if ticks % PING == 0 {
                    redis::cmd("PING").exec_async(&mut connection).await?;
                }
            }
        }
    }
}
