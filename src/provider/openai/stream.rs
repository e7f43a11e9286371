use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use sse_stream::SseStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    capped::{Capped, TooLong},
    failure,
    service::Config,
    turn::Turn,
};
use crate::chat::{ChatEvent, ProviderError};

/// The answer of [`OpenAi`](super::OpenAi).
///
/// Dropping it closes the connection to the server, unless the answer has come to its end.
pub struct OpenAiStream {
    // Gone when there is nothing more to read.
    events: Option<SseStream<Capped<reqwest::Body>>>,
    turn: Turn,
    ready: VecDeque<ChatEvent>,
    // Told once `ready` is empty.
    failure: Option<ProviderError>,
    idle_timeout: Duration,
    silence: Pin<Box<Sleep>>,
    // The clock of the silence starts when there is first nothing to read.
    silent: bool,
}

impl OpenAiStream {
    pub(super) fn new(response: http::Response<reqwest::Body>, config: &Config) -> Self {
        let body = Capped::new(response.into_body(), config.max_event_bytes);
        Self {
            events: Some(SseStream::new(body)),
            turn: Turn::new(config.max_event_bytes),
            ready: VecDeque::new(),
            failure: None,
            idle_timeout: config.idle_timeout,
            silence: Box::pin(sleep_until(Instant::now() + config.idle_timeout)),
            silent: true,
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.silent {
            self.silent = true;
            let deadline = Instant::now() + self.idle_timeout;
            self.silence.as_mut().reset(deadline);
        }
        self.silence.as_mut().poll(cx)
    }

    // Nothing more will be read; `why` is what to say of it if the answer isn't whole.
    fn end(&mut self, why: impl FnOnce(ProviderError) -> ProviderError) {
        self.events = None;
        self.failure = self.turn.end(&mut self.ready).map_err(why).err();
    }

    fn take(&mut self, data: &str) {
        self.silent = false;
        if let Err(error) = self.turn.take(data, &mut self.ready) {
            self.events = None;
            self.failure = Some(error);
        } else if self.turn.is_done() {
            self.end(|cut| cut);
        }
    }
}

impl Stream for OpenAiStream {
    type Item = Result<ChatEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Some(events) = &mut this.events else {
                return Poll::Ready(this.failure.take().map(Err));
            };
            match Pin::new(events).poll_next(cx) {
                Poll::Ready(Some(Ok(event))) => this.take(&event.data.unwrap_or_default()),
                Poll::Ready(Some(Err(error))) => this.end(|cut| {
                    if is_too_long(&error) {
                        failure::too_long().with_source(error)
                    } else {
                        cut.with_source(error)
                    }
                }),
                Poll::Ready(None) => this.end(|cut| cut),
                Poll::Pending => {
                    ready!(this.poll_silence(cx));
                    this.end(|_| failure::silent());
                }
            }
        }
    }
}

impl fmt::Debug for OpenAiStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiStream")
            .field("ended", &self.events.is_none())
            .finish_non_exhaustive()
    }
}

fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<TooLong>() {
            return true;
        }
        next = error.source();
    }
    false
}
