use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::{BodyExt, Limited};
use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use tokio::time::{Instant, timeout, timeout_at};

use super::{OpenAiStream, failure, service::Config};
use crate::chat::ProviderError;

// An error response is only read for its code.
const MAX_ERROR_BYTES: usize = 64 * 1024;
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits for the server's response head.
///
/// Dropping it drops the request.
pub struct ResponseFuture {
    inner: Pin<Box<dyn Future<Output = Result<OpenAiStream, ProviderError>> + Send>>,
}

impl ResponseFuture {
    pub(super) fn new(request: RequestBuilder, config: Arc<Config>) -> Self {
        Self {
            inner: Box::pin(respond(request, config)),
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<OpenAiStream, ProviderError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

async fn respond(
    request: RequestBuilder,
    config: Arc<Config>,
) -> Result<OpenAiStream, ProviderError> {
    let deadline = Instant::now() + config.idle_timeout;
    let response = timeout_at(deadline, request.send())
        .await
        .map_err(|_| failure::silent())?
        .map_err(failure::unreachable)?;
    if response.status().is_success() {
        Ok(OpenAiStream::new(response.into(), &config))
    } else {
        Err(refused(response).await)
    }
}

async fn refused(response: Response) -> ProviderError {
    let status = response.status();
    let retry_after = retry_after(status, response.headers());
    let body = Limited::new(reqwest::Body::from(response), MAX_ERROR_BYTES).collect();
    // Without its body the refusal still has its status.
    let body = match timeout(ERROR_BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) | Err(_) => bytes::Bytes::new(),
    };
    let code = failure::code_of_body(&body);
    failure::refused(Some(status), code, retry_after)
}

// The form with a date is left aside: it needs two clocks that agree.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let may_say = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    let seconds = headers.get(RETRY_AFTER).filter(|_| may_say)?;
    let seconds = seconds.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
