use std::time::Duration;

use super::Encoder;
use crate::{
    chat::ChatRequest,
    session::{ChatId, Position, SessionId},
    store::StatusFilter,
};

/// What a request's head came to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Route {
    /// It says everything.
    Known(Intent),
    /// The body is needed too: read it, then call [`Dialect::decode`](super::Dialect::decode).
    Body,
}

/// What a client wants.
#[derive(Debug)]
#[non_exhaustive]
pub enum Intent {
    /// Start a session, or attach to it if it exists with the same request.
    Start(Box<Start>),
    /// Read a session as a stream.
    Read(Read),
    /// Read a session a page at a time.
    Page(Page),
    /// Stop a session.
    Abort {
        /// Which one.
        id: SessionId,
        /// What the terminal event gives as the reason.
        reason: Option<String>,
    },
    /// Stop a session if it runs, then forget it.
    Delete {
        /// Which one.
        id: SessionId,
    },
    /// Name the caller's sessions.
    List(List),
    /// Say what may be asked here. Answered to anybody.
    Options {
        /// The methods, as in the header `Allow`.
        allow: &'static str,
    },
}

/// A session to start.
#[derive(Debug)]
#[non_exhaustive]
pub struct Start {
    /// The client's id for it; one of ours if there is none.
    pub id: Option<SessionId>,
    /// What the provider is asked.
    pub request: ChatRequest,
    /// The conversation that it belongs to.
    pub chat: Option<ChatId>,
    /// How to answer.
    pub answering: Answering,
}

/// How to answer a start.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answering {
    /// By the stream of events.
    Stream(Box<dyn Encoder>),
    /// By a document that names the session, at once.
    Document,
}

/// A session to read as a stream.
#[derive(Debug)]
#[non_exhaustive]
pub struct Read {
    /// Which one.
    pub id: SessionId,
    /// What the client has.
    pub after: Position,
    /// How to write the rest.
    pub encoder: Box<dyn Encoder>,
}

/// A session to read a page of.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// Which one.
    pub id: SessionId,
    /// What the client has.
    pub after: Position,
    /// The most events that the page may have.
    pub limit: usize,
    /// How long to wait for the first event, if there is none yet and some may still come.
    pub wait: Duration,
}

/// Sessions to list. The owner is the caller, always.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct List {
    /// Only this conversation's.
    pub chat: Option<ChatId>,
    /// Only those that stand so.
    pub status: Option<StatusFilter>,
    /// After the page that gave this.
    pub after: Option<String>,
    /// The most that a page has; 0 means the store's own measure.
    pub limit: usize,
}

impl Start {
    /// A session under an id of ours, in the conversation that the request names.
    pub fn new(request: ChatRequest, answering: Answering) -> Self {
        Self {
            id: None,
            chat: request.chat_id.as_deref().map(ChatId::new),
            request,
            answering,
        }
    }

    /// The same, under the client's id if there is one.
    pub fn under(mut self, id: Option<SessionId>) -> Self {
        self.id = id;
        self
    }
}

impl Read {
    /// What comes after a position.
    pub fn new(id: SessionId, after: Position, encoder: Box<dyn Encoder>) -> Self {
        Self { id, after, encoder }
    }
}

impl Page {
    /// Up to `limit` events after a position, without waiting.
    pub fn new(id: SessionId, after: Position, limit: usize) -> Self {
        Self {
            id,
            after,
            limit,
            wait: Duration::ZERO,
        }
    }

    /// The same, but waiting this long for the first one.
    pub fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}
