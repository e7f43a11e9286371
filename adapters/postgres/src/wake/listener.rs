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

/// The connection is tried this often: a peer that went silent is noticed.
const PING: Duration = Duration::from_secs(15);
const PONG: Duration = Duration::from_secs(5);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Keeps a connection that listens, for as long as the store lives.
pub(crate) async fn run(
    dial: ConnectFn,
    options: PostgresOptions,
    tag: String,
    live: watch::Sender<Option<Arc<ListenConnection>>>,
    waiters: Arc<Waiters>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        match timeout(options.connect_timeout, dial()).await {
            Ok(Ok(PolledConnection { client, messages })) => {
                pause = FIRST_PAUSE;
                let connection = Arc::new(ListenConnection::new(client, &options.schema));
                live.send_replace(Some(connection.clone()));
                hear(&connection.client, messages, &tag, &waiters).await;
                // Who waits sees this, and returns.
                live.send_replace(None);
                tracing::warn!("the connection that listens was lost");
            }
            Ok(Err(error)) => tracing::warn!(%error, "no connection to listen on"),
            Err(_) => tracing::warn!("no connection to listen on in time"),
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Passes notifications on until the connection ends.
async fn hear(
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
        sleep(PING).await;
        if !matches!(timeout(PONG, client.batch_execute("")).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Between half of it and all of it, so that servers don't come back all at once.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(0);
    pause / 2 + pause.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
}
