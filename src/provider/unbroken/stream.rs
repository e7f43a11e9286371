use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use super::{
    position::InnerPosition,
    questions::RelayedQuestions,
    run::{InnerReadFailure, StopInnerOnDrop},
};
use crate::{
    chat::{ChatEvent, LoggedTail, ProviderError},
    provider::http::{AnswerStream, is_of_the_connection},
};

/// The events between two positions. A server that reads on leaves out what the log has after the last one, so that
/// more of them save only reading.
const PLACED_EVERY: usize = 64;

/// The stream of an [`UnbrokenUpstream`](super::UnbrokenUpstream).
///
/// Dropping it closes the connection, and aborts the session at the other server, unless that has ended or the answer
/// may go on elsewhere.
pub struct UnbrokenStream {
    state: UnbrokenStreamState,
    run: StopInnerOnDrop,
    questions: RelayedQuestions,
    /// The events since the last position.
    unplaced: usize,
    placed: Option<InnerPosition>,
    logged: LoggedTail,
}

enum UnbrokenStreamState {
    Reading(Box<AnswerStream>),
    Reconnecting(Pin<Box<dyn Future<Output = Result<AnswerStream, InnerReadFailure>> + Send>>),
    Over,
}

impl UnbrokenStream {
    /// Creates the stream of an answer. Events that are `logged` are left out.
    pub(super) fn new(
        answer: AnswerStream,
        run: StopInnerOnDrop,
        questions: RelayedQuestions,
        logged: LoggedTail,
    ) -> Self {
        Self {
            state: UnbrokenStreamState::Reading(Box::new(answer)),
            run,
            questions,
            unplaced: 0,
            placed: None,
            logged,
        }
    }

    /// Returns the event with the position, if enough events came since the last one.
    fn position(&mut self) -> Option<ChatEvent> {
        if self.unplaced < PLACED_EVERY {
            return None;
        }
        let position = self.run.run.answer.lock().position(self.questions.ids())?;
        self.unplaced = 0;
        if self.placed.as_ref() == Some(&position) {
            return None;
        }
        let event = position.event().into();
        self.placed = Some(position);
        Some(event)
    }

    fn fail(&mut self, error: ProviderError) -> Poll<Option<Result<ChatEvent, ProviderError>>> {
        self.state = UnbrokenStreamState::Over;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for UnbrokenStream {
    type Item = Result<ChatEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if matches!(this.state, UnbrokenStreamState::Over) {
                return Poll::Ready(None);
            }
            if let Some(error) = this.questions.poll(cx) {
                this.run.run.stop();
                return this.fail(error);
            }
            if let UnbrokenStreamState::Reading(answer) = &this.state
                && answer.is_drained()
                && let Some(position) = this.position()
            {
                return Poll::Ready(Some(Ok(position)));
            }
            let failure = match &mut this.state {
                UnbrokenStreamState::Over => return Poll::Ready(None),
                UnbrokenStreamState::Reading(answer) => {
                    match ready!(Pin::new(answer).poll_next(cx)) {
                        Some(Ok(mut event)) => {
                            this.questions.take(&event, &this.run.run);
                            if this.logged.holds(&mut event) {
                                continue;
                            }
                            this.unplaced += 1;
                            return Poll::Ready(Some(Ok(event)));
                        }
                        Some(Err(failure)) => failure,
                        None => {
                            this.state = UnbrokenStreamState::Over;
                            continue;
                        }
                    }
                }
                UnbrokenStreamState::Reconnecting(future) => {
                    match ready!(future.as_mut().poll(cx)) {
                        Ok(answer) => {
                            this.state = UnbrokenStreamState::Reading(Box::new(answer));
                            continue;
                        }
                        Err(InnerReadFailure::Gone(error)) => {
                            return this.fail(ProviderError::cut().with_source(error));
                        }
                        Err(InnerReadFailure::Failed(error)) => {
                            this.run.run.stop();
                            return this.fail(error);
                        }
                    }
                }
            };
            let run = &this.run.run;
            if run.answer.lock().has_ended() || !is_of_the_connection(&failure) {
                // Nobody reads on after an error.
                run.stop();
                return this.fail(failure);
            }
            tracing::debug!(error = ?failure, "the connection to the model's server is lost");
            let read = run.clone().read_on(Some(failure));
            this.state = UnbrokenStreamState::Reconnecting(Box::pin(read));
        }
    }
}

impl fmt::Debug for UnbrokenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            UnbrokenStreamState::Reading(_) => "reading",
            UnbrokenStreamState::Reconnecting(_) => "reconnecting",
            UnbrokenStreamState::Over => "over",
        };
        f.debug_struct("UnbrokenStream")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
