use std::{any::Any, num::NonZeroUsize, sync::Arc, time::Duration};

use super::{Encoder, Start, Target};
use crate::{
    chat::{InputAnswer, InputId},
    log::{ChatId, Position, SessionId},
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
    /// Make a document of a session's whole log, as it stands.
    FullLog(FullLog),
    /// Stop a session.
    Abort(Abort),
    /// Answer what a session asks.
    Answer {
        /// Which one; in a conversation the one that asked, whether it runs or has ended.
        session: Target,
        /// Which question.
        input: InputId,
        /// What is answered.
        answer: InputAnswer,
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

/// A session to read as a stream.
#[derive(Debug)]
#[non_exhaustive]
pub struct Read {
    /// Which one.
    pub session: Target,
    /// What the client has.
    pub after: Position,
    /// Whether the encoder is given the record at `after` too, and where that is the last one the
    /// client is not told that it has had everything: a record may come to several frames, of which
    /// the client has some.
    pub inclusive: bool,
    /// Whether the client wants only what comes from now on; `after` means nothing then.
    pub from_now: bool,
    /// How to write the rest.
    pub encoder: Box<dyn Encoder>,
}

/// A session to read a page of.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// Which one.
    pub session: Target,
    /// What the client has.
    pub after: Position,
    /// Whether the client wants only what comes from now on; `after` means nothing then.
    pub from_now: bool,
    /// The most events that the page may have.
    pub limit: usize,
    /// Whether the answer comes with the records that the client has, too: what the dialect writes
    /// of a record depends on them.
    pub folding: bool,
    /// How long to wait for the first event, if there is none yet and some may still come.
    pub wait: Duration,
    /// What the dialect wants to see again in the answer.
    pub memo: RequestContext,
}

/// What a dialect remembers of a request until it is answered: conditions, a client's cursor as it
/// was written.
pub type RequestContext = Option<Arc<dyn Any + Send + Sync>>;

/// A session to make a document of.
#[derive(Debug)]
#[non_exhaustive]
pub struct FullLog {
    /// Which one.
    pub session: Target,
    /// Whether to wait until it has ended.
    pub wait: bool,
}

/// A session to stop.
#[derive(Debug)]
#[non_exhaustive]
pub struct Abort {
    /// Which one.
    pub session: Target,
    /// What the terminal event gives as the reason.
    pub reason: Option<String>,
    /// Whether the answer is made of the whole log, terminal event included. It waits for that event
    /// for some seconds then.
    pub whole: bool,
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
    /// The most sessions of a page; `None` for the store's own page size.
    pub limit: Option<NonZeroUsize>,
}

impl Read {
    /// What comes after a position.
    pub fn new(session: impl Into<Target>, after: Position, encoder: Box<dyn Encoder>) -> Self {
        Self {
            session: session.into(),
            after,
            inclusive: false,
            from_now: false,
            encoder,
        }
    }

    /// The same, and the record at the position.
    pub fn inclusive(mut self) -> Self {
        self.inclusive = true;
        self
    }

    /// Only what comes from now on.
    pub fn from_now(mut self) -> Self {
        self.from_now = true;
        self
    }
}

impl Page {
    /// Up to `limit` events after a position, without waiting.
    pub fn new(session: impl Into<Target>, after: Position, limit: usize) -> Self {
        Self {
            session: session.into(),
            after,
            from_now: false,
            limit,
            folding: false,
            wait: Duration::ZERO,
            memo: None,
        }
    }

    /// Only what comes from now on.
    pub fn from_now(mut self) -> Self {
        self.from_now = true;
        self
    }

    /// The same, and whether the answer comes with the records that the client has.
    pub fn folding(mut self, folding: bool) -> Self {
        self.folding = folding;
        self
    }

    /// The same, and the answer comes with this.
    pub fn remembering(mut self, memo: impl Any + Send + Sync) -> Self {
        self.memo = Some(Arc::new(memo));
        self
    }

    /// The same, but waiting this long for the first one.
    pub fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

impl FullLog {
    /// What the log holds by now.
    pub fn new(session: impl Into<Target>) -> Self {
        Self {
            session: session.into(),
            wait: false,
        }
    }

    /// All of it, once the session has ended.
    pub fn waiting(mut self) -> Self {
        self.wait = true;
        self
    }
}

impl Abort {
    /// Stops it, for no reason that is given.
    pub fn new(session: impl Into<Target>) -> Self {
        Self {
            session: session.into(),
            reason: None,
            whole: false,
        }
    }

    /// The same, for this reason.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The same, answered with the whole log.
    pub fn answering_whole(mut self) -> Self {
        self.whole = true;
        self
    }
}
