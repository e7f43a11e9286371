use super::{Encoder, RequestContext};
use crate::{
    chat::InputId,
    log::{ChatId, Chunk, Lsn, Position, SessionId, Status},
    session::Limits,
    store::Listing,
};

/// What came of a request that was granted.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResponseData<'a> {
    /// The session's stream follows, in this encoder's bytes.
    Stream {
        /// The session.
        session: SessionView<'a>,
        /// What will write the body.
        encoder: &'a dyn Encoder,
        /// After which record it begins.
        after: Position,
        /// Whether this request is the one that started it.
        started: bool,
        /// The questions of the session that this request has answered: it may have been
        /// [one that does](super::Start::answers).
        answered: &'a [InputId],
    },
    /// The cursor is the terminal event: nothing follows, now or later.
    AtEnd {
        /// The session.
        session: SessionView<'a>,
        /// Where it ends.
        at: Position,
        /// What would have written the stream.
        encoder: &'a dyn Encoder,
    },
    /// Nothing of the conversation runs.
    Idle,
    /// The session is there, and the client didn't want its stream.
    Document {
        /// The session.
        session: SessionView<'a>,
        /// Whether this request is the one that started it.
        started: bool,
    },
    /// A page of the session.
    Page {
        /// The session.
        session: SessionView<'a>,
        /// What stands before them, if the [page](super::Page) folds.
        known: &'a [Chunk],
        /// Its records, in order, without a gap; maybe none.
        records: &'a [Chunk],
        /// Where the next page goes on.
        next: Position,
        /// What the dialect wanted to see again.
        context: &'a RequestContext,
    },
    /// The session with its whole log: up to the terminal event, where that was waited for.
    FullLog {
        /// The session.
        session: SessionView<'a>,
        /// Its records, in order, without a gap. [`transcript`](super::transcript) folds them.
        records: &'a [Chunk],
        /// Whether this request is the one that started it.
        started: bool,
    },
    /// The wish to stop the session is stored.
    Aborted {
        /// The session.
        session: SessionView<'a>,
        /// Whether it had ended before.
        already: bool,
        /// Its records, if the request wanted them.
        records: Option<&'a [Chunk]>,
    },
    /// What somebody answered is stored for the session.
    Answered {
        /// The session.
        session: SessionView<'a>,
        /// The question.
        input: &'a InputId,
    },
    /// The session is forgotten.
    Deleted {
        /// Which one it was.
        id: &'a SessionId,
    },
    /// Sessions of the caller.
    Listed(&'a Listing),
    /// What may be asked, as in the header `Allow`.
    Options {
        /// The methods.
        allow: &'static str,
    },
}

/// A session, as far as a response's head speaks of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SessionView<'a> {
    /// Its id.
    pub id: &'a SessionId,
    /// The conversation that it belongs to.
    pub chat: Option<&'a ChatId>,
    /// How it stands.
    pub status: Status,
    /// Its last LSN.
    pub tail: Lsn,
    /// The most bytes that one event may have.
    pub event_bytes: usize,
    /// The path under which the service is mounted, where it is known; without a slash at its end.
    pub mount: Option<&'a str>,
}

impl<'a> SessionView<'a> {
    /// A session of no conversation, mounted nobody knows where.
    pub fn new(id: &'a SessionId, status: Status, tail: Lsn) -> Self {
        Self {
            id,
            chat: None,
            status,
            tail,
            event_bytes: Limits::default().event_bytes,
            mount: None,
        }
    }

    /// The same, of this conversation.
    pub fn chat(mut self, chat: Option<&'a ChatId>) -> Self {
        self.chat = chat;
        self
    }

    /// The same, whose events may have as many bytes.
    pub fn event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// The same, mounted there.
    pub fn mount(mut self, mount: Option<&'a str>) -> Self {
        self.mount = mount;
        self
    }
}
