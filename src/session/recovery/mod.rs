//! The recovery of orphans: sessions whose writer died or hangs.
//!
//! The server that claims an orphan seals or continues it. It seals it as aborted if an abort is
//! stored, and as interrupted if no handler is registered under the name of its service. Otherwise
//! the handler decides. A session whose log is empty was never begun, and is begun only by a start of
//! the same request: the start that created it may have been refused.

mod claim;
mod handler;
mod log_pages;
mod seal;
mod sealed_orphan;
mod take_over;

pub(crate) use self::handler::HandlerOrigin;
pub(super) use self::{
    claim::give_back,
    handler::RecoveryHandlers,
    log_pages::read_up_to,
    seal::{seal, seal_empty},
    take_over::{ContinuedSession, TakeOver, take_over},
};
pub use self::{
    handler::{Continuation, Orphan, RecoveryHandler},
    sealed_orphan::SealedOrphan,
};
