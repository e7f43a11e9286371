use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use super::decoder::SharedTurn;
use crate::{
    chat::{Liveness, ProviderError},
    provider::http::{
        AnswerStream, Failure, Retries, Upstream, is_of_the_connection, refusal_status,
    },
};

/// The number of tries in a row that bring nothing new. The last ones are 8 s apart.
const TRIES: u32 = 6;
/// The most time for which a response may be queued without a stream.
const QUEUED: Duration = Duration::from_secs(600);
const QUEUED_PAUSE: Duration = Duration::from_secs(2);
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
const CANCEL_TRIES: u32 = 2;

/// A response that the model's server goes on with, whether it is read or not.
///
/// Dropping it cancels the response, unless that has ended or another server may read on.
#[derive(Clone)]
pub(super) struct BackgroundRun {
    pub(super) upstream: Arc<Upstream>,
    pub(super) turn: SharedTurn,
    pub(super) liveness: Liveness,
    pub(super) max_bytes: usize,
}

/// The reason why a response can't be read on.
#[derive(Debug)]
pub(super) enum ReadOnFailure {
    /// The server no longer has it, or doesn't let it be read.
    Gone(ProviderError),
    /// The answer failed, or the server can't be reached.
    Failed(ProviderError),
}

impl BackgroundRun {
    /// Reads on after the last event that was read, and waits for the next one. `failure` is what ended the
    /// connection before, if there was one.
    pub(super) async fn read_on(
        self,
        failure: Option<ProviderError>,
    ) -> Result<AnswerStream, ReadOnFailure> {
        let mut failure = failure;
        let mut retries = Retries::new(TRIES);
        let mut seen = None;
        let mut queued_since = None;
        loop {
            let Some((response, after)) = self.turn.lock().cursor() else {
                let error = failure.unwrap_or_else(ProviderError::cut);
                return Err(ReadOnFailure::Failed(error));
            };
            if seen.replace(after) != Some(after) {
                retries = Retries::new(TRIES);
            }
            self.turn.lock().reconnect();
            let after = after.to_string();
            let query = [("stream", "true"), ("starting_after", &*after)];
            let decoder = Box::new(self.turn.decoder(self.max_bytes));
            let path = [&*response];
            let read = self.upstream.read(&path, &query, &self.liveness, decoder);
            let failed = match read.await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let is_running = self.turn.lock().running().is_some();
            match refusal_status(&failed.error).filter(|_| is_running) {
                // It has yet to begin.
                Some(409) => {
                    let since = *queued_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < QUEUED {
                        tracing::debug!("the response is queued");
                        sleep(QUEUED_PAUSE).await;
                        continue;
                    }
                    return Err(ReadOnFailure::Failed(failed.error));
                }
                Some(408 | 429 | 500..) => {}
                Some(_) => return Err(ReadOnFailure::Gone(failed.error)),
                None if is_of_the_connection(&failed.error) => {}
                None => return Err(ReadOnFailure::Failed(failed.error)),
            }
            // Silence, too, is the connection's: nothing is paid for by reading again.
            let failed = Failure {
                retry: Some(true),
                ..failed
            };
            let Some(wait) = retries.next(&failed) else {
                return Err(ReadOnFailure::Failed(failed.error));
            };
            tracing::debug!(error = ?failed.error, ?wait, "the response is read again");
            failure = Some(failed.error);
            sleep(wait).await;
        }
    }

    /// Tells the server to stop, unless the response has ended. Doesn't wait for it.
    pub(super) fn cancel(&self) {
        let Some(response) = self.turn.lock().running().map(str::to_owned) else {
            return;
        };
        // Outside of a runtime nothing can be sent.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let upstream = Arc::clone(&self.upstream);
        runtime.spawn(async move {
            let path = [&*response, "cancel"];
            for _ in 0..CANCEL_TRIES {
                let command = upstream.command(&path);
                match timeout(CANCEL_TIMEOUT, command).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) if !error.is_recoverable() => return,
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            tracing::warn!("the model's server wasn't told to stop an answer");
        });
    }
}
