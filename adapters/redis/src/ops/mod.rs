//! The operations on one session: a script each.

mod answers;
mod append;
mod call;
mod claim;
mod end;
mod probe;
mod read;

pub(crate) use self::{probe::SessionProbe, read::SessionLook};
