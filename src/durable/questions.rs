use std::collections::HashMap;

use super::{caller::Caller, question_index::IndexedQuestion, refusals};
use crate::{
    access::Action,
    chat::{ChatEvent, InputAnswer, InputId, InputOutcome, InputRequest},
    dialect::{GivenAnswers, Problem, Refusal},
    log::{Position, SessionId, Status},
    store::{AnswerOutcome, SessionState, StoreError, StoredAnswer},
};

/// Some questions of one session, as its log has them, and the answers that it takes.
pub(super) struct SessionQuestions<'a> {
    caller: &'a Caller,
    id: &'a SessionId,
    state: SessionState,
    asked: HashMap<InputId, IndexedQuestion>,
    last_known: Position,
}

/// The answers of a request that a session has accepted.
pub(super) struct AcceptedAnswers {
    /// The position of the last question that the client knows.
    pub(super) after: Position,
    /// The answered questions that this session has asked.
    pub(super) inputs: Vec<InputId>,
}

impl<'a> SessionQuestions<'a> {
    /// Finds the questions that the client knows in the log, up to the tail in `state`.
    pub(super) async fn find(
        caller: &'a Caller,
        id: &'a SessionId,
        state: SessionState,
        known: &[InputId],
    ) -> Result<Self, Refusal> {
        let index = &caller.config.questions;
        let asked = index.find(caller.registry(), id, state.tail, known);
        let asked = match asked.await {
            Ok(asked) => asked,
            Err(error) => return Err(caller.absent(id, Action::Answer, &error).await),
        };
        let positions = asked.values().map(|question| question.at);
        Ok(Self {
            last_known: positions.max_by_key(|at| at.lsn).unwrap_or(Position::START),
            caller,
            id,
            state,
            asked,
        })
    }

    /// Stores an answer, if the session has asked this question. Returns the session's state then.
    ///
    /// The log isn't read for a session in which no question is open.
    pub(super) async fn answer_one(
        caller: &'a Caller,
        id: &'a SessionId,
        state: SessionState,
        input: &InputId,
        answer: &InputAnswer,
    ) -> Result<Option<SessionState>, Refusal> {
        if state.status != Status::Streaming {
            let known = std::slice::from_ref(input);
            let mut questions = Self::find(caller, id, state, known).await?;
            return Ok(questions.answer(input, answer).await?.cloned());
        }
        // A question that was closed or answered has an entry under its name.
        let answer = stored(input, answer)?;
        let entries = match caller.registry().answers(id).await {
            Ok(entries) => entries,
            Err(error) => return Err(caller.absent(id, Action::Answer, &error).await),
        };
        match entries.iter().find(|entry| entry.name == answer.name) {
            None => Ok(None),
            Some(entry) if *entry == answer => Ok(Some(state)),
            Some(_) => Err(refusals::not_open()),
        }
    }

    async fn answer(
        &mut self,
        input: &InputId,
        answer: &InputAnswer,
    ) -> Result<Option<&SessionState>, Refusal> {
        let Some(question) = self.asked.get(input) else {
            return Ok(None);
        };
        let content = stored(input, answer)?;
        self.state = if question.outcome.is_none() && self.state.status.outcome().is_none() {
            match question.read(self.caller, self.id).await? {
                ChatEvent::InputRequest(request) => {
                    self.store_answer(&request, answer, content).await?
                }
                _ => return Err(refusals::not_open()),
            }
        } else {
            self.match_stored_answer(&content).await?
        };
        Ok(Some(&self.state))
    }

    /// Stores all answers to questions of the session. `None` if it has asked none of them.
    ///
    /// Refused if all answers come too late. Where only some do, the events of the session tell the
    /// client.
    pub(super) async fn answer_all(
        mut self,
        answers: &GivenAnswers,
    ) -> Result<Option<AcceptedAnswers>, Refusal> {
        let (mut accepted, mut late) = (false, None);
        for (input, answer) in &answers.given {
            match self.answer(input, answer).await {
                Ok(state) => accepted |= state.is_some(),
                Err(refusal) if refusal.problem == Problem::InputAnswered => late = Some(refusal),
                Err(refusal) => return Err(refusal),
            }
        }
        match late {
            Some(refusal) if !accepted => Err(refusal),
            _ => Ok(accepted.then(|| self.accepted(answers))),
        }
    }

    /// Finds out whether one of these answers was accepted before the session ended: a question is
    /// resolved by the action that the answer takes. `None` if the session has asked none of the
    /// questions. Refused if all of them had another outcome.
    pub(super) fn find_earlier_answer(
        &self,
        answers: &GivenAnswers,
    ) -> Result<Option<AcceptedAnswers>, Refusal> {
        let given = answers.given.iter();
        let asked = given.filter_map(|(input, answer)| Some((self.asked.get(input)?, answer)));
        let mut late = None;
        for (question, answer) in asked {
            let outcome = question.outcome.as_ref();
            if outcome == Some(&InputOutcome::from(answer.action)) {
                return Ok(Some(self.accepted(answers)));
            }
            late.get_or_insert_with(|| refusals::decided(outcome));
        }
        late.map_or(Ok(None), Err)
    }

    /// Answers every open question of a session with `cancel`. A question that is answered otherwise
    /// meanwhile keeps that answer.
    pub(super) async fn cancel_open(
        caller: &'a Caller,
        id: &'a SessionId,
        state: SessionState,
    ) -> Result<(), Refusal> {
        let index = &caller.config.questions;
        let open = match index.open(caller.registry(), id, state.tail).await {
            Ok(open) => open,
            Err(error) => return Err(caller.absent(id, Action::Answer, &error).await),
        };
        let mut questions = Self::find(caller, id, state, &open).await?;
        for input in &open {
            match questions.answer(input, &InputAnswer::cancel()).await {
                Err(refusal) if refusal.problem != Problem::InputAnswered => return Err(refusal),
                _ => {}
            }
        }
        Ok(())
    }

    fn accepted(&self, answers: &GivenAnswers) -> AcceptedAnswers {
        let given = answers.given.iter().map(|(input, _)| input);
        let asked = given.filter(|input| self.asked.contains_key(*input));
        AcceptedAnswers {
            after: self.last_known,
            inputs: asked.cloned().collect(),
        }
    }

    /// Stores an answer to an open question.
    async fn store_answer(
        &self,
        request: &InputRequest,
        answer: &InputAnswer,
        content: StoredAnswer,
    ) -> Result<SessionState, Refusal> {
        if let Err(mismatch) = request.check(answer) {
            return Err(Refusal::new(
                Problem::UnfitAnswer,
                format!("`content` doesn't fit the schema of the question: {mismatch}"),
            ));
        }
        match self.caller.registry().answer(self.id, content).await {
            Ok(AnswerOutcome::Stored(state)) => Ok(state),
            Ok(AnswerOutcome::Taken) | Err(StoreError::Sealed) => Err(refusals::not_open()),
            Err(StoreError::Full) => Err(Refusal::new(
                Problem::BodyTooLarge,
                format!(
                    "a session takes {} answers, of {} bytes together; answer in fewer words",
                    StoredAnswer::MAX_COUNT,
                    StoredAnswer::MAX_BYTES
                ),
            )),
            Err(error) => Err(self.absent(&error).await),
        }
    }

    /// Accepts an answer that is stored already: its response was lost, and the client repeats it.
    async fn match_stored_answer(&self, answer: &StoredAnswer) -> Result<SessionState, Refusal> {
        match self.caller.registry().answers(self.id).await {
            Ok(answers) if answers.contains(answer) => Ok(self.state.clone()),
            Ok(_) => Err(refusals::not_open()),
            Err(error) => Err(self.absent(&error).await),
        }
    }

    async fn absent(&self, error: &StoreError) -> Refusal {
        self.caller.absent(self.id, Action::Answer, error).await
    }
}

/// Returns an answer as it is stored.
fn stored(input: &InputId, answer: &InputAnswer) -> Result<StoredAnswer, Refusal> {
    let content = serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an answer can't be stored");
        Refusal::new(Problem::Internal, "the answer can't be stored; change it")
    })?;
    Ok(StoredAnswer::new(input.as_str(), content))
}
