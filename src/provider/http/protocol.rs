/// The parts of a server's protocol that the transport knows.
#[derive(Debug)]
pub(crate) struct Protocol {
    /// The segments of the path after the base URL.
    pub(crate) path: &'static [&'static str],
    /// The content type to ask for.
    pub(crate) accept: &'static str,
    /// Writes a whole answer, which is JSON, as the bytes of a stream that has the same answer. `None` if the
    /// JSON is no whole answer.
    pub(crate) as_stream: fn(&str) -> Option<Vec<u8>>,
    /// Returns true if the JSON may be the first line of a stream. Server-sent events never begin with
    /// JSON.
    pub(crate) is_line: fn(&str) -> bool,
}
