//! The one background task that pulls a session's source and appends.
//!
//! `AppendBuffer` is the part without I/O or clock: the records that are written, the limits, and
//! the batch to send next. [`Writer`] is the shell that polls the source, the store and the timers.

mod answers;
mod append_buffer;
mod command;
mod command_queue;
mod contained;
mod pending_append;
mod renewal;
mod retry;
mod store_watch;
mod task;

pub(super) use self::{
    append_buffer::LogUsage,
    command::{WriterCommand, WriterEnd},
    command_queue::CommandQueue,
    retry::{Retry, within},
    task::Writer,
};
