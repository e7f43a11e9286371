use super::{caller::Caller, refusals};
use crate::{
    access::Action,
    chat::{
        ChatEvent, Input, InputAnswer, InputId, InputOutcome, InputRequest, Transcript, has_kind,
    },
    dialect::{GivenAnswers, Problem, Refusal},
    log::{Chunk, Position, SessionId},
    store::{AnswerOutcome, SessionState, StoreError, StoredAnswer},
};

/// The questions of one session, as its log has them, and the answers that it takes.
pub(super) struct SessionQuestions<'a> {
    caller: &'a Caller,
    id: &'a SessionId,
    state: SessionState,
    questions: Transcript,
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
    /// Reads the questions from the log, up to the tail in `state`, and finds the last one of those
    /// that the client knows.
    pub(super) async fn read(
        caller: &'a Caller,
        id: &'a SessionId,
        state: SessionState,
        known: &[InputId],
    ) -> Result<Self, Refusal> {
        let mut questions = Transcript::new();
        let mut last_known = Position::START;
        let mut at = Position::START;
        while at.lsn < state.tail {
            let page = match caller.sessions().page(id, at).await {
                Ok(page) => page,
                Err(error) => return Err(caller.absent(id, Action::Answer, &error).await),
            };
            let Some(last) = page.chunks.last() else {
                break;
            };
            at = Position::tagged(last.last(), last.epoch().tag());
            for record in page.chunks.iter().flat_map(Chunk::records) {
                let Some(event) = input_event(record.bytes) else {
                    continue;
                };
                if let ChatEvent::InputRequest(request) = &event
                    && known.contains(&request.input_id)
                {
                    last_known = Position::tagged(record.lsn, record.epoch.tag());
                }
                questions.push(&event);
            }
        }
        Ok(Self {
            caller,
            id,
            state,
            questions,
            last_known,
        })
    }

    /// Stores an answer, if the session has asked this question. Returns the session's state then.
    pub(super) async fn answer(
        &mut self,
        input: &InputId,
        answer: &InputAnswer,
    ) -> Result<Option<&SessionState>, Refusal> {
        let Some(question) = self.questions.input(input) else {
            return Ok(None);
        };
        self.state = self.take_answer(question, answer).await?;
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

    /// Finds out whether one of these answers was accepted before: a question is resolved by the
    /// action that the answer takes. `None` if not.
    pub(super) fn find_earlier_answer(&self, answers: &GivenAnswers) -> Option<AcceptedAnswers> {
        let repeated = answers.given.iter().any(|(input, answer)| {
            let question = self.questions.input(input);
            let outcome = question.and_then(|question| question.outcome.as_ref());
            outcome == Some(&InputOutcome::from(answer.action))
        });
        repeated.then(|| self.accepted(answers))
    }

    fn accepted(&self, answers: &GivenAnswers) -> AcceptedAnswers {
        let given = answers.given.iter().map(|(input, _)| input);
        let asked = given.filter(|input| self.questions.input(input).is_some());
        AcceptedAnswers {
            after: self.last_known,
            inputs: asked.cloned().collect(),
        }
    }

    async fn take_answer(
        &self,
        question: &Input,
        answer: &InputAnswer,
    ) -> Result<SessionState, Refusal> {
        let content = serde_json::to_vec(answer).map_err(|error| {
            tracing::error!(%error, "an answer can't be stored");
            Refusal::new(Problem::Internal, "the answer can't be stored; change it")
        })?;
        let content = StoredAnswer::new(question.request.input_id.as_str(), content);
        if question.outcome.is_none() && self.state.status.outcome().is_none() {
            self.store_answer(&question.request, answer, content).await
        } else {
            self.match_stored_answer(&content).await
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
        match self.caller.sessions().answer(self.id, content).await {
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
        match self.caller.sessions().answers(self.id).await {
            Ok(answers) if answers.contains(answer) => Ok(self.state.clone()),
            Ok(_) => Err(refusals::not_open()),
            Err(error) => Err(self.absent(&error).await),
        }
    }

    async fn absent(&self, error: &StoreError) -> Refusal {
        self.caller.absent(self.id, Action::Answer, error).await
    }
}

/// Decodes a record if it is an event about questions. Most records aren't, and aren't decoded.
fn input_event(record: &[u8]) -> Option<ChatEvent> {
    const KINDS: [&str; 3] = ["input_request", "input_resolved", "restarted"];
    let is_about_inputs = KINDS.iter().any(|kind| has_kind(record, kind));
    is_about_inputs
        .then(|| serde_json::from_slice(record).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::InputResolved;

    #[test]
    fn events_about_questions_are_recognised_by_the_first_bytes_of_a_record() {
        let id = InputId::random();
        for event in [
            InputRequest::question(id.clone(), "Why?").into(),
            InputResolved::new(id, crate::chat::InputAction::Accept).into(),
            ChatEvent::restarted("again"),
        ] {
            let record = event.to_json();
            assert_eq!(input_event(&record), Some(event));
        }
        let text = ChatEvent::text(r#"{"type":"input_request"}"#);
        assert_eq!(input_event(&text.to_json()), None);
    }
}
