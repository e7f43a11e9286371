use super::{Encoder, RequestContext};
use crate::{
    chat::InputId,
    log::{ChatId, Chunk, DEFAULT_EVENT_BYTES, Lsn, Position, SessionId, Status},
    store::Listing,
};

/// The data for the response to a granted request.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResponseData<'a> {
    /// The stream of a session. The encoder writes the body.
    Stream {
        /// The session.
        session: SessionView<'a>,
        /// The encoder of the body.
        encoder: &'a dyn Encoder,
        /// The position after which the stream begins.
        after: Position,
        /// True if this request started the session.
        started: bool,
        /// The questions of the session that this request answered by
        /// [`Start::answers`](super::Start::answers).
        answered: &'a [InputId],
    },
    /// The cursor is the terminal event, so no record follows.
    AtEnd {
        /// The session.
        session: SessionView<'a>,
        /// The position of the terminal event.
        at: Position,
        /// The encoder that the stream would have had.
        encoder: &'a dyn Encoder,
    },
    /// No session of the conversation runs.
    Idle,
    /// The session exists, and the client asked for a document and not for the stream.
    Document {
        /// The session.
        session: SessionView<'a>,
        /// True if this request started the session.
        started: bool,
    },
    /// A page of a session.
    Page {
        /// The session.
        session: SessionView<'a>,
        /// The records before the page, if the [request](super::Page::include_known) asked for them.
        known: &'a [Chunk],
        /// The records of the page in order, without a gap; may be empty.
        records: &'a [Chunk],
        /// The position after which the next page begins.
        next: Position,
        /// The data of the dialect from the request.
        context: &'a RequestContext,
    },
    /// The full log of a session: up to the terminal event, if the request waited for it.
    FullLog {
        /// The session.
        session: SessionView<'a>,
        /// The records in order, without a gap. [`transcript`](super::transcript) folds them.
        records: &'a [Chunk],
        /// True if this request started the session.
        started: bool,
    },
    /// The abort of a session is stored, or its server has stopped the provider.
    Aborted {
        /// The session.
        session: SessionView<'a>,
        /// True if the session had ended before.
        already: bool,
        /// The records, if the [request](super::Abort::full_log) asked for them.
        records: Option<&'a [Chunk]>,
    },
    /// The answer to a question is stored.
    Answered {
        /// The session.
        session: SessionView<'a>,
        /// The question.
        input: &'a InputId,
    },
    /// A session is deleted.
    Deleted {
        /// The id that the session had.
        id: &'a SessionId,
    },
    /// A list of sessions of the caller.
    Listed(&'a Listing),
    /// The methods of a path.
    Options {
        /// The methods, as the header `Allow` lists them.
        allow: &'static str,
    },
}

/// The facts about a session that a response head may contain.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SessionView<'a> {
    /// The id.
    pub id: &'a SessionId,
    /// The conversation, if the session belongs to one.
    pub chat: Option<&'a ChatId>,
    /// The status.
    pub status: Status,
    /// The last LSN.
    pub tail: Lsn,
    /// The maximum size of an event, in bytes.
    pub event_bytes: usize,
    /// The path where the service is mounted, if known; without a trailing slash.
    pub mount: Option<&'a str>,
}

impl<'a> SessionView<'a> {
    /// Creates a view without a conversation or a mount path, with the default limit on events.
    pub fn new(id: &'a SessionId, status: Status, tail: Lsn) -> Self {
        Self {
            id,
            chat: None,
            status,
            tail,
            event_bytes: DEFAULT_EVENT_BYTES,
            mount: None,
        }
    }

    /// Sets the conversation.
    pub fn chat(mut self, chat: Option<&'a ChatId>) -> Self {
        self.chat = chat;
        self
    }

    /// Sets the maximum size of an event, in bytes.
    pub fn event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// Sets the mount path.
    pub fn mount(mut self, mount: Option<&'a str>) -> Self {
        self.mount = mount;
        self
    }
}
