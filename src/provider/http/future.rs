use std::{fmt, pin::Pin, sync::Arc, task, task::Poll, time::Duration};

use bytes::Bytes;
#[cfg(feature = "openai-responses-upstream")]
use http_body_util::LengthLimitError;
use http_body_util::{BodyExt, Limited};
use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{HeaderMap, HeaderName, RETRY_AFTER},
};
#[cfg(feature = "openai-responses-upstream")]
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout, timeout_at};

#[cfg(feature = "openai-responses-upstream")]
use super::failure::InPlaceOfStream;
use super::{
    AnswerStream, Decode, Upstream,
    call_reports::CallReports,
    error_name::code_of_body,
    failure,
    opening::Opening,
    retries::{Failure, Retries},
};
use crate::chat::ProviderError;

// An error response is only read for its code.
const MAX_ERROR_BYTES: usize = 64 * 1024;
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);
// Some servers send a more exact value here.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A future that waits for the first event of the answer, or for its end. It retries as the
/// [module](super) describes.
///
/// Dropping it drops the request.
pub struct AnswerFuture {
    inner: Pin<Box<dyn Future<Output = Result<AnswerStream, ProviderError>> + Send>>,
}

impl Upstream {
    /// Sends a request. Each try has its own decoder.
    pub(crate) fn ask(
        self: &Arc<Self>,
        body: Vec<u8>,
        reports: CallReports,
        decoder: impl Fn() -> Box<dyn Decode> + Send + Sync + 'static,
    ) -> AnswerFuture {
        let upstream = Arc::clone(self);
        AnswerFuture {
            inner: Box::pin(async move { upstream.answer(body.into(), reports, decoder).await }),
        }
    }

    /// Sends a request, and waits for the first event of its answer. Each try has its own decoder.
    pub(crate) async fn answer(
        &self,
        body: Bytes,
        reports: CallReports,
        decoder: impl Fn() -> Box<dyn Decode>,
    ) -> Result<AnswerStream, ProviderError> {
        let mut retries = Retries::new(self.retries());
        loop {
            let request = self.post(body.clone());
            let failure = match begin(self, request, &reports, decoder()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let Some(wait) = retries.next(&failure) else {
                return Err(failure.error);
            };
            tracing::debug!(error = ?failure.error, ?wait, "the model's server is asked again");
            sleep(wait).await;
        }
    }

    /// Reads an answer that the server has under this path, and waits for its first event. It is tried once.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) async fn read(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        reports: &CallReports,
        decoder: Box<dyn Decode>,
    ) -> Result<AnswerStream, Failure> {
        begin(self, self.get(path, query), reports, decoder).await
    }

    /// Sends a request once, and waits for the first event of its answer.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) async fn answer_once(
        &self,
        body: Bytes,
        reports: &CallReports,
        decoder: Box<dyn Decode>,
    ) -> Result<AnswerStream, Failure> {
        begin(self, self.post(body), reports, decoder).await
    }

    /// Reads the JSON that the server has under this path, as text. It is tried once.
    ///
    /// # Errors
    ///
    /// If it isn't answered, with a refusal, or with something else than JSON of at most the size of an answer.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) async fn fetch(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        reports: &CallReports,
    ) -> Result<String, Failure> {
        let deadline = Instant::now() + self.idle_timeout();
        let sent = timeout_at(deadline, self.get(path, query).send());
        let response = sent
            .await
            .map_err(|_| failure::timed_out())?
            .map_err(failure::unreachable)?;
        reports.liveness.heard();
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let max = self.max_body_bytes();
        let body = Limited::new(reqwest::Body::from(response), max).collect();
        let body = timeout_at(deadline, body)
            .await
            .map_err(|_| failure::timed_out())?
            .map_err(|error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => failure::too_long(max),
                None => ProviderError::cut().with_source(error),
            })?;
        reports.liveness.heard();
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        match serde_json::from_str::<&RawValue>(&body) {
            Ok(_) => Ok(body),
            Err(error) => Err(failure::unreadable(error).into()),
        }
    }

    /// Decodes an answer that was read whole.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) async fn read_whole(
        &self,
        whole: &str,
        reports: &CallReports,
        decoder: Box<dyn Decode>,
    ) -> Result<AnswerStream, Failure> {
        let Some(bytes) = (self.protocol().as_stream)(whole) else {
            return Err(failure::no_stream(InPlaceOfStream::Json).into());
        };
        let mut answer = AnswerStream::whole(&bytes, decoder, reports.clone(), self.idle_timeout());
        answer.begin().await?;
        Ok(answer)
    }

    /// Sends a request once, and waits for the head of its response, whatever its status.
    #[cfg(feature = "unbroken-upstream")]
    pub(crate) async fn head(&self, request: RequestBuilder) -> Result<Response, ProviderError> {
        match timeout(self.idle_timeout(), request.send()).await {
            Ok(sent) => sent.map_err(failure::unreachable),
            Err(_) => Err(failure::timed_out()),
        }
    }

    /// Reads the answer in the body of a successful response, and waits for its first event.
    #[cfg(feature = "unbroken-upstream")]
    pub(crate) async fn open(
        &self,
        response: Response,
        reports: &CallReports,
        decoder: Box<dyn Decode>,
    ) -> Result<AnswerStream, Failure> {
        open(self, response, reports, decoder).await
    }

    /// Sends a request without a body, and drops what it is answered with.
    ///
    /// # Errors
    ///
    /// If it isn't answered, or with a refusal.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) async fn command(&self, path: &[&str]) -> Result<(), ProviderError> {
        let sent = self.post_to(path).send().await;
        let response = sent.map_err(failure::unreachable)?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(failure::refused(Some(response.status()), None, None))
    }
}

impl AnswerFuture {
    /// Creates a future that fails, of a request that isn't sent.
    pub(crate) fn failed(error: ProviderError) -> Self {
        Self {
            inner: Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl Future for AnswerFuture {
    type Output = Result<AnswerStream, ProviderError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for AnswerFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerFuture").finish_non_exhaustive()
    }
}

// Sends one request and waits for the first event of its answer.
async fn begin(
    upstream: &Upstream,
    request: RequestBuilder,
    reports: &CallReports,
    decoder: Box<dyn Decode>,
) -> Result<AnswerStream, Failure> {
    reports.turn_usage.clear(); // of the try before
    let deadline = Instant::now() + upstream.idle_timeout();
    let response = timeout_at(deadline, request.send())
        .await
        .map_err(|_| failure::timed_out())?
        .map_err(failure::unreachable)?;
    reports.liveness.heard();
    if !response.status().is_success() {
        return Err(refused(response).await);
    }
    open(upstream, response, reports, decoder).await
}

// Waits for the first event of the answer in a successful response.
async fn open(
    upstream: &Upstream,
    response: Response,
    reports: &CallReports,
    decoder: Box<dyn Decode>,
) -> Result<AnswerStream, Failure> {
    let opening = Opening::new(
        response.headers(),
        upstream.protocol(),
        upstream.max_body_bytes(),
    )
    .map_err(Failure::last)?;
    let mut answer = AnswerStream::new(
        response.into(),
        opening,
        decoder,
        reports.clone(),
        upstream.idle_timeout(),
    );
    answer.begin().await?;
    Ok(answer)
}

async fn refused(response: Response) -> Failure {
    let status = response.status();
    let retry = should_retry(response.headers());
    let retry_after = retry_after(status, response.headers());
    let body = Limited::new(reqwest::Body::from(response), MAX_ERROR_BYTES).collect();
    // Without its body the refusal still has its status.
    let body = match timeout(ERROR_BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) | Err(_) => Bytes::new(),
    };
    let code = code_of_body(&body);
    Failure {
        error: failure::refused(Some(status), code, retry_after),
        retry,
    }
}

// Some servers know better than their status says. `OpenAI`'s SDKs obey it.
fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get(SHOULD_RETRY)?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

// The form with a date is ignored: it needs two clocks that agree.
pub(crate) fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return None;
    }
    let number = |name: HeaderName| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    number(RETRY_AFTER_MS)
        .map(Duration::from_millis)
        .or_else(|| number(RETRY_AFTER).map(Duration::from_secs))
}
