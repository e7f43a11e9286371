use super::{
    caller::Caller,
    lookup::Lookup,
    questions::{AcceptedAnswers, SessionQuestions},
};
use crate::{
    access::Action,
    chat::{InputAnswer, InputId},
    dialect::{GivenAnswers, Problem, Refusal, Target},
    log::{ChatId, SessionId},
    session::Session,
    store::SessionState,
};

/// A request that answers questions of sessions, on whichever server they run.
#[derive(Clone, Copy)]
pub(super) struct AnswerRequest<'a> {
    caller: &'a Caller,
}

impl<'a> AnswerRequest<'a> {
    pub(super) const fn new(caller: &'a Caller) -> Self {
        Self { caller }
    }

    /// Returns the sessions that a target may name and whose questions the caller may answer.
    ///
    /// # Errors
    ///
    /// Refused if there is none.
    pub(super) async fn sessions(
        self,
        target: &Target,
    ) -> Result<Vec<(SessionId, SessionState)>, Refusal> {
        let mut sessions = Vec::new();
        for id in Lookup::new(self.caller).candidates(target).await? {
            match self.caller.state(&id, Action::Answer).await {
                Ok(state) => sessions.push((id, state)),
                // A list may lag, and a chat's name may look like a session id.
                Err(refusal)
                    if matches!(target, Target::Chat(_) | Target::IdOrChat(..))
                        && is_absent(&refusal) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        if sessions.is_empty() {
            return Err(no_such_input());
        }
        Ok(sessions)
    }

    /// Answers one question of these sessions. Returns the one that asked it, with its state.
    pub(super) async fn answer(
        self,
        sessions: Vec<(SessionId, SessionState)>,
        input: &InputId,
        answer: &InputAnswer,
    ) -> Result<(SessionId, SessionState), Refusal> {
        for (id, state) in sessions {
            let answered = SessionQuestions::answer_one(self.caller, &id, state, input, answer);
            if let Some(state) = answered.await? {
                return Ok((id, state));
            }
        }
        Err(no_such_input())
    }

    /// Gives answers to the session that asked: one of the chat, or the one that the client names.
    ///
    /// A session that runs takes the answers. A session that has ended is found if it took them
    /// before: the response was lost then, and the request is a repetition. `None` if no session has
    /// asked any of the questions.
    ///
    /// # Errors
    ///
    /// Refused with [`Problem::InputAnswered`] if the questions were decided otherwise, or were not decided
    /// before the session ended.
    pub(super) async fn answer_any(
        self,
        chat: Option<&ChatId>,
        answers: &GivenAnswers,
    ) -> Result<Option<(Session, AcceptedAnswers)>, Refusal> {
        let lookup = Lookup::new(self.caller);
        let (mut running, mut ended) = (Vec::new(), Vec::new());
        if let Some(chat) = chat {
            let found = lookup.of_chat(chat).await?;
            running.extend(found.running.into_iter().map(|it| it.id));
            ended.extend(found.ended.into_iter().map(|it| it.id));
        }
        if let Some(id) = &answers.session
            && !running.contains(id)
            && !ended.contains(id)
        {
            match self.caller.state(id, Action::Answer).await {
                Ok(state) if state.status.outcome().is_some() => ended.push(id.clone()),
                Ok(_) => running.push(id.clone()),
                Err(refusal) if is_absent(&refusal) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        for id in running {
            let state = self.caller.state(&id, Action::Answer).await?;
            let questions = SessionQuestions::find(self.caller, &id, state, &answers.known).await?;
            if let Some(accepted) = questions.answer_all(answers).await? {
                let session = self.caller.attach(&id, Action::Read).await?;
                return Ok(Some((session, accepted)));
            }
        }
        for id in ended {
            let state = match self.caller.state(&id, Action::Answer).await {
                Ok(state) => state,
                // A list may lag.
                Err(refusal) if is_absent(&refusal) => continue,
                Err(refusal) => return Err(refusal),
            };
            let questions = SessionQuestions::find(self.caller, &id, state, &answers.known).await?;
            if let Some(accepted) = questions.find_earlier_answer(answers)? {
                let session = self.caller.attach(&id, Action::Read).await?;
                return Ok(Some((session, accepted)));
            }
        }
        Ok(None)
    }
}

fn no_such_input() -> Refusal {
    Refusal::new(
        Problem::NoSuchInput,
        "no question is open under this id; take `inputId` from an `input_request` event of the \
         session",
    )
}

fn is_absent(refusal: &Refusal) -> bool {
    matches!(refusal.problem, Problem::NotFound | Problem::Gone)
}
