use serde::{Deserialize, Serialize};

/// The parts of a response body that are recorded, and between which a reader can resume.
///
/// The frames of a body are its bytes, whatever the framing: put together they are the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Framing {
    /// Server-sent events. An event ends with its empty line.
    ///
    /// A client gets each event with a line `id` in place of its own, for `EventSource` to resume after it. It gets neither
    /// a byte order mark nor the empty lines that end no event, such as those after a comment; all that doesn't change
    /// the events.
    ///
    /// A body whose first line is neither a comment nor one of the fields `data`, `event`, `id` and `retry` is no
    /// event stream, whatever its type says. It is recorded as [`Bytes`](Self::Bytes).
    Events,
    /// Lines, such as those of NDJSON. A line ends with LF, which belongs to it.
    Lines,
    /// Bytes, as they come.
    Bytes,
}
