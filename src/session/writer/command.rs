use crate::{
    log::Outcome,
    store::{AbortRequest, StoreError},
};

/// A command to a writer.
#[derive(Debug)]
pub(in crate::session) enum WriterCommand {
    /// Seal the session as aborted. The request is stored.
    Abort(AbortRequest),
    /// Fetch the answers: so many are stored for the session.
    Answered(u32),
    /// Stop: another server has claimed the session.
    Fenced,
    /// Stop, so that the lease can be given back: the server shuts down.
    Release,
    /// Seal the session as interrupted: the server shuts down, and the store with it.
    Interrupt,
}

/// The way in which a writer ended.
#[derive(Debug)]
pub(in crate::session) enum WriterEnd {
    /// The session is sealed.
    Sealed(Outcome),
    /// Another server has claimed the session.
    Fenced,
    /// The session was withdrawn: the store has nothing of it.
    Withdrawn,
    /// The session is gone, or the writer gave up on the store.
    Gone(StoreError),
    /// The writer stopped before the end, on [`WriterCommand::Release`].
    Released,
}

impl WriterEnd {
    pub(super) fn gave_up_on_store() -> Self {
        Self::Gone(StoreError::unavailable(
            true,
            "the store did not answer for as long as a session may run",
        ))
    }
}
