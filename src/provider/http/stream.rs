use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Decode, failure};
use crate::chat::{ChatEvent, ProviderError};

/// The stream of a provider over HTTP.
///
/// Dropping it closes the connection to the server, unless the answer has ended.
pub struct AnswerStream {
    // `None` once there is nothing more to read.
    body: Option<reqwest::Body>,
    decoder: Box<dyn Decode>,
    ready: VecDeque<ChatEvent>,
    // Returned once `ready` is empty.
    failure: Option<ProviderError>,
    idle_timeout: Duration,
    silence: Pin<Box<Sleep>>,
    // The time of the silence starts when there is first nothing to read.
    silent: bool,
}

impl AnswerStream {
    pub(super) fn new(
        response: http::Response<reqwest::Body>,
        decoder: Box<dyn Decode>,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            body: Some(response.into_body()),
            decoder,
            ready: VecDeque::new(),
            failure: None,
            idle_timeout,
            silence: Box::pin(sleep_until(Instant::now() + idle_timeout)),
            silent: true,
        }
    }

    /// Waits for the first event, or for a failure before it.
    pub(super) async fn begin(&mut self) -> Result<(), ProviderError> {
        poll_fn(|cx| self.poll_fill(cx)).await;
        match self.failure.take_if(|_| self.ready.is_empty()) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    // Ready when there is an event, or when nothing more will be read.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ready.is_empty() {
            let Some(body) = &mut self.body else {
                return Poll::Ready(());
            };
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(&data);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.end(|cut| cut.with_source(error.without_url()));
                }
                Poll::Ready(None) => self.end(|cut| cut),
                Poll::Pending => {
                    ready!(self.poll_silence(cx));
                    self.end(|_| failure::timed_out());
                }
            }
        }
        Poll::Ready(())
    }

    fn take(&mut self, data: &[u8]) {
        match self.decoder.push(data, &mut self.ready) {
            Ok(received) => {
                self.silent &= !received;
                if self.decoder.is_done() {
                    self.end(|cut| cut);
                }
            }
            Err(error) => {
                self.body = None;
                self.failure = Some(error);
            }
        }
    }

    // Ends reading; `why` completes the error of an answer that isn't whole.
    fn end(&mut self, why: impl FnOnce(ProviderError) -> ProviderError) {
        self.body = None;
        self.failure = self.decoder.end(&mut self.ready).map_err(why).err();
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.silent {
            self.silent = true;
            let deadline = Instant::now() + self.idle_timeout;
            self.silence.as_mut().reset(deadline);
        }
        self.silence.as_mut().poll(cx)
    }
}

impl Stream for AnswerStream {
    type Item = Result<ChatEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(self.poll_fill(cx));
        let event = self.ready.pop_front().map(Ok);
        Poll::Ready(event.or_else(|| self.failure.take().map(Err)))
    }
}

impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream")
            .field("ended", &self.body.is_none())
            .finish_non_exhaustive()
    }
}
