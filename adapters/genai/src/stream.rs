use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use genai::chat::{ChatStream, ChatStreamEvent};
use tokio::time::{Sleep, sleep};
use unbroken::chat::{ChatEvent, ProviderError, TurnUsage};

use crate::{decode::Decoder, failure, frames::Frames, prefill::PrefillSpace};

// The usage may follow a whole answer. Not all servers end their stream then.
const LINGER: Duration = Duration::from_secs(1);

/// The events of an answer.
///
/// Dropping it closes the connection to the model's server.
pub struct GenAiStream {
    // `None` once the answer is over.
    inner: Option<Pin<Box<ChatStream>>>,
    frames: Frames,
    decoder: Decoder,
    // Runs once the answer is whole.
    linger: Option<Pin<Box<Sleep>>>,
    space: PrefillSpace,
    turn_usage: TurnUsage,
    events: VecDeque<ChatEvent>,
    error: Option<ProviderError>,
}

impl GenAiStream {
    pub(crate) fn new(
        inner: ChatStream,
        frames: Frames,
        decoder: Decoder,
        space: PrefillSpace,
        turn_usage: TurnUsage,
    ) -> Self {
        Self {
            inner: Some(Box::pin(inner)),
            frames,
            decoder,
            linger: None,
            space,
            turn_usage,
            events: VecDeque::new(),
            error: None,
        }
    }

    /// Waits for the first event.
    ///
    /// # Errors
    ///
    /// If the answer fails before it.
    pub(crate) async fn begin(&mut self) -> Result<(), ProviderError> {
        poll_fn(|cx| self.poll_events(cx)).await;
        match self.error.take() {
            Some(error) if self.events.is_empty() => Err(error),
            error => {
                self.error = error;
                Ok(())
            }
        }
    }

    // Ready if there are events, or if nothing more comes.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.events.is_empty()
            && let Some(inner) = &mut self.inner
        {
            let polled = inner.as_mut().poll_next(cx);
            // Before the event: genai reads frames on until one of them is an event.
            let read = self.decode_frames();
            if let Some(usage) = self.decoder.usage() {
                self.turn_usage.report(usage);
            }
            let read = match read {
                Ok(()) if self.decoder.is_done() => self.end(),
                Ok(()) => match polled {
                    Poll::Pending if !self.events.is_empty() => return Poll::Ready(()),
                    Poll::Pending if self.has_lingered(cx) => self.end(),
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(next) => self.take(next),
                },
                Err(error) => Err(error),
            };
            if let Err(error) = read {
                self.inner = None;
                self.error = Some(match self.decoder.usage() {
                    Some(usage) => error.with_usage(usage.clone()),
                    None => error,
                });
            }
        }
        Poll::Ready(())
    }

    fn has_lingered(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.decoder.is_finished() {
            return false;
        }
        let linger = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        linger.as_mut().poll(cx).is_ready()
    }

    fn decode_frames(&mut self) -> Result<(), ProviderError> {
        for frame in self.frames.take() {
            if self.decoder.is_done() {
                break;
            }
            self.decoder.frame(&frame, &mut self.events)?;
        }
        Ok(())
    }

    fn take(&mut self, next: Option<genai::Result<ChatStreamEvent>>) -> Result<(), ProviderError> {
        match next {
            Some(Ok(event)) => {
                self.decoder.event(event, &mut self.events)?;
                if self.decoder.is_done() {
                    return self.end();
                }
                Ok(())
            }
            // A frame that genai doesn't understand; the decoder has read it.
            Some(Err(error)) if self.decoder.reads_frames() && failure::is_of_a_frame(&error) => {
                tracing::debug!("genai doesn't understand a frame of the model's server");
                Ok(())
            }
            Some(Err(error)) => {
                let error = failure::of(error);
                if !self.decoder.is_finished() {
                    return Err(error);
                }
                tracing::warn!(
                    error = &error as &dyn Error,
                    "the model's server failed after its answer"
                );
                self.end()
            }
            None if self.decoder.is_finished() => self.end(),
            None if self.frames.are_no_stream() => Err(failure::no_stream()),
            None => Err(ProviderError::cut()),
        }
    }

    fn end(&mut self) -> Result<(), ProviderError> {
        self.inner = None;
        self.decoder.end(&mut self.events)
    }
}

impl Stream for GenAiStream {
    type Item = Result<ChatEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            ready!(this.poll_events(cx));
            let Some(mut event) = this.events.pop_front() else {
                return Poll::Ready(this.error.take().map(Err));
            };
            if this.space.cut(&mut event) {
                return Poll::Ready(Some(Ok(event)));
            }
        }
    }
}

impl fmt::Debug for GenAiStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenAiStream")
            .field("is_over", &self.inner.is_none())
            .finish_non_exhaustive()
    }
}
