/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum FrameKind {
    /// Lines with a field `data`, `event` or `retry`, to and including their empty line. Empty lines may stand before
    /// them, or the LF of the CR that ended the frame before.
    Event,
    /// An [`Event`](Self::Event) that has lines `id`.
    EventWithId,
    /// Bytes of an event stream that are no event: a byte order mark, comments, fields without a meaning, empty lines,
    /// and what the end of the body cut.
    NoEvent,
    /// A line and its end, which the last one may lack.
    Line,
    /// Opaque bytes.
    Opaque,
}
