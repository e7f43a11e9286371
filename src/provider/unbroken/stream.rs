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
    /// True of an answer that another server of ours began, until something of it is passed on here.
    may_decline: bool,
}

enum UnbrokenStreamState {
    Reading(Box<AnswerStream>),
    Reconnecting(Pin<Box<dyn Future<Output = Result<AnswerStream, InnerReadFailure>> + Send>>),
    Over,
}

impl UnbrokenStream {
    /// Creates the stream of an answer.
    pub(super) fn new(
        answer: AnswerStream,
        run: StopInnerOnDrop,
        questions: RelayedQuestions,
    ) -> Self {
        let state = UnbrokenStreamState::Reading(Box::new(answer));
        Self {
            state,
            run,
            questions,
            unplaced: 0,
            placed: None,
            logged: LoggedTail::default(),
            may_decline: false,
        }
    }

    /// Creates the stream of an answer that another server of ours began. Events that are `logged` are left out.
    pub(super) fn after_takeover(
        run: StopInnerOnDrop,
        questions: RelayedQuestions,
        logged: LoggedTail,
    ) -> Self {
        let read = run.run.clone().read_on(None);
        Self {
            state: UnbrokenStreamState::Reconnecting(Box::pin(read)),
            run,
            questions,
            unplaced: 0,
            placed: None,
            logged,
            may_decline: true,
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

    fn fail(
        &mut self,
        failure: InnerReadFailure,
    ) -> Poll<Option<Result<ChatEvent, ProviderError>>> {
        self.state = UnbrokenStreamState::Over;
        let run = &self.run.run;
        let error = if self.may_decline {
            run.decline(failure)
        } else {
            run.give_up(failure)
        };
        Poll::Ready(Some(Err(error)))
    }

    fn pass(&mut self, event: ChatEvent) -> Poll<Option<Result<ChatEvent, ProviderError>>> {
        self.may_decline = false;
        Poll::Ready(Some(Ok(event)))
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
                return this.fail(InnerReadFailure::Failed(error));
            }
            if let UnbrokenStreamState::Reading(answer) = &this.state
                && answer.is_drained()
                && let Some(position) = this.position()
            {
                return this.pass(position);
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
                            return this.pass(event);
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
                        Err(failure) => return this.fail(failure),
                    }
                }
            };
            let run = &this.run.run;
            if run.answer.lock().has_ended() || !is_of_the_connection(&failure) {
                return this.fail(InnerReadFailure::Failed(failure));
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
