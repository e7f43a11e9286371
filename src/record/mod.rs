//! Recordings: sessions whose records are the frames of a response body, kept as they are.

mod framing;
#[allow(dead_code, reason = "the layer uses them")]
mod splitter;

pub use self::framing::Framing;
