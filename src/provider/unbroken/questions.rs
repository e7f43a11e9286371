use std::{
    pin::Pin,
    task::{Context, Poll},
};

use super::run::InnerRun;
use crate::chat::{ChatEvent, InputId, Inputs, ProviderError};

type Relayed = Pin<Box<dyn Future<Output = Result<(), ProviderError>> + Send>>;

/// The questions that the other server has asked. Their answers, which clients give to this server, are passed on.
pub(super) struct RelayedQuestions {
    inputs: Inputs,
    open: Vec<RelayedQuestion>,
    /// Those that are closed here, since they have an outcome there.
    closing: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

struct RelayedQuestion {
    id: InputId,
    /// `None` once the answer is passed on.
    answer: Option<Relayed>,
}

impl RelayedQuestions {
    pub(super) fn new(inputs: Inputs) -> Self {
        Self {
            inputs,
            open: Vec::new(),
            closing: Vec::new(),
        }
    }

    /// Returns the ids of the open ones.
    pub(super) fn ids(&self) -> Vec<InputId> {
        self.open
            .iter()
            .map(|question| question.id.clone())
            .collect()
    }

    /// Takes an event of the other server's log.
    pub(super) fn take(&mut self, event: &ChatEvent, run: &InnerRun) {
        match event {
            ChatEvent::InputRequest(asked) => self.ask(asked.input_id.clone(), run),
            ChatEvent::InputResolved(resolved) => {
                let Some(at) = self.open.iter().position(|it| it.id == resolved.input_id) else {
                    return;
                };
                let question = self.open.remove(at);
                if question.answer.is_some() {
                    // Nobody can answer it any more.
                    let inputs = self.inputs.clone();
                    self.closing.push(Box::pin(async move {
                        inputs.close(&question.id).await;
                    }));
                }
            }
            _ => {}
        }
    }

    /// Waits for the answer to a question, which was asked.
    pub(super) fn ask(&mut self, id: InputId, run: &InnerRun) {
        if self.open.iter().any(|question| question.id == id) {
            return;
        }
        let (inputs, run, asked) = (self.inputs.clone(), run.clone(), id.clone());
        let answer: Relayed = Box::pin(async move {
            // Without an answer the question is closed, or the session is over.
            let Some(answer) = inputs.answer(&asked).await else {
                return Ok(());
            };
            let body = serde_json::to_vec(&answer).map_err(|error| {
                ProviderError::new("the answer to a question can't be written").with_source(error)
            })?;
            run.answer_question(asked.as_str(), body.into()).await
        });
        self.open.push(RelayedQuestion {
            id,
            answer: Some(answer),
        });
    }

    /// Passes answers on. Returns the failure of one that can't be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Option<ProviderError> {
        self.closing
            .retain_mut(|closing| closing.as_mut().poll(cx).is_pending());
        for question in &mut self.open {
            let Some(answer) = &mut question.answer else {
                continue;
            };
            if let Poll::Ready(passed_on) = answer.as_mut().poll(cx) {
                question.answer = None;
                if let Err(error) = passed_on {
                    return Some(error);
                }
            }
        }
        None
    }
}
