//! The one background task that pulls a session's source and appends.
//!
//! [`Pen`] is the part without I/O or clock: what is written, what may be written, what is sent
//! next. [`Writer`] is the shell that polls the source, the store and the timers around it.

mod answers;
mod append_buffer;
mod command;
mod renewal;
mod retry;
mod task;
mod watch;

pub(super) use self::{
    append_buffer::LogUsage,
    command::{WriterCommand, WriterEnd},
    retry::{Retry, within},
    task::Writer,
};
