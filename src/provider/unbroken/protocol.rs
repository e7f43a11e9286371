//! The native protocol, as far as the transport knows it.

use crate::provider::http::{Protocol, json::members};

pub(super) static NATIVE: Protocol = Protocol {
    path: &[],
    accept: "application/x-ndjson",
    // A page or a document of a session is no answer.
    as_stream: |_| None,
    is_line: |line| matches!(members(line, ["event"]), Ok([Some(_)])),
};
