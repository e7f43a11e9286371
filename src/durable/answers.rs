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

    /// Answers one question. Returns the session that asked it, with its state.
    pub(super) async fn answer(
        self,
        target: &Target,
        input: &InputId,
        answer: &InputAnswer,
    ) -> Result<(SessionId, SessionState), Refusal> {
        let lookup = Lookup::new(self.caller);
        for id in lookup.candidates(target).await? {
            let state = match self.caller.state(&id, Action::Answer).await {
                Ok(state) => state,
                // A list may lag, and a chat's name may look like a session id.
                Err(refusal)
                    if matches!(target, Target::Chat(_) | Target::IdOrChat(..))
                        && is_absent(&refusal) =>
                {
                    continue;
                }
                Err(refusal) => return Err(refusal),
            };
            let mut questions = SessionQuestions::read(self.caller, &id, state, &[]).await?;
            let answered = questions.answer(input, answer).await?.cloned();
            if let Some(state) = answered {
                return Ok((id, state));
            }
        }
        Err(Refusal::new(
            Problem::NoSuchInput,
            "no question was asked under this id; take `inputId` from an `input_request` event of the \
             session",
        ))
    }

    /// Gives answers to the session that asked: one of the chat, or the one that the client names.
    ///
    /// A session that runs takes the answers. A session that has ended is found if it took them
    /// before: the response was lost then, and the request is a repetition. `None` if no session has
    /// asked any of the questions.
    pub(super) async fn answer_any(
        self,
        chat: Option<&ChatId>,
        answers: &GivenAnswers,
    ) -> Result<Option<(Session, AcceptedAnswers)>, Refusal> {
        let lookup = Lookup::new(self.caller);
        let (mut running, mut ended) = (Vec::new(), Vec::new());
        if let Some(chat) = chat {
            running.extend(lookup.running(chat).await?.into_iter().map(|it| it.id));
            ended.extend(lookup.ended(chat).await?.into_iter().map(|it| it.id));
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
            let questions = SessionQuestions::read(self.caller, &id, state, &answers.known).await?;
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
            let questions = SessionQuestions::read(self.caller, &id, state, &answers.known).await?;
            if let Some(accepted) = questions.find_earlier_answer(answers) {
                let session = self.caller.attach(&id, Action::Read).await?;
                return Ok(Some((session, accepted)));
            }
        }
        Ok(None)
    }
}

fn is_absent(refusal: &Refusal) -> bool {
    matches!(refusal.problem, Problem::NotFound | Problem::Gone)
}
