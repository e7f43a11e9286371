use super::{answers::AnswerRequest, caller::Caller, refusals};
use crate::{
    access::{Action, SessionRef},
    dialect::{Intent, Problem, Refusal, SessionNaming, Subject, Target},
    log::{ChatId, SessionId},
    store::SessionState,
};

/// The policy's permission for a request, given before its body is decoded.
pub(super) enum Permission {
    /// To start a session.
    Start {
        /// The id that the policy was asked about: the client's, or a new one.
        id: SessionId,
        is_named: bool,
        chat: Option<ChatId>,
    },
    /// To answer a question of these sessions.
    Answer {
        target: Target,
        sessions: Vec<(SessionId, SessionState)>,
    },
    /// None yet: the policy is asked once the session is found.
    Later,
}

impl Permission {
    /// Asks the policy about the subject of a request.
    ///
    /// # Errors
    ///
    /// [`Problem::Forbidden`] for a start, and what stands for an absent session for an answer.
    pub(super) async fn ask(caller: &Caller, subject: Subject) -> Result<Self, Refusal> {
        match subject {
            Subject::Start { session, chat } => Self::ask_to_start(caller, session, chat).await,
            Subject::Answer(target) => {
                let sessions = AnswerRequest::new(caller).sessions(&target).await?;
                Ok(Self::Answer { target, sessions })
            }
            Subject::Known(_) => Ok(Self::Later),
        }
    }

    /// Asks the policy about an intent that needed no body.
    pub(super) async fn ask_about(caller: &Caller, intent: &Intent) -> Result<Self, Refusal> {
        let subject = match intent {
            Intent::Start(start) => Subject::Start {
                session: match &start.naming {
                    SessionNaming::Client(id) => Some(id.clone()),
                    _ => None,
                },
                chat: start.chat.clone(),
            },
            Intent::Answer { session, .. } => Subject::Answer(session.clone()),
            _ => return Ok(Self::Later),
        };
        Self::ask(caller, subject).await
    }

    async fn ask_to_start(
        caller: &Caller,
        session: Option<SessionId>,
        chat: Option<ChatId>,
    ) -> Result<Self, Refusal> {
        let is_named = session.is_some();
        let id = session.unwrap_or_else(SessionId::random);
        let asked = SessionRef::new(&id, caller.owner.as_ref(), chat.as_ref());
        if caller.is_allowed(Action::Start, Some(asked)).await {
            return Ok(Self::Start { id, is_named, chat });
        }
        Err(refusals::forbidden(
            "you may not start a session here; sign in, or ask the operator of this server",
        ))
    }

    /// Checks that a decoded intent is what the policy was asked about.
    ///
    /// # Errors
    ///
    /// [`Problem::Internal`], since the dialect contradicts itself.
    pub(super) fn check(&self, intent: &Intent) -> Result<(), Refusal> {
        let fits = match (self, intent) {
            (Self::Start { id, is_named, chat }, Intent::Start(start)) => {
                let same_id = match &start.naming {
                    SessionNaming::Client(named) => *is_named && named == id,
                    _ => !is_named,
                };
                same_id && start.chat == *chat
            }
            (Self::Answer { target, .. }, Intent::Answer { session, .. }) => target == session,
            _ => false,
        };
        if fits { Ok(()) } else { Err(contradiction()) }
    }
}

/// Makes the refusal for a dialect whose intent is another one than its subject.
pub(super) fn contradiction() -> Refusal {
    tracing::error!("the dialect decodes another intent than its subject");
    Refusal::new(
        Problem::Internal,
        "the server is misconfigured; tell its operator",
    )
}
