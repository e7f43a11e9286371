use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{runtime::Handle, time::timeout};

use super::ResponsesStream;
use crate::chat::ProviderError;

/// The longest time for which the id of a response is waited for that is to be cancelled.
const ID_TIMEOUT: Duration = Duration::from_secs(60);

type Asked = Pin<Box<dyn Future<Output = Result<ResponsesStream, ProviderError>> + Send>>;

/// A future that waits for the first event of the answer, or for its end. It retries as the
/// [module `http`](crate::provider::http) describes.
///
/// Dropping it drops the request. The request of a response in the background, once it was sent, is waited for in a task,
/// for up to a minute: only the response has the id by which it is cancelled.
pub struct ResponsesFuture {
    /// `None` once it has completed.
    asked: Option<Asked>,
    /// Of a response in the background, once it is polled.
    stop: Option<StopFlag>,
    is_polled: bool,
}

/// A flag that is set once an answer is wanted no more.
#[derive(Debug, Clone, Default)]
pub(super) struct StopFlag {
    is_set: Arc<AtomicBool>,
}

impl StopFlag {
    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }
}

impl ResponsesFuture {
    /// Creates the future of an answer that can be dropped at any time.
    pub(super) fn new(
        asked: impl Future<Output = Result<ResponsesStream, ProviderError>> + Send + 'static,
    ) -> Self {
        Self {
            asked: Some(Box::pin(asked)),
            stop: None,
            is_polled: false,
        }
    }

    /// Creates the future of a response in the background, which goes on when it is dropped. Nothing is sent anew after
    /// `stop`.
    pub(super) fn in_background(
        asked: impl Future<Output = Result<ResponsesStream, ProviderError>> + Send + 'static,
        stop: StopFlag,
    ) -> Self {
        let mut this = Self::new(asked);
        this.stop = Some(stop);
        this
    }

    /// Creates a future that fails, of a request that isn't sent.
    pub(super) fn failed(error: ProviderError) -> Self {
        Self::new(std::future::ready(Err(error)))
    }
}

impl Future for ResponsesFuture {
    type Output = Result<ResponsesStream, ProviderError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.is_polled = true;
        let asked = self.asked.as_mut().expect("it isn't polled after its end");
        let polled = asked.as_mut().poll(cx);
        if polled.is_ready() {
            self.asked = None;
        }
        polled
    }
}

impl Drop for ResponsesFuture {
    fn drop(&mut self) {
        let (Some(asked), Some(stop)) = (self.asked.take(), self.stop.take()) else {
            return;
        };
        if !self.is_polled {
            return;
        }
        stop.is_set.store(true, Ordering::Relaxed);
        // No log has its id, so that no other server can read it on.
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!("the model's server wasn't told to stop an answer: the runtime ends");
            return;
        };
        runtime.spawn(async move {
            match timeout(ID_TIMEOUT, asked).await {
                Ok(Ok(stream)) => stream.cancel(),
                Ok(Err(error)) => {
                    tracing::debug!(?error, "an answer that was stopped has failed");
                }
                Err(_) => tracing::warn!(
                    "the model's server wasn't told to stop an answer: it didn't tell its id"
                ),
            }
        });
    }
}

impl fmt::Debug for ResponsesFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponsesFuture").finish_non_exhaustive()
    }
}
