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

use super::{
    Decode,
    call_reports::CallReports,
    failure::{self, InPlaceOfStream},
    opening::{Opened, Opening},
    retries::Failure,
};
use crate::chat::{ChatEvent, ProviderError};

// The usage, and the end of the body, follow the finish reason at once or never.
const LINGER: Duration = Duration::from_secs(1);

/// The stream of a provider over HTTP.
///
/// Dropping it closes the connection to the server, unless the answer has ended.
pub struct AnswerStream {
    // `None` once there is nothing more to read.
    body: Option<reqwest::Body>,
    // `None` once it is clear that the body is a stream.
    opening: Option<Opening>,
    decoder: Box<dyn Decode>,
    ready: VecDeque<ChatEvent>,
    // Returned once `ready` is empty.
    failure: Option<Failure>,
    reports: CallReports,
    idle_timeout: Duration,
    silence: Pin<Box<Sleep>>,
    // The time of the silence starts when there is first nothing to read.
    silent: bool,
    // When reading ends, once the answer is whole.
    linger: Option<Instant>,
    // There was nothing to read since.
    lingering: bool,
    // What the body seems to be if no event comes of it.
    other: Option<InPlaceOfStream>,
}

impl AnswerStream {
    pub(super) fn new(
        body: reqwest::Body,
        opening: Opening,
        decoder: Box<dyn Decode>,
        reports: CallReports,
        idle_timeout: Duration,
    ) -> Self {
        Self::of(Some((body, opening)), decoder, reports, idle_timeout)
    }

    fn of(
        answered: Option<(reqwest::Body, Opening)>,
        decoder: Box<dyn Decode>,
        reports: CallReports,
        idle_timeout: Duration,
    ) -> Self {
        let (body, opening) = answered.unzip();
        Self {
            body,
            opening,
            decoder,
            ready: VecDeque::new(),
            failure: None,
            reports,
            idle_timeout,
            silence: Box::pin(sleep_until(Instant::now() + idle_timeout)),
            silent: true,
            linger: None,
            lingering: false,
            other: None,
        }
    }

    /// Creates the stream of an answer that was read whole, as the bytes of a stream.
    #[cfg(feature = "openai-responses-upstream")]
    pub(super) fn whole(
        bytes: &[u8],
        decoder: Box<dyn Decode>,
        reports: CallReports,
        idle_timeout: Duration,
    ) -> Self {
        let mut this = Self::of(None, decoder, reports, idle_timeout);
        this.take_whole(bytes);
        this
    }

    /// Waits for the first event, or for a failure before it.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        poll_fn(|cx| self.poll_fill(cx)).await;
        let Some(failure) = self.failure.take_if(|_| self.ready.is_empty()) else {
            self.other = None;
            return Ok(());
        };
        let mut failure = match self.other {
            // Neither the server nor the connection says more.
            Some(other) if failure::is_vague(&failure.error) => {
                Failure::last(failure::no_stream(other))
            }
            _ => failure,
        };
        failure.error = self.with_usage(failure.error);
        Err(failure)
    }

    /// Returns true if all events of the bytes so far are passed on.
    #[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
    pub(crate) fn is_drained(&self) -> bool {
        self.ready.is_empty()
    }

    // Ready when there is an event, or when nothing more will be read.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.ready.is_empty() {
            let Some(body) = &mut self.body else {
                return Poll::Ready(());
            };
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        self.silent = false;
                        self.reports.liveness.heard();
                        self.take(&data);
                    }
                }
                Poll::Ready(Some(Err(error))) if error.is_timeout() => {
                    self.end(|_| failure::timed_out());
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
        let Some(opening) = &mut self.opening else {
            return self.decode(data);
        };
        match opening.push(data) {
            Opened::Undecided => {}
            Opened::Stream(data) => {
                self.other = opening.other_than_stream();
                self.opening = None;
                self.decode(&data);
            }
            Opened::Whole(data) => self.take_whole(&data),
            Opened::Refused(error) => self.fail(Failure::last(error)),
        }
    }

    fn decode(&mut self, data: &[u8]) {
        let pushed = self.push(data);
        if let Err(error) = pushed {
            let about_the_request = failure::is_about_the_request(&error);
            return self.fail(Failure {
                error,
                retry: about_the_request.then_some(false),
            });
        }
        let over = self.linger.is_some_and(|until| Instant::now() >= until);
        if over || self.decoder.is_done() {
            self.end(|cut| cut);
        } else if self.linger.is_none() && self.decoder.is_finished() {
            self.linger = Some(Instant::now() + LINGER);
            self.silent = false;
        }
    }

    fn push(&mut self, data: &[u8]) -> Result<(), ProviderError> {
        let pushed = self.decoder.push(data, &mut self.ready);
        if let Some(usage) = self.decoder.usage() {
            self.reports.turn_usage.report(&usage);
        }
        pushed.map(drop)
    }

    fn with_usage(&self, error: ProviderError) -> ProviderError {
        match self.decoder.usage() {
            Some(usage) => error.with_usage(usage),
            None => error,
        }
    }

    // Ends reading with an answer that is no stream.
    fn take_whole(&mut self, data: &[u8]) {
        self.opening = None;
        self.body = None;
        let pushed = self.push(data);
        let ended = pushed.and_then(|()| self.decoder.end(&mut self.ready));
        self.failure = ended.err().map(Failure::last);
    }

    fn fail(&mut self, failure: Failure) {
        self.body = None;
        self.failure = Some(failure);
    }

    // Ends reading; `why` completes the error of an answer that isn't whole.
    fn end(&mut self, why: impl FnOnce(ProviderError) -> ProviderError) {
        self.body = None;
        if let Some(mut opening) = self.opening.take() {
            match opening.end() {
                Opened::Undecided => return self.fail(Failure::last(why(ProviderError::cut()))),
                Opened::Stream(data) => {
                    self.other = opening.other_than_stream();
                    if let Err(error) = self.push(&data) {
                        return self.fail(error.into());
                    }
                }
                Opened::Whole(data) => return self.take_whole(&data),
                Opened::Refused(error) => return self.fail(Failure::last(error)),
            }
        }
        let ended = self.decoder.end(&mut self.ready);
        self.failure = ended.map_err(why).err().map(Failure::from);
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.silent {
            self.silent = true;
            let now = Instant::now();
            // A reader that was slow meanwhile doesn't shorten the wait.
            if self.linger.is_some() && !self.lingering {
                self.lingering = true;
                self.linger = Some(now + LINGER);
            }
            let deadline = self.linger.unwrap_or(now + self.idle_timeout);
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
        let failure = || {
            let error = self.failure.take()?.error;
            Some(Err(self.with_usage(error)))
        };
        Poll::Ready(event.or_else(failure))
    }
}

impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream")
            .field("ended", &self.body.is_none())
            .finish_non_exhaustive()
    }
}
