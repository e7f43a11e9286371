use std::{
    fmt,
    future::ready,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use reqwest::{Response, StatusCode};
use tokio::time::sleep;
use tower_service::Service;

use super::{
    answer::InnerAnswer,
    config::UnbrokenConfig,
    decoder::SharedInnerAnswer,
    future::UnbrokenFuture,
    inner_id::InnerIds,
    position::InnerPosition,
    questions::RelayedQuestions,
    request::{self, TOOLS_OF_OURS},
    run::{InnerRun, StopInnerOnDrop, refusal_of, tail},
    stream::UnbrokenStream,
};
use crate::{
    chat::{ChatRequest, ProviderError, Transcript},
    headers::{SESSION_ID, SESSION_STATUS},
    log::SessionId,
    provider::http::{
        CallReports, Failure, Retries, Upstream, is_of_the_connection, may_have_begun,
    },
};

/// The most answers of one request that ended without success, or are gone, after which it isn't asked anew.
const MAX_FAILED: u32 = 8;

/// A provider that calls another server of this library. The [module](super) has an example.
///
/// Cheap to clone; clones share their connections. `Debug` shows neither key nor address.
#[derive(Clone)]
pub struct UnbrokenUpstream {
    upstream: Arc<Upstream>,
    config: Arc<UnbrokenConfig>,
}

impl UnbrokenUpstream {
    pub(super) fn from_parts(upstream: Upstream, config: UnbrokenConfig) -> Self {
        Self {
            upstream: Arc::new(upstream),
            config: Arc::new(config),
        }
    }

    /// Reads the rest of an answer that another server of ours began. Questions that are open are asked at once: nothing
    /// may come before their answers.
    ///
    /// # Errors
    ///
    /// If that left no position.
    fn read_on(&self, chat: &ChatRequest) -> Result<UnbrokenStream, ProviderError> {
        let Some((so_far, position)) = begun(chat) else {
            let reason = "the answer left no place to read on from";
            return Err(ProviderError::cannot_continue(reason));
        };
        let answer = InnerAnswer::read_on(&position, position.is_shown(so_far));
        // It is there before the first poll, so that an answer that is stopped meanwhile is aborted.
        let run = self.run(answer, chat);
        let mut questions = RelayedQuestions::new(chat.inputs.clone());
        for id in position.open {
            questions.ask(id, &run.run);
        }
        let logged = so_far.logged_tail();
        Ok(UnbrokenStream::after_takeover(run, questions, logged))
    }

    /// Asks for an answer, or attaches to that of the same request.
    async fn ask(
        self,
        body: Bytes,
        ids: InnerIds,
        run: StopInnerOnDrop,
        questions: RelayedQuestions,
    ) -> Result<UnbrokenStream, ProviderError> {
        let asked = self.start(&body, &ids, &run.run).await;
        let response = asked.inspect_err(|_| run.run.stop())?;
        run.run.answer.lock().begin_log(tail(&response));
        let answer = match run.run.open(response).await {
            Ok(answer) => answer,
            Err(failed) => {
                let has_ended = run.run.answer.lock().has_ended();
                if has_ended || !is_of_the_connection(&failed.error) {
                    run.run.stop();
                    return Err(failed.error);
                }
                let read = run.run.clone().read_on(Some(failed.error)).await;
                read.map_err(|failure| run.run.give_up(failure))?
            }
        };
        Ok(UnbrokenStream::new(answer, run, questions))
    }

    /// Starts the session, or attaches to it: an answer of the same request that has failed before is left alone.
    async fn start(
        &self,
        body: &Bytes,
        ids: &InnerIds,
        run: &InnerRun,
    ) -> Result<Response, ProviderError> {
        let mut failed = 0;
        loop {
            let id = ids.after(failed);
            run.answer.lock().ask(id.clone());
            let mut may_run = false;
            let posted = self.post(&id, body, &mut may_run).await;
            let is_last = failed >= MAX_FAILED;
            let refusal = match posted {
                Ok(response) => match response.status() {
                    StatusCode::OK if is_last || !has_failed(&response) => return Ok(response),
                    StatusCode::OK => None,
                    StatusCode::GONE if !is_last => None,
                    _ => Some(refusal_of(&response)),
                },
                Err(error) => Some(error),
            };
            if let Some(error) = refusal {
                if !may_run {
                    run.answer.lock().refuse();
                }
                return Err(error);
            }
            tracing::debug!("an earlier answer of the request has failed, or is gone");
            failed += 1;
        }
    }

    /// Sends the request under an id, again while that may help: the model isn't called twice. `may_run` is set if one
    /// was lost of which the other server may have begun the session.
    async fn post(
        &self,
        id: &str,
        body: &Bytes,
        may_run: &mut bool,
    ) -> Result<Response, ProviderError> {
        let mut retries = Retries::new(self.upstream.retries());
        loop {
            let request = self.upstream.post(body.clone()).header(SESSION_ID, id);
            let error = match self.upstream.head(request).await {
                Ok(response) => match response.status().as_u16() {
                    408 | 429 | 500.. => refusal_of(&response),
                    _ => return Ok(response),
                },
                Err(error) => error,
            };
            *may_run |= may_have_begun(&error);
            let failure = Failure {
                retry: error.is_recoverable().then_some(true),
                error,
            };
            let Some(wait) = retries.next(&failure) else {
                return Err(failure.error);
            };
            tracing::debug!(error = ?failure.error, ?wait, "the model's server is asked again");
            sleep(wait).await;
        }
    }

    fn run(&self, answer: InnerAnswer, chat: &ChatRequest) -> StopInnerOnDrop {
        StopInnerOnDrop {
            run: InnerRun {
                upstream: Arc::clone(&self.upstream),
                answer: SharedInnerAnswer::new(answer),
                // Signs of life of the connection are none of the model.
                reports: CallReports::without_liveness(chat),
                liveness: chat.liveness.clone(),
                max_bytes: self.config.max_event_bytes,
            },
        }
    }
}

/// Returns the log and the position of an answer that another server of ours began.
fn begun(chat: &ChatRequest) -> Option<(&Transcript, InnerPosition)> {
    let so_far = chat.so_far.as_deref()?;
    Some((so_far, InnerPosition::read(so_far.stream_state()?)?))
}

/// Declines to go on with an answer of which clients have something: it would be attached to from its beginning, and all of it
/// would come twice.
fn check_begun(chat: &ChatRequest) -> Result<(), ProviderError> {
    match begun(chat) {
        Some((so_far, position)) if position.is_shown(so_far) => {
            let reason = "the model's server has the answer; it can be read on, or begin anew";
            Err(ProviderError::cannot_continue(reason))
        }
        _ => Ok(()),
    }
}

/// Returns true if the session had ended without success when the head of the response was sent.
fn has_failed(response: &Response) -> bool {
    let status = response.headers().get(SESSION_STATUS);
    status.is_some_and(|status| matches!(status.as_bytes(), b"error" | b"aborted"))
}

impl Service<ChatRequest> for UnbrokenUpstream {
    type Response = UnbrokenStream;
    type Error = ProviderError;
    type Future = UnbrokenFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, chat: ChatRequest) -> UnbrokenFuture {
        if chat.reattach {
            let read = self.read_on(&chat);
            if chat.runs_calls {
                // An answer that was stopped is aborted all the same, as that which is read is dropped.
                return UnbrokenFuture::failed(ProviderError::cannot_continue(TOOLS_OF_OURS));
            }
            return UnbrokenFuture::new(ready(read));
        }
        let body = check_begun(&chat)
            // The other server's model isn't known here.
            .and_then(|()| chat.check_continuation(false))
            .and_then(|()| request::body(&self.config, &chat));
        let body = match body {
            Ok(body) => Bytes::from(body),
            Err(error) => return UnbrokenFuture::failed(error),
        };
        let session = chat.session_id.clone().unwrap_or_else(SessionId::random);
        let ids = InnerIds::of(&session, chat.owner.as_ref(), &body);
        let run = self.run(InnerAnswer::new(), &chat);
        let questions = RelayedQuestions::new(chat.inputs.clone());
        UnbrokenFuture::new(self.clone().ask(body, ids, run, questions))
    }
}

impl fmt::Debug for UnbrokenUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnbrokenUpstream")
            .field("has_key", &self.upstream.has_key())
            .field("model", &self.config.model)
            .field("idle_timeout", &self.upstream.idle_timeout())
            .finish_non_exhaustive()
    }
}
