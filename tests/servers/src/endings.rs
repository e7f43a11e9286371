//! How the application is told of endings.

use std::{convert::Infallible, time::Duration};

use tokio::time::sleep;
use unbroken::{
    BoxError,
    durable::{DurableLayer, Outbox, SessionEnded},
};

use crate::call_log::{CallLogWriter, micros};

/// The longest time that the application takes for an ending.
const LONGEST: u128 = 60;

/// Adds to a layer how it tells of endings.
pub(crate) fn told(
    durable: DurableLayer,
    endings: &str,
    log: &CallLogWriter,
) -> Result<DurableLayer, BoxError> {
    let log = log.clone();
    Ok(match endings {
        "none" => durable,
        "outbox" => durable.outbox(Outbox::new(move |ended| {
            let log = log.clone();
            async move {
                take(&log, ended).await;
                Ok::<_, Infallible>(())
            }
        })),
        "hook" => durable.on_end(move |ended| {
            let log = log.clone();
            async move { take(&log, ended).await }
        }),
        other => {
            return Err(format!("`{other}` is no way to tell: give none, outbox or hook").into());
        }
    })
}

/// Takes a while, in which a server may be killed, and logs the ending.
async fn take(log: &CallLogWriter, ended: SessionEnded) {
    let millis = u64::try_from(micros() % LONGEST).unwrap_or(0);
    sleep(Duration::from_millis(millis)).await;
    log.ended(ended.id.as_str());
}
