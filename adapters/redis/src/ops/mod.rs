//! The operations on one session: a script each.

mod answers;
mod append;
mod call;
mod claim;
mod end;
mod ending;
mod probe;
mod read;

pub(crate) use self::{
    ending::{EndingTake, EndingTimes},
    probe::SessionProbe,
    read::{MAX_SMALL_REPLY, SessionLook},
};
