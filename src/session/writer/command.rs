use crate::{
    log::Outcome,
    store::{AbortRequest, StoreError},
};

/// What a writer is told from outside.
#[derive(Debug)]
pub(in crate::session) enum WriterCommand {
    /// The wish is stored: end the session.
    Abort(AbortRequest),
    /// So many answers are stored for the session.
    Answered(u32),
    /// Another server has the session now.
    Fenced,
    /// The server shuts down: stop, and give the lease back.
    Release,
}

/// How a writer ended.
#[derive(Debug)]
pub(in crate::session) enum WriterEnd {
    /// The session is sealed.
    Sealed(Outcome),
    /// Another server writes the session now.
    Fenced,
    /// The session is no more.
    Gone(StoreError),
    /// It stopped in the middle, because it was told to.
    Released,
}
