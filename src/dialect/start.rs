use serde_json::{Map, Value};

use super::{Encoder, Recall, SessionKey};
use crate::{
    chat::{ChatRequest, InputAnswer, InputId},
    log::{ChatId, SessionId},
};

/// A request to start a session.
#[derive(Debug)]
#[non_exhaustive]
pub struct Start {
    /// The rule that names the session.
    pub naming: SessionNaming,
    /// The request to the provider.
    pub request: ChatRequest,
    /// The conversation, if the session belongs to one.
    pub chat: Option<ChatId>,
    /// The form of the response.
    pub response_mode: ResponseMode,
    /// The bytes that identify the request: two starts are the same request if these are equal. `None`
    /// for the raw body.
    pub identity: Option<Vec<u8>>,
    /// The rule for another session of the conversation that runs.
    pub concurrency: Concurrency,
    /// Answers to questions of a session of the conversation.
    ///
    /// If a running session asked one of the questions, it gets the answers, and the request reads that
    /// session instead of starting one. If an ended session asked them and got the same answers, the
    /// request is a repetition, and reads that session.
    pub answers: Option<GivenAnswers>,
    /// The session that handed over the calls which the request gives outputs for, if the client names
    /// it; it is searched beside the conversation.
    pub continues: Option<SessionId>,
    /// Facts of the request that the encoders of the session need. They are stored in the first
    /// record, as fields of `session_info`.
    pub notes: Map<String, Value>,
    /// Replacements for the notes of these names, used if all notes together exceed the limit on
    /// events.
    pub lean_notes: Map<String, Value>,
    /// The rest of the decoding, for a layer that keeps the conversation.
    pub recall: Option<Box<dyn Recall>>,
    /// The JSON values that the dialect has counted, with which those of texts that are decoded later are
    /// limited.
    pub(crate) values: usize,
}

/// Answers to questions that arrive in the form of a start, from clients whose protocol has no other
/// way.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct GivenAnswers {
    /// The questions with their answers.
    pub given: Vec<(InputId, InputAnswer)>,
    /// The questions that the client has received, the answered ones included. The stream continues
    /// after the last of them.
    pub known: Vec<InputId>,
    /// The session that asked, if the client names it; it is searched beside the conversation.
    pub session: Option<SessionId>,
}

/// The rule that names a new session.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionNaming {
    /// A generated id.
    Generated,
    /// A generated id with this prefix: at most 32 characters of a session id, the first one
    /// alphanumeric.
    Prefixed(&'static str),
    /// The id that the client made. If it exists with the same request, the start attaches to it.
    Client(SessionId),
    /// The id of a key, for clients that make no ids but repeat their requests.
    Key(SessionKey),
}

/// The form of the response to a start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResponseMode {
    /// The stream of events.
    Stream(Box<dyn Encoder>),
    /// A document that names the session, at once.
    Document,
    /// A document of the log as it is, once it has a record.
    CurrentLog,
    /// A document of the full log, once the session has ended. The only response that waits for the
    /// provider; a client that disconnects meanwhile doesn't abort the session.
    FullLog,
}

/// The rule for another session of the same conversation and owner that runs.
///
/// The check reads the list of the store, which isn't a lock: of two starts at the same moment, both may
/// find nothing and run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Concurrency {
    /// Both sessions run.
    #[default]
    Allow,
    /// The start is refused with [`Problem::ChatBusy`](super::Problem::ChatBusy).
    Refuse,
    /// The running session is aborted, and the new one starts.
    Supersede,
    /// If the running session waits for a person, the new one starts, and what that session asks is
    /// answered with `cancel`: it goes on without. If it doesn't wait, the start is refused with
    /// [`Problem::ChatBusy`](super::Problem::ChatBusy).
    CancelQuestions,
}

impl SessionNaming {
    /// Returns the prefix of the ids that the server makes.
    pub(crate) fn prefix(&self) -> &'static str {
        match self {
            Self::Prefixed(prefix) => prefix,
            Self::Key(key) => key.id_prefix(),
            Self::Generated | Self::Client(_) => "",
        }
    }
}

impl Start {
    /// Creates a start under a generated id, in the conversation that the request names.
    pub fn new(request: ChatRequest, response_mode: ResponseMode) -> Self {
        Self {
            naming: SessionNaming::Generated,
            chat: request.chat_id.clone(),
            request,
            response_mode,
            identity: None,
            concurrency: Concurrency::Allow,
            answers: None,
            continues: None,
            notes: Map::new(),
            lean_notes: Map::new(),
            recall: None,
            values: 0,
        }
    }

    /// Sets the number of JSON values that the request has.
    pub(crate) fn values(mut self, values: usize) -> Self {
        self.values = values;
        self
    }

    /// Uses the id that the client made; with `None`, a generated one.
    pub fn session_id(mut self, id: Option<SessionId>) -> Self {
        self.naming = id.map_or(SessionNaming::Generated, SessionNaming::Client);
        self
    }

    /// Uses a generated id with this prefix.
    pub fn id_prefix(mut self, prefix: &'static str) -> Self {
        self.naming = SessionNaming::Prefixed(prefix);
        self
    }

    /// Uses the id of this key.
    pub fn key(mut self, key: SessionKey) -> Self {
        self.naming = SessionNaming::Key(key);
        self
    }

    /// Sets the bytes that identify the request.
    pub fn identity(mut self, identity: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Sets the rule for another session of the conversation that runs. Default
    /// [`Concurrency::Allow`].
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets answers to questions of a session of the conversation; see the [field](Self::answers).
    pub fn answers(mut self, answers: GivenAnswers) -> Self {
        self.answers = Some(answers);
        self
    }

    /// Sets the session that handed over the calls which the request answers; see the
    /// [field](field@Self::continues).
    pub fn continues(mut self, session: Option<SessionId>) -> Self {
        self.continues = session;
        self
    }

    /// Sets the rest of the decoding, for a layer that keeps the conversation.
    pub fn recall(mut self, recall: impl Recall + 'static) -> Self {
        self.recall = Some(Box::new(recall));
        self
    }

    /// Adds a note to the first record.
    pub fn note(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.notes.insert(name.into(), value.into());
        self
    }

    /// Adds a note to the first record, with a shorter value for the case that all notes together
    /// exceed the limit on events.
    pub fn note_or(
        mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
        shorter: impl Into<Value>,
    ) -> Self {
        let name = name.into();
        self.lean_notes.insert(name.clone(), shorter.into());
        self.note(name, value)
    }
}

impl GivenAnswers {
    /// Creates an empty set of answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a question that the client has received and doesn't answer.
    pub fn known(mut self, input: InputId) -> Self {
        self.known.push(input);
        self
    }

    /// Sets the session that asked.
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Adds an answer to a question.
    pub fn answer(mut self, input: InputId, answer: InputAnswer) -> Self {
        self.known.push(input.clone());
        self.given.push((input, answer));
        self
    }
}
