//! What is done to one session: a script each.

mod answer;
mod append;
mod end;
mod inputs;
mod own;
mod read;

pub(crate) use self::read::SessionLook;
