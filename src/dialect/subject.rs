use super::{Intent, Target};
use crate::log::{ChatId, SessionId};

/// The part of a request's body that the access policy decides by, decoded before the rest.
#[derive(Debug)]
#[non_exhaustive]
pub enum Subject {
    /// The request starts a session.
    Start {
        /// The id of the session, if the client names it.
        session: Option<SessionId>,
        /// The conversation, if the session belongs to one.
        chat: Option<ChatId>,
    },
    /// The request answers a question of this session.
    Answer(Target),
    /// The intent of the request: the rest of the body is not needed.
    Known(Intent),
}
