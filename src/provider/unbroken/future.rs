use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use super::UnbrokenStream;
use crate::chat::ProviderError;

/// A future that waits until the other server has the session. A request that is refused for now is repeated under the
/// same id. It is ready at once for an answer that is read on.
///
/// Dropping it aborts that session, unless the answer may go on elsewhere.
pub struct UnbrokenFuture {
    asked: Pin<Box<dyn Future<Output = Result<UnbrokenStream, ProviderError>> + Send>>,
}

impl UnbrokenFuture {
    pub(super) fn new(
        asked: impl Future<Output = Result<UnbrokenStream, ProviderError>> + Send + 'static,
    ) -> Self {
        Self {
            asked: Box::pin(asked),
        }
    }

    /// Creates a future that fails, of a request that isn't sent.
    pub(super) fn failed(error: ProviderError) -> Self {
        Self::new(std::future::ready(Err(error)))
    }
}

impl Future for UnbrokenFuture {
    type Output = Result<UnbrokenStream, ProviderError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.asked.as_mut().poll(cx)
    }
}

impl fmt::Debug for UnbrokenFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnbrokenFuture").finish_non_exhaustive()
    }
}
