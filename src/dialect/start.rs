use serde_json::{Map, Value};

use super::{Encoder, SessionKey};
use crate::{
    chat::{ChatRequest, InputAnswer, InputId},
    log::{ChatId, SessionId},
};

/// A session to start.
#[derive(Debug)]
#[non_exhaustive]
pub struct Start {
    /// What it is called.
    pub naming: SessionNaming,
    /// What the provider is asked.
    pub request: ChatRequest,
    /// The conversation that it belongs to.
    pub chat: Option<ChatId>,
    /// How to answer.
    pub answering: ResponseMode,
    /// What another start must have in common with this one to be the same; the raw body, if it
    /// isn't said.
    pub same: Option<Vec<u8>>,
    /// What becomes of a session of the same conversation that still runs.
    pub rival: Concurrency,
    /// What it says to questions of a session of the same conversation. If one that runs asked any of
    /// them, it is answered, and read on instead; if one that has ended asked them and was answered so,
    /// the request is a repetition, and that session is read.
    pub answers: Option<GivenAnswers>,
    /// Stored in the first record, as fields of `session_info`: what encoders of this session must
    /// know of the request that started it.
    pub notes: Map<String, Value>,
    /// What stands in their place where they are longer than an event may be.
    pub lean_notes: Map<String, Value>,
}

/// GivenAnswers that come with what may as well be a new message, from clients that know no other way.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct GivenAnswers {
    /// What is said to which question.
    pub given: Vec<(InputId, InputAnswer)>,
    /// The questions that the client knows of, those among them. It has what was said up to the last
    /// one, so the stream goes on after that.
    pub known: Vec<InputId>,
    /// The session that the client takes them to be of, if it knows: it is looked at as well.
    pub session: Option<SessionId>,
}

/// What a session is called that is to start.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionNaming {
    /// By an id of ours.
    Ours,
    /// By an id of ours that begins with this: at most 32 of the characters that a session id may
    /// have, the first one alphanumeric.
    Prefixed(&'static str),
    /// By the client's id. If it exists with the same request, the start attaches to it.
    Client(SessionId),
    /// By what a key comes to, for clients that make no ids but repeat their requests.
    Key(SessionKey),
}

/// How to answer a start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResponseMode {
    /// By the stream of events.
    Stream(Box<dyn Encoder>),
    /// By a document that names the session, at once.
    Document,
    /// By a document made of the log so far, once it has a record.
    SoFar,
    /// By a document made of the whole log, once the session has ended. The one answer that waits
    /// for the provider; a client that doesn't wait for it stops nothing.
    Whole,
}

/// What a start does about another session of its conversation, and of its owner, that runs.
///
/// It goes by the store's list, which isn't a lock: of two starts at the same moment both may find
/// nothing, and run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Concurrency {
    /// Lets it run.
    #[default]
    Ignore,
    /// Is refused, with [`Problem::ChatBusy`](super::Problem::ChatBusy).
    Refuse,
    /// Stops it, and starts.
    Supersede,
}

impl Start {
    /// A session under an id of ours, in the conversation that the request names.
    pub fn new(request: ChatRequest, answering: ResponseMode) -> Self {
        Self {
            naming: SessionNaming::Ours,
            chat: request.chat_id.clone(),
            request,
            answering,
            same: None,
            rival: Concurrency::Ignore,
            answers: None,
            notes: Map::new(),
            lean_notes: Map::new(),
        }
    }

    /// The same, under the client's id if there is one.
    pub fn under(mut self, id: Option<SessionId>) -> Self {
        self.naming = id.map_or(SessionNaming::Ours, SessionNaming::Client);
        self
    }

    /// The same, under an id of ours that begins with this.
    pub fn prefixed(mut self, prefix: &'static str) -> Self {
        self.naming = SessionNaming::Prefixed(prefix);
        self
    }

    /// The same, under the id that this key comes to.
    pub fn keyed(mut self, key: SessionKey) -> Self {
        self.naming = SessionNaming::Key(key);
        self
    }

    /// The same, and another start is the same request if this says the same.
    pub fn same_if(mut self, same: impl Into<Vec<u8>>) -> Self {
        self.same = Some(same.into());
        self
    }

    /// The same, with what becomes of another session of the conversation that runs.
    pub fn rival(mut self, rival: Concurrency) -> Self {
        self.rival = rival;
        self
    }

    /// The same, unless a session of the conversation has asked what this answers.
    pub fn answering(mut self, answers: GivenAnswers) -> Self {
        self.answers = Some(answers);
        self
    }

    /// The same, with a note in the first record.
    pub fn note(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.notes.insert(name.into(), value.into());
        self
    }

    /// The same, with a note in the first record, or with less where all of them are longer than an
    /// event may be.
    pub fn note_or(
        mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
        less: impl Into<Value>,
    ) -> Self {
        let name = name.into();
        self.lean_notes.insert(name.clone(), less.into());
        self.note(name, value)
    }
}

impl GivenAnswers {
    /// None, of a client that knows of no question.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, and the client knows of this question.
    pub fn knowing(mut self, input: InputId) -> Self {
        self.known.push(input);
        self
    }

    /// The same, of a client that takes this session to have asked.
    pub fn of(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// The same, with what it says to it.
    pub fn give(mut self, input: InputId, answer: InputAnswer) -> Self {
        self.known.push(input.clone());
        self.given.push((input, answer));
        self
    }
}
