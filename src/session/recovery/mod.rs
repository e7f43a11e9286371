//! What becomes of an orphan: a session whose writer died or hangs.
//!
//! Whoever claims it ends it or carries it on. It ends as aborted if somebody wanted that, and as
//! interrupted where nothing here can start it again. What can, a layer has registered under the
//! name that is stored with the session; it decides for each orphan.

mod claim;
mod handler;
mod seal;
mod take_over;

pub(crate) use self::handler::HandlerOrigin;
pub use self::handler::{Continuation, Orphan, RecoveryHandler};
pub(super) use self::{
    claim::give_back,
    handler::RecoveryHandlers,
    seal::seal,
    take_over::{ContinuedSession, TakeOver, take_over},
};
