//! The operations on one session: a script each.

mod answers;
mod append;
mod call;
mod claim;
mod end;
mod read;

pub(crate) use self::read::SessionLook;
