use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{Response, StatusCode};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use super::{decoder::SharedInnerAnswer, refusal};
use crate::{
    chat::{Liveness, ProviderError},
    headers::{LAST_LSN, SESSION_TAIL},
    provider::http::{
        AnswerStream, CallReports, Failure, Retries, Upstream, is_of_the_connection,
        refusal_status, retry_after,
    },
};

/// The number of tries in a row that bring nothing, no heartbeat either: two minutes, in which a server is replaced. The last ones
/// are 8 s apart.
pub(super) const TRIES: u32 = 18;
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// The request that starts the answer may be under way when a stop finds none.
const ABSENT_TRIES: u32 = 4;
const ABSENT_PAUSE: Duration = Duration::from_millis(500);

/// An answer that the other server goes on with, whether it is read or not.
#[derive(Clone)]
pub(super) struct InnerRun {
    pub(super) upstream: Arc<Upstream>,
    pub(super) answer: SharedInnerAnswer,
    pub(super) reports: CallReports,
    pub(super) liveness: Liveness,
    pub(super) max_bytes: usize,
}

/// The reason why an answer can't be read on.
#[derive(Debug)]
pub(super) enum InnerReadFailure {
    /// The other server doesn't have it, or not as it was.
    Gone(ProviderError),
    /// The answer failed, or the server can't be reached.
    Failed(ProviderError),
}

/// A run that is stopped when it is dropped, unless it may go on elsewhere.
pub(super) struct StopInnerOnDrop {
    pub(super) run: InnerRun,
}

impl Drop for StopInnerOnDrop {
    fn drop(&mut self) {
        if !self.run.liveness.may_go_on() {
            self.run.stop();
        }
    }
}

impl InnerRun {
    /// Reads the log in a response from its beginning, and waits for the first event.
    pub(super) async fn open(&self, response: Response) -> Result<AnswerStream, Failure> {
        let decoder = Box::new(self.answer.decoder(self.max_bytes));
        self.upstream.open(response, &self.reports, decoder).await
    }

    /// Reads on after the last event that was read, and waits for the next one. `failure` is what ended the connection
    /// before, if there was one.
    pub(super) async fn read_on(
        self,
        mut failure: Option<ProviderError>,
    ) -> Result<AnswerStream, InnerReadFailure> {
        let mut retries = Retries::of_read(TRIES);
        let mut seen = None;
        loop {
            let (session, after) = self.answer.lock().cursor();
            if seen.replace(after) != Some(after) {
                retries = Retries::of_read(TRIES);
            }
            let heard = Liveness::new();
            let failed = match self.read_after(&session, after, &heard).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            // Connections may end sooner than a person answers, or a tool.
            if heard.silence().is_some() && !self.answer.lock().is_broken() {
                retries = Retries::of_read(TRIES);
            }
            if self.answer.lock().has_ended() || failed.error.is_cannot_continue() {
                return Err(InnerReadFailure::Failed(failed.error));
            }
            match refusal_status(&failed.error) {
                Some(408 | 429 | 500..) => {}
                Some(204 | 400 | 404 | 409 | 410) => {
                    return Err(InnerReadFailure::Gone(failed.error));
                }
                None if is_of_the_connection(&failed.error) => {}
                _ => return Err(InnerReadFailure::Failed(failed.error)),
            }
            let failed = Failure {
                retry: Some(true),
                ..failed
            };
            let Some(wait) = retries.next(&failed) else {
                // What broke the connection explains more than a server that isn't there.
                let error = failure.unwrap_or(failed.error);
                return Err(InnerReadFailure::Failed(error));
            };
            tracing::debug!(error = ?failed.error, ?wait, "the answer is read again");
            failure.get_or_insert(failed.error);
            sleep(wait).await;
        }
    }

    /// Reads on after an event once. Signs of life of the body are recorded as `heard`.
    async fn read_after(
        &self,
        session: &str,
        after: u64,
        heard: &Liveness,
    ) -> Result<AnswerStream, Failure> {
        let request = self.upstream.get(&[session], &[]);
        let request = request.header(LAST_LSN, after.to_string());
        let response = self.upstream.head(request).await?;
        if response.status() != StatusCode::OK {
            return Err(refusal_of(&response).into());
        }
        {
            let mut answer = self.answer.lock();
            if answer.is_unread() {
                answer.begin_log(tail(&response));
            }
            answer.note_broken(false);
        }
        let decoder = Box::new(self.answer.decoder(self.max_bytes));
        let reports = self.reports.clone().on(heard.clone());
        self.upstream.open(response, &reports, decoder).await
    }

    /// Returns the error of an answer that isn't read on, and stops it: nobody reads on after an error.
    pub(super) fn give_up(&self, failure: InnerReadFailure) -> ProviderError {
        match failure {
            InnerReadFailure::Gone(error) => {
                // It is there, and not as it was.
                if let Some(400 | 409) = refusal_status(&error) {
                    self.stop();
                } else {
                    self.answer.lock().leave();
                }
                ProviderError::cut().with_source(error)
            }
            InnerReadFailure::Failed(error) => {
                self.stop();
                error
            }
        }
    }

    /// Returns the error of an answer that another server of ours began, and of which nothing was passed on here. Where
    /// another way of recovery may do better, the answer is left as it is: that way may attach to it.
    pub(super) fn decline(&self, failure: InnerReadFailure) -> ProviderError {
        let has_ended = self.answer.lock().has_ended();
        let declined = match failure {
            InnerReadFailure::Gone(error) => {
                let gone = "the model's server no longer has the answer";
                ProviderError::cannot_continue(gone).with_source(error)
            }
            InnerReadFailure::Failed(error) if error.is_cannot_continue() => error,
            // It ended otherwise than with an answer, and may do better once more.
            InnerReadFailure::Failed(error) if has_ended && error.is_recoverable() => {
                let failed = "the answer has failed at the model's server";
                ProviderError::cannot_continue(failed).with_source(error)
            }
            failure @ InnerReadFailure::Failed(_) => return self.give_up(failure),
        };
        self.answer.lock().leave();
        declined
    }

    /// Tells the other server to stop, unless the answer has ended. Doesn't wait for it.
    pub(super) fn stop(&self) {
        let Some(session) = self.answer.lock().stop() else {
            return;
        };
        // Outside of a runtime nothing can be sent.
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!("the model's server wasn't told to stop an answer: the runtime ends");
            return;
        };
        let upstream = Arc::clone(&self.upstream);
        runtime.spawn(async move {
            let (mut retries, mut absent) = (Retries::of_read(TRIES), 0);
            let refused = loop {
                let asked = upstream.head(upstream.post_to(&[&session, "abort"]));
                let error = match timeout(STOP_TIMEOUT, asked).await {
                    Ok(Ok(response)) if response.status().is_success() => return,
                    Ok(Ok(response)) => refusal_of(&response),
                    Ok(Err(error)) => error,
                    Err(_) => ProviderError::new("the model's server was too slow"),
                };
                let failure = Failure {
                    retry: Some(true),
                    error,
                };
                let wait = match refusal_status(&failure.error) {
                    Some(404) if absent < ABSENT_TRIES => {
                        absent += 1;
                        Some(ABSENT_PAUSE)
                    }
                    None | Some(408 | 429 | 500..) => retries.next(&failure),
                    Some(_) => None,
                };
                let Some(wait) = wait else {
                    break failure.error;
                };
                sleep(wait).await;
            };
            tracing::warn!(error = ?refused, "the model's server wasn't told to stop an answer");
        });
    }

    /// Sends the answer to a question of the other server.
    ///
    /// # Errors
    ///
    /// If it is refused, or can't be told.
    pub(super) async fn answer_question(
        self,
        question: &str,
        answer: Bytes,
    ) -> Result<(), ProviderError> {
        let (session, _) = self.answer.lock().cursor();
        let mut retries = Retries::of_read(TRIES);
        loop {
            let request = self.upstream.post_to(&[&session, "inputs", question]);
            let error = match self.upstream.head(request.body(answer.clone())).await {
                // One that is no longer open has an outcome in the log.
                Ok(response)
                    if response.status().is_success()
                        || matches!(response.status().as_u16(), 404 | 409 | 410) =>
                {
                    return Ok(());
                }
                Ok(response) => match response.status().as_u16() {
                    408 | 429 | 500.. => refusal_of(&response),
                    _ => {
                        let message = "the model's server refused the answer to its question";
                        return Err(ProviderError::new(message).with_source(refusal_of(&response)));
                    }
                },
                Err(error) => error,
            };
            let failure = Failure {
                retry: error.is_recoverable().then_some(true),
                error,
            };
            let Some(wait) = retries.next(&failure) else {
                return Err(failure.error);
            };
            sleep(wait).await;
        }
    }
}

/// Creates the error of a response that isn't what was asked for.
pub(super) fn refusal_of(response: &Response) -> ProviderError {
    let status = response.status();
    refusal::refused(status, retry_after(status, response.headers()))
}

/// Returns the last LSN of the log when the head of a response was sent.
pub(super) fn tail(response: &Response) -> u64 {
    let tail = response.headers().get(SESSION_TAIL);
    let tail = tail.and_then(|tail| tail.to_str().ok()?.parse().ok());
    tail.unwrap_or(0)
}
