use super::exchange::{Exchange, Served};
use crate::{
    access::Action,
    chat::{
        ChatEvent, Input, InputAnswer, InputId, InputOutcome, InputRequest, Transcript, has_kind,
    },
    dialect::{self, GivenAnswers, Problem, Refusal, Target},
    log::{Chunk, Lsn, Position, SessionId},
    store::{AnswerOutcome, SessionState, StoreError, StoredAnswer},
};

/// What somebody answered to a session, among other things perhaps.
pub(super) struct AcceptedAnswers {
    /// Where in the log the last question stands that they know of.
    pub(super) after: Position,
    /// Those that the session has asked.
    pub(super) inputs: Vec<InputId>,
}

impl Exchange {
    /// Takes in what somebody answered to a question of a session, wherever it runs.
    pub(super) async fn answer_input(
        &self,
        session: &Target,
        input: &InputId,
        answer: &InputAnswer,
    ) -> Served {
        for id in &self.candidates(session).await? {
            let state = match self.state(id, Action::Answer).await {
                Ok(state) => state,
                // A list may lag, and the name of a conversation may look like an id.
                Err(refusal)
                    if matches!(session, Target::Chat(_) | Target::IdOrChat(..))
                        && matches!(refusal.problem, Problem::NotFound | Problem::Gone) =>
                {
                    continue;
                }
                Err(refusal) => return Err(refusal),
            };
            let (asked, _) = self.asked(id, state.tail, &[]).await?;
            if let Some(asked) = asked.input(input) {
                let state = self.take(id, state, asked, answer).await?;
                return Ok(self.answer(&dialect::ResponseData::Answered {
                    session: self.view_of(id, &state),
                    input,
                }));
            }
        }
        Err(nothing_asked())
    }

    /// Takes in all that somebody answered to questions of a session, if it asked any of them.
    ///
    /// That all come too late is refused; what became of some that do, the session's events say.
    pub(super) async fn answer_all(
        &self,
        id: &SessionId,
        answers: &GivenAnswers,
    ) -> Result<Option<AcceptedAnswers>, Refusal> {
        let mut state = self.state(id, Action::Answer).await?;
        let (asked, known) = self.asked(id, state.tail, &answers.known).await?;
        let (mut any, mut late) = (false, None);
        for (input, answer) in &answers.given {
            let Some(asked) = asked.input(input) else {
                continue;
            };
            match self.take(id, state.clone(), asked, answer).await {
                Ok(now) => {
                    state = now;
                    any = true;
                }
                Err(refusal) if refusal.problem == Problem::InputAnswered => late = Some(refusal),
                Err(refusal) => return Err(refusal),
            }
        }
        match late {
            Some(refusal) if !any => Err(refusal),
            _ => Ok(any.then(|| AcceptedAnswers::new(&asked, answers, known))),
        }
    }

    /// The same of a session that has ended, if it asked any of these questions and was answered so.
    pub(super) async fn was_answered(
        &self,
        id: &SessionId,
        answers: &GivenAnswers,
    ) -> Result<Option<AcceptedAnswers>, Refusal> {
        let state = match self.state(id, Action::Answer).await {
            Ok(state) => state,
            // A list may lag.
            Err(refusal) if matches!(refusal.problem, Problem::NotFound | Problem::Gone) => {
                return Ok(None);
            }
            Err(refusal) => return Err(refusal),
        };
        let (asked, known) = self.asked(id, state.tail, &answers.known).await?;
        let same = answers.given.iter().any(|(input, answer)| {
            let outcome = asked.input(input).and_then(|asked| asked.outcome.as_ref());
            outcome == Some(&InputOutcome::from(answer.action))
        });
        Ok(same.then(|| AcceptedAnswers::new(&asked, answers, known)))
    }

    /// Takes in an answer to what was asked.
    async fn take(
        &self,
        id: &SessionId,
        state: SessionState,
        asked: &Input,
        answer: &InputAnswer,
    ) -> Result<SessionState, Refusal> {
        let content = serde_json::to_vec(answer).map_err(|error| {
            tracing::error!(%error, "an answer can't be stored");
            Refusal::new(Problem::Internal, "the answer can't be stored; change it")
        })?;
        let content = StoredAnswer::new(asked.request.input_id.as_str(), content);
        if asked.outcome.is_none() && state.status.outcome().is_none() {
            self.give(id, &asked.request, answer, content).await
        } else {
            self.given(id, state, &content).await
        }
    }

    /// What was asked, by the log as it was when it had this tail, and where the last of the known
    /// questions stands.
    async fn asked(
        &self,
        id: &SessionId,
        tail: Lsn,
        known: &[InputId],
    ) -> Result<(Transcript, Position), Refusal> {
        let mut transcript = Transcript::new();
        let mut last_known = Position::START;
        let mut at = Position::START;
        while at.lsn < tail {
            let page = match self.config.sessions.page(id, at).await {
                Ok(page) => page,
                Err(error) => return Err(self.absent(id, Action::Answer, &error).await),
            };
            let Some(last) = page.chunks.last() else {
                break;
            };
            at = Position::tagged(last.last(), last.epoch().tag());
            for record in page.chunks.iter().flat_map(Chunk::records) {
                let Some(event) = about_inputs(record.bytes) else {
                    continue;
                };
                if let ChatEvent::InputRequest(request) = &event
                    && known.contains(&request.input_id)
                {
                    last_known = Position::tagged(record.lsn, record.epoch.tag());
                }
                transcript.push(&event);
            }
        }
        Ok((transcript, last_known))
    }

    /// Stores an answer to a question that is open.
    async fn give(
        &self,
        id: &SessionId,
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
        match self.config.sessions.answer(id, content).await {
            Ok(AnswerOutcome::Stored(state)) => Ok(state),
            Ok(AnswerOutcome::Taken) | Err(StoreError::Sealed) => Err(not_open()),
            Err(StoreError::Full) => Err(Refusal::new(
                Problem::BodyTooLarge,
                format!(
                    "a session takes {} answers, of {} bytes together; answer in fewer words",
                    StoredAnswer::MAX_COUNT,
                    StoredAnswer::MAX_BYTES
                ),
            )),
            Err(error) => Err(self.absent(id, Action::Answer, &error).await),
        }
    }

    /// Whether this very answer was given before: then it is repeated, because its response was lost.
    async fn given(
        &self,
        id: &SessionId,
        state: SessionState,
        answer: &StoredAnswer,
    ) -> Result<SessionState, Refusal> {
        match self.config.sessions.answers(id).await {
            Ok(answers) if answers.contains(answer) => Ok(state),
            Ok(_) => Err(not_open()),
            Err(error) => Err(self.absent(id, Action::Answer, &error).await),
        }
    }
}

impl AcceptedAnswers {
    fn new(asked: &Transcript, answers: &GivenAnswers, after: Position) -> Self {
        let given = answers.given.iter().map(|(input, _)| input);
        let asked = given.filter(|input| asked.input(input).is_some());
        Self {
            after,
            inputs: asked.cloned().collect(),
        }
    }
}

/// The event of this record, if it says anything of questions. Most don't, and aren't read.
fn about_inputs(record: &[u8]) -> Option<ChatEvent> {
    const KINDS: [&str; 3] = ["input_request", "input_resolved", "restarted"];
    let about = KINDS.iter().any(|kind| has_kind(record, kind));
    about.then(|| serde_json::from_slice(record).ok()).flatten()
}

fn nothing_asked() -> Refusal {
    Refusal::new(
        Problem::NoSuchInput,
        "nothing was asked under this id; take `inputId` from an `input_request` event of the session",
    )
}

fn not_open() -> Refusal {
    Refusal::new(
        Problem::InputAnswered,
        "the question is no longer open: somebody answered it, it was given up, or the session has \
         ended; the session's events say what came of it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::InputResolved;

    #[test]
    fn what_is_about_questions_is_told_by_how_a_record_begins() {
        let id = InputId::random();
        for event in [
            InputRequest::question(id.clone(), "Why?").into(),
            InputResolved::new(id, crate::chat::InputAction::Accept).into(),
            ChatEvent::restarted("again"),
        ] {
            let record = event.to_json();
            assert_eq!(about_inputs(&record), Some(event));
        }
        let text = ChatEvent::text(r#"{"type":"input_request"}"#);
        assert_eq!(about_inputs(&text.to_json()), None);
    }
}
