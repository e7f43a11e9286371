use std::{any::Any, collections::HashSet, num::NonZeroUsize, sync::Arc, time::Duration};

use super::{Encoder, Start, Target};
use crate::{
    chat::{InputAnswer, InputId},
    log::{ChatId, Position, SessionId},
    store::StatusFilter,
};

/// The result of decoding a request's head.
#[derive(Debug)]
#[non_exhaustive]
pub enum Route {
    /// The intent; the body is not needed.
    Known(Intent),
    /// The body is needed too: the layer reads it, and calls [`Dialect::subject`](super::Dialect::subject)
    /// and then [`Dialect::decode`](super::Dialect::decode).
    Body,
}

/// The intent of a request.
#[derive(Debug)]
#[non_exhaustive]
pub enum Intent {
    /// Starts a session, or attaches to it if it exists with the same request.
    Start(Box<Start>),
    /// Reads a session as a stream.
    Read(Read),
    /// Reads a page of a session.
    Page(Page),
    /// Reads the full log of a session, for a document.
    FullLog(FullLog),
    /// Aborts a session.
    Abort(Abort),
    /// Answers a question of a session.
    Answer {
        /// The session; in a conversation the one that asked, running or ended.
        session: Target,
        /// The question.
        input: InputId,
        /// The answer.
        answer: InputAnswer,
    },
    /// Aborts a session if it runs, then deletes it.
    Delete {
        /// The session.
        id: SessionId,
    },
    /// Lists the caller's sessions.
    List(List),
    /// Names the methods of a path. Needs no authorization.
    Options {
        /// The methods, as the header `Allow` lists them.
        allow: &'static str,
    },
}

/// A request for the stream of a session.
#[derive(Debug)]
#[non_exhaustive]
pub struct Read {
    /// The session.
    pub session: Target,
    /// The start of the read.
    pub from: ReadFrom,
    /// True if the encoder gets the record at the position of `from` too. Default false.
    ///
    /// For dialects in which a record may have several frames, of which the client has some. A reader
    /// at the terminal event then gets a stream and not [`ResponseData::AtEnd`](super::ResponseData).
    pub inclusive: bool,
    /// For a conversation of which nothing runs: the time since its end within which its newest session is
    /// read all the same. Default zero, which means never.
    pub ended_within: Duration,
    /// For a client that shows open questions: the wait before the response. Default `None`.
    pub wait: Option<QuestionWait>,
    /// The encoder of the stream.
    pub encoder: Box<dyn Encoder>,
}

/// A wait before the stream of a session, for a client that shows questions as open and asks again in a
/// loop.
///
/// The response waits only while all of these questions are open in the log, no other approval of a call
/// is, and no further event comes. Else the client lacks something, and gets the stream at once. After the
/// wait the response is [`ResponseData::Idle`](super::ResponseData), and so it is where nothing of a
/// conversation runs. A session that has ended with these questions open is streamed after the wait: most
/// clients have it already, and would come back at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuestionWait {
    /// The questions that the client shows as open.
    pub questions: HashSet<InputId>,
    /// The longest wait.
    pub at_most: Duration,
}

/// The start of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadFrom {
    /// After a position, up to which the client has the records.
    After(Position),
    /// After the last record at the time of the request. The client gets future records only.
    Now,
}

/// A request for a page of a session.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// The session.
    pub session: Target,
    /// The start of the page.
    pub from: ReadFrom,
    /// The maximum number of events in the page.
    pub limit: usize,
    /// True if the response data includes the records that the client has, because the encoding of a
    /// record depends on them. Default false.
    pub include_known: bool,
    /// The maximum time to wait for the first event, if there is none yet. Default zero.
    pub wait: Duration,
    /// For a conversation of which nothing runs: the time since its end within which its newest session is
    /// read all the same. Default zero, which means never.
    pub ended_within: Duration,
    /// Data of the dialect, returned to it with the page.
    pub context: RequestContext,
}

/// Data that a dialect keeps from a request until its response, such as conditions, or a cursor as
/// the client wrote it.
pub type RequestContext = Option<Arc<dyn Any + Send + Sync>>;

/// A request for a document of a full log.
#[derive(Debug)]
#[non_exhaustive]
pub struct FullLog {
    /// The session.
    pub session: Target,
    /// True if the response waits for the end of the session. Default false.
    pub wait_for_end: bool,
}

/// A request to abort a session.
#[derive(Debug)]
#[non_exhaustive]
pub struct Abort {
    /// The session.
    pub session: Target,
    /// The reason in the terminal event.
    pub reason: Option<String>,
    /// True if the response needs the full log, terminal event included. It waits some seconds for
    /// that event. Default false.
    pub full_log: bool,
}

/// A request for a list of sessions. The list has sessions of the caller only.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct List {
    /// The conversation to filter by.
    pub chat: Option<ChatId>,
    /// The status to filter by.
    pub status: Option<StatusFilter>,
    /// The token of the previous page.
    pub after: Option<String>,
    /// The maximum number of sessions in a page; `None` for the default of the store.
    pub limit: Option<NonZeroUsize>,
}

impl From<Position> for ReadFrom {
    fn from(position: Position) -> Self {
        Self::After(position)
    }
}

impl Read {
    /// Creates a request for the records after a position, or with [`ReadFrom::Now`] for future ones.
    pub fn new(
        session: impl Into<Target>,
        from: impl Into<ReadFrom>,
        encoder: Box<dyn Encoder>,
    ) -> Self {
        Self {
            session: session.into(),
            from: from.into(),
            inclusive: false,
            ended_within: Duration::ZERO,
            wait: None,
            encoder,
        }
    }

    /// Sets [`inclusive`](field@Self::inclusive).
    pub fn inclusive(mut self, inclusive: bool) -> Self {
        self.inclusive = inclusive;
        self
    }

    /// Sets [`ended_within`](field@Self::ended_within).
    pub fn ended_within(mut self, within: Duration) -> Self {
        self.ended_within = within;
        self
    }

    /// Sets [`wait`](field@Self::wait).
    pub fn wait(mut self, wait: QuestionWait) -> Self {
        self.wait = Some(wait);
        self
    }
}

impl QuestionWait {
    /// Creates a wait of a client that shows these questions as open.
    pub fn new(questions: impl IntoIterator<Item = InputId>, at_most: Duration) -> Self {
        Self {
            questions: questions.into_iter().collect(),
            at_most,
        }
    }
}

impl Page {
    /// Creates a request for up to `limit` events after a position, or with [`ReadFrom::Now`] for future
    /// ones, without waiting.
    pub fn new(session: impl Into<Target>, from: impl Into<ReadFrom>, limit: usize) -> Self {
        Self {
            session: session.into(),
            from: from.into(),
            limit,
            include_known: false,
            wait: Duration::ZERO,
            ended_within: Duration::ZERO,
            context: None,
        }
    }

    /// Sets whether the response data includes the records that the client has.
    pub fn include_known(mut self, include_known: bool) -> Self {
        self.include_known = include_known;
        self
    }

    /// Sets the data that the dialect gets back with the page.
    pub fn context(mut self, context: impl Any + Send + Sync) -> Self {
        self.context = Some(Arc::new(context));
        self
    }

    /// Sets the maximum time to wait for the first event.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sets [`ended_within`](field@Self::ended_within).
    pub fn ended_within(mut self, within: Duration) -> Self {
        self.ended_within = within;
        self
    }
}

impl FullLog {
    /// Creates a request for the log as it is now.
    pub fn new(session: impl Into<Target>) -> Self {
        Self {
            session: session.into(),
            wait_for_end: false,
        }
    }

    /// Sets [`wait_for_end`](field@Self::wait_for_end).
    pub fn wait_for_end(mut self, wait: bool) -> Self {
        self.wait_for_end = wait;
        self
    }
}

impl Abort {
    /// Creates a request without a reason.
    pub fn new(session: impl Into<Target>) -> Self {
        Self {
            session: session.into(),
            reason: None,
            full_log: false,
        }
    }

    /// Sets the reason.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sets [`full_log`](field@Self::full_log).
    pub fn full_log(mut self, full_log: bool) -> Self {
        self.full_log = full_log;
        self
    }
}
