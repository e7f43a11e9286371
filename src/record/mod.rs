//! Recordings: sessions whose records are the frames of a response body, kept as they are.
//!
//! [`RecordingFormat`] is the format of their logs. [`Sessions::builder`](crate::session::Sessions::builder) makes a
//! registry that has it beside the format of chat sessions.

mod format;
mod recording_end;

pub use self::format::RecordingFormat;
