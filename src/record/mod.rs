//! Recordings: sessions whose records are the frames of a response body, kept as they are.
#![allow(dead_code, reason = "the layer uses what is not public")]

mod frame_encoder;
mod framing;
mod header_pairs;
mod kept_headers;
mod recorded_head;
mod records;
mod splitter;

pub use self::framing::Framing;
