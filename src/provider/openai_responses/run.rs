use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use super::{decoder::SharedTurn, request::ENCRYPTED};
use crate::{
    chat::ProviderError,
    provider::http::{
        AnswerStream, CallReports, Failure, Retries, Upstream, is_of_the_connection,
        json::{members, string},
        refusal_status,
    },
};

/// The number of tries in a row that bring nothing new. The last ones are 8 s apart.
const TRIES: u32 = 6;
/// The most time for which a response may be queued without a stream.
const QUEUED: Duration = Duration::from_secs(600);
const QUEUED_PAUSE: Duration = Duration::from_secs(2);
/// The time between two reads of a response that runs, whose stream says nothing.
const RUNNING_PAUSE: Duration = Duration::from_secs(2);
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
const CANCEL_TRIES: u32 = 2;

/// A response that the model's server goes on with, whether it is read or not.
///
/// Dropping it cancels the response, unless that has ended or another server may read on.
#[derive(Clone)]
pub(super) struct BackgroundRun {
    pub(super) upstream: Arc<Upstream>,
    pub(super) turn: SharedTurn,
    pub(super) reports: CallReports,
    pub(super) max_bytes: usize,
    /// True if the server is asked for encrypted reasoning.
    pub(super) encrypted_reasoning: bool,
}

/// The reason why a response can't be read on.
#[derive(Debug)]
pub(super) enum ReadOnFailure {
    /// The server no longer has it, or doesn't let it be read.
    Gone(ProviderError),
    /// The answer failed, or the server can't be reached.
    Failed(ProviderError),
}

/// The outcome of a question for the whole response.
enum WholeResponse {
    Ended(Box<AnswerStream>),
    Running,
}

impl BackgroundRun {
    /// Reads on after the last event that was read, and waits for the next one. `failure` is what ended the
    /// connection before, if there was one.
    ///
    /// A response that can't be read on, and may run, is cancelled.
    pub(super) async fn read_on(
        self,
        failure: Option<ProviderError>,
    ) -> Result<AnswerStream, ReadOnFailure> {
        let read = self.try_read_on(failure).await;
        if let Err(failure) = &read {
            self.cancel_after(failure);
        }
        read.map_err(|failure| match failure {
            // What the server reported explains more than a connection that ended.
            ReadOnFailure::Failed(error) if is_of_the_connection(&error) => {
                let mut turn = self.turn.lock();
                let is_running = turn.running().is_some();
                let reported = turn.reported.take().filter(|_| is_running);
                ReadOnFailure::Failed(reported.unwrap_or(error))
            }
            failure => failure,
        })
    }

    async fn try_read_on(
        &self,
        mut failure: Option<ProviderError>,
    ) -> Result<AnswerStream, ReadOnFailure> {
        let mut retries = Retries::of_read(TRIES);
        let mut seen = None;
        let mut queued_since = None;
        loop {
            let Some((response, after)) = self.turn.lock().cursor() else {
                let error = failure.unwrap_or_else(ProviderError::cut);
                return Err(ReadOnFailure::Failed(error));
            };
            if seen.replace(after) != Some(after) {
                retries = Retries::of_read(TRIES);
            }
            let mut failed = match self.stream_after(&response, after).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            if self.turn.lock().running().is_some() && is_of_the_connection(&failed.error) {
                // Nothing came: the response itself tells whether something will.
                match self.whole(&response).await {
                    Ok(WholeResponse::Ended(answer)) => return Ok(*answer),
                    Ok(WholeResponse::Running) => {
                        // Connections may end sooner than a model says something.
                        retries = Retries::of_read(TRIES);
                        failure = Some(failed.error);
                        sleep(RUNNING_PAUSE).await;
                        continue;
                    }
                    Err(of_whole) if self.is_decided_by(&of_whole) => failed = of_whole,
                    Err(_) => {}
                }
            }
            if self.turn.lock().running().is_none() {
                return Err(ReadOnFailure::Failed(failed.error));
            }
            match refusal_status(&failed.error) {
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

    /// Returns true if a failure to read the whole response says more than that it can't be read so.
    fn is_decided_by(&self, failure: &Failure) -> bool {
        let is_over = self.turn.lock().running().is_none();
        let status = refusal_status(&failure.error);
        is_over || matches!(status, Some(401 | 403 | 404 | 408..=410 | 429 | 500..))
    }

    /// Reads the stream of the response after an event, and waits for the next one.
    async fn stream_after(&self, response: &str, after: u64) -> Result<AnswerStream, Failure> {
        self.turn.lock().reconnect();
        let after = after.to_string();
        let mut query = vec![("stream", "true"), ("starting_after", &*after)];
        query.extend(self.include());
        let decoder = Box::new(self.turn.decoder(self.max_bytes));
        let path = [response];
        let read = self.upstream.read(&path, &query, &self.reports, decoder);
        read.await
    }

    /// Asks for the response as it is now.
    async fn whole(&self, response: &str) -> Result<WholeResponse, Failure> {
        let path = [response];
        let query: Vec<_> = self.include().into_iter().collect();
        let whole = self.upstream.fetch(&path, &query, &self.reports).await?;
        let [status] = members(&whole, ["status"]).unwrap_or_default();
        if let Some("queued" | "in_progress") = status.and_then(string).as_deref() {
            return Ok(WholeResponse::Running);
        }
        self.turn.lock().reconnect();
        let decoder = Box::new(self.turn.decoder(self.max_bytes));
        let read = self.upstream.read_whole(&whole, &self.reports, decoder);
        Ok(WholeResponse::Ended(Box::new(read.await?)))
    }

    /// Returns what a read has to ask for, as the request did: it doesn't follow from the request.
    fn include(&self) -> Option<(&'static str, &'static str)> {
        self.encrypted_reasoning.then_some(("include[]", ENCRYPTED))
    }

    /// Cancels a response that nobody reads on after this failure, unless it isn't there.
    fn cancel_after(&self, failure: &ReadOnFailure) {
        let (ReadOnFailure::Gone(error) | ReadOnFailure::Failed(error)) = failure;
        if !matches!(refusal_status(error), Some(404 | 410)) {
            self.cancel();
        }
    }

    /// Tells the server to stop, unless the response has ended. Doesn't wait for it.
    pub(super) fn cancel(&self) {
        let Some(response) = self.turn.lock().stop() else {
            return;
        };
        // Outside of a runtime nothing can be sent.
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!("the model's server wasn't told to stop an answer: the runtime ends");
            return;
        };
        let upstream = Arc::clone(&self.upstream);
        runtime.spawn(async move {
            let path = [&*response, "cancel"];
            let mut refused = None;
            for _ in 0..CANCEL_TRIES {
                let command = upstream.command(&path);
                match timeout(CANCEL_TIMEOUT, command).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => {
                        let is_last = !error.is_recoverable();
                        refused = Some(error);
                        if is_last {
                            break;
                        }
                    }
                    Err(_) => {}
                }
            }
            tracing::warn!(error = ?refused, "the model's server wasn't told to stop an answer");
        });
    }
}
