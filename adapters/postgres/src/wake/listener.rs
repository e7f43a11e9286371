use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_postgres::{AsyncMessage, Client};

use super::{
    link::{self, ListenConnection},
    waiters::Waiters,
};
use crate::{
    PostgresOptions,
    connect::{ConnectFn, PolledConnection},
};

/// The interval of pings, by which a dead peer is noticed.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Keeps a connection that listens, until the store is dropped.
pub(crate) async fn run(
    connect: ConnectFn,
    options: PostgresOptions,
    tag: String,
    connection: watch::Sender<Option<Arc<ListenConnection>>>,
    waiters: Arc<Waiters>,
) {
    let mut pause = MIN_PAUSE;
    loop {
        match timeout(options.connect_timeout, connect()).await {
            Ok(Ok(PolledConnection { client, messages })) => {
                pause = MIN_PAUSE;
                let listening = Arc::new(ListenConnection::new(client, &options.schema));
                connection.send_replace(Some(listening.clone()));
                receive(&listening.client, messages, &tag, &waiters).await;
                // The waiters see this, and return.
                connection.send_replace(None);
                tracing::warn!("the connection that listens was lost");
            }
            Ok(Err(error)) => tracing::warn!(%error, "no connection to listen on"),
            Err(_) => tracing::warn!("no connection to listen on within the timeout"),
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Forwards notifications until the connection ends.
async fn receive(
    client: &Client,
    mut messages: impl futures_util::Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Unpin,
    tag: &str,
    waiters: &Waiters,
) {
    let mut silent = pin!(until_silent(client));
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(it))) => {
                    if let Some((id, change)) = link::parse(tag, it.payload()) {
                        waiters.wake(id, change);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            () = &mut silent => return,
        }
    }
}

async fn until_silent(client: &Client) {
    loop {
        sleep(PING_INTERVAL).await;
        if !matches!(
            timeout(PING_TIMEOUT, client.batch_execute("")).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
}

/// Returns between half of the pause and all of it, so that servers don't reconnect at once.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(0);
    pause / 2 + pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}
