use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::script::Ask;
use crate::{
    BoxFuture,
    chat::{
        ChatEvent, ChatRequest, InputAnswer, InputId, InputOutcome, InputRequest, InputResolved,
        Inputs, Transcript,
    },
};

/// Asks one question after the other, and sends the outcome of each.
pub(super) struct AskSequence {
    asks: VecDeque<Ask>,
    // Questions that were asked before another server took the answer over.
    open: Vec<InputId>,
    inputs: Inputs,
    waiting: Option<BoxFuture<'static, Option<InputAnswer>>>,
    // The event after the resolution of the last question.
    comes: Option<ChatEvent>,
}

impl AskSequence {
    pub(super) fn new(asks: Vec<Ask>, request: &ChatRequest) -> Self {
        let so_far = request.so_far.as_deref();
        let known = |ask: &Ask| so_far.and_then(|so_far: &Transcript| so_far.input(&ask.id));
        let is_left = |ask: &Ask| known(ask).is_none_or(|input| input.outcome.is_none());
        Self {
            open: asks
                .iter()
                .filter(|ask| known(ask).is_some())
                .map(|ask| ask.id.clone())
                .collect(),
            asks: asks.into_iter().filter(is_left).collect(),
            inputs: request.inputs.clone(),
            waiting: None,
            comes: None,
        }
    }

    /// Returns the next event; `None` once all questions are done.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChatEvent>> {
        if let Some(event) = self.comes.take() {
            return Poll::Ready(Some(event));
        }
        let Some(ask) = self.asks.front() else {
            return Poll::Ready(None);
        };
        let Some(waiting) = &mut self.waiting else {
            self.waiting = Some(wait(self.inputs.clone(), ask));
            if self.open.contains(&ask.id) {
                return self.poll_next(cx);
            }
            return Poll::Ready(Some(asked(ask).into()));
        };
        let answer = ready!(Pin::new(waiting).poll(cx));
        self.waiting = None;
        let id = ask.id.clone();
        self.asks.pop_front();
        let (outcome, said) = match answer {
            Some(answer) => {
                let said = serde_json::to_string(&answer).unwrap_or_default();
                (InputOutcome::from(answer.action), said)
            }
            None => (InputOutcome::Timeout, "timeout".to_owned()),
        };
        self.comes = Some(ChatEvent::text(said));
        Poll::Ready(Some(InputResolved::new(id, outcome).into()))
    }
}

fn asked(ask: &Ask) -> InputRequest {
    let mut asked = InputRequest::question(ask.id.clone(), &ask.message);
    asked.schema.clone_from(&ask.schema);
    asked.timeout = ask.timeout;
    asked
}

fn wait(inputs: Inputs, ask: &Ask) -> BoxFuture<'static, Option<InputAnswer>> {
    let (id, limit) = (ask.id.clone(), ask.timeout);
    Box::pin(async move {
        match limit {
            Some(limit) => inputs.answer_within(&id, limit).await,
            None => inputs.answer(&id).await,
        }
    })
}
