use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use super::{
    position::StreamPosition,
    run::{BackgroundRun, ReadOnFailure},
};
use crate::{
    chat::{ChatEvent, LoggedTail, ProviderError},
    provider::http::{AnswerStream, is_of_the_connection},
};

/// The events between two positions, which cost as much as several of them. A server that reads on leaves out what
/// the log has after the last one, so that more of them save only reading.
const PLACED_EVERY: usize = 64;

/// The stream of a [`ResponsesUpstream`](super::ResponsesUpstream).
///
/// Dropping it closes the connection to the server, and cancels a response that runs in the background, unless
/// the answer has ended or may go on elsewhere.
pub struct ResponsesStream {
    state: ResponsesStreamState,
    background: Option<Background>,
}

enum ResponsesStreamState {
    Reading(Box<AnswerStream>),
    Reconnecting(Pin<Box<dyn Future<Output = Result<AnswerStream, ReadOnFailure>> + Send>>),
    Over,
}

struct Background {
    run: CancelOnDrop,
    /// The events since the last position.
    unplaced: usize,
    placed: Option<StreamPosition>,
    logged: LoggedTail,
}

/// A run that is cancelled when it is dropped, unless it may go on elsewhere.
pub(super) struct CancelOnDrop {
    run: BackgroundRun,
}

impl CancelOnDrop {
    pub(super) fn new(run: BackgroundRun) -> Self {
        Self { run }
    }

    /// Cancels it now, unless it has ended.
    pub(super) fn cancel(&self) {
        self.run.cancel();
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if !self.run.reports.liveness.may_go_on() {
            self.run.cancel();
        }
    }
}

impl ResponsesStream {
    /// Creates the stream of a response that lives as long as its connection.
    pub(super) fn new(answer: AnswerStream) -> Self {
        Self {
            state: ResponsesStreamState::Reading(Box::new(answer)),
            background: None,
        }
    }

    /// Cancels a response that runs in the background, unless it has ended.
    pub(super) fn cancel(&self) {
        if let Some(background) = &self.background {
            background.run.run.cancel();
        }
    }

    /// Creates the stream of a response that runs in the background. Events that are `logged` are left out.
    pub(super) fn in_background(
        answer: AnswerStream,
        run: CancelOnDrop,
        logged: LoggedTail,
    ) -> Self {
        Self {
            state: ResponsesStreamState::Reading(Box::new(answer)),
            background: Some(Background {
                run,
                unplaced: 0,
                placed: None,
                logged,
            }),
        }
    }
}

impl Background {
    /// Returns the event with the position, if enough events came since the last one.
    fn position(&mut self) -> Option<ChatEvent> {
        if self.unplaced < PLACED_EVERY {
            return None;
        }
        let position = self.run.run.turn.lock().position()?;
        self.unplaced = 0;
        if self.placed.as_ref() == Some(&position) {
            return None;
        }
        let event = position.event().into();
        self.placed = Some(position);
        Some(event)
    }
}

impl Stream for ResponsesStream {
    type Item = Result<ChatEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { state, background } = &mut *self;
        loop {
            let failure = match state {
                ResponsesStreamState::Over => return Poll::Ready(None),
                ResponsesStreamState::Reading(answer) => {
                    let Some(background) = background.as_mut() else {
                        return Pin::new(answer).poll_next(cx);
                    };
                    if answer.is_drained()
                        && let Some(position) = background.position()
                    {
                        return Poll::Ready(Some(Ok(position)));
                    }
                    match Pin::new(answer).poll_next(cx) {
                        Poll::Ready(Some(Ok(mut event))) => {
                            if background.logged.holds(&mut event) {
                                continue;
                            }
                            background.unplaced += 1;
                            return Poll::Ready(Some(Ok(event)));
                        }
                        Poll::Ready(Some(Err(failure))) => failure,
                        Poll::Ready(None) => {
                            *state = ResponsesStreamState::Over;
                            continue;
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
                ResponsesStreamState::Reconnecting(future) => {
                    match ready!(future.as_mut().poll(cx)) {
                        Ok(answer) => {
                            *state = ResponsesStreamState::Reading(Box::new(answer));
                            continue;
                        }
                        Err(ReadOnFailure::Gone(error)) => {
                            *state = ResponsesStreamState::Over;
                            let error = ProviderError::cut().with_source(error);
                            return Poll::Ready(Some(Err(error)));
                        }
                        Err(ReadOnFailure::Failed(error)) => {
                            *state = ResponsesStreamState::Over;
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
            };
            let background = background.as_mut().expect("only such a stream comes here");
            let run = &background.run.run;
            let goes_on = {
                let turn = run.turn.lock();
                turn.running().is_some() && turn.cursor().is_some()
            };
            if !is_of_the_connection(&failure) || !goes_on {
                // Nobody reads on after an error.
                run.cancel();
                *state = ResponsesStreamState::Over;
                return Poll::Ready(Some(Err(failure)));
            }
            tracing::debug!(error = ?failure, "the connection to the model's server is lost");
            let run = run.clone();
            *state = ResponsesStreamState::Reconnecting(Box::pin(run.read_on(Some(failure))));
        }
    }
}

impl fmt::Debug for ResponsesStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            ResponsesStreamState::Reading(_) => "reading",
            ResponsesStreamState::Reconnecting(_) => "reconnecting",
            ResponsesStreamState::Over => "over",
        };
        f.debug_struct("ResponsesStream")
            .field("state", &state)
            .field("background", &self.background.is_some())
            .finish_non_exhaustive()
    }
}
