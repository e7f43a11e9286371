use super::line_start::{Field, LineStart};

/// The kind of a line of an event stream, as far as it matters to a reader's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum LineKind {
    Empty,
    /// The field `id`.
    Id,
    Other,
}

/// Returns the lines of an event stream, with their ends: CR, LF or CRLF. The last one may have none.
pub(in crate::record) fn lines(mut bytes: &[u8]) -> impl Iterator<Item = (LineKind, &[u8])> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let content = end.unwrap_or(bytes.len());
        let len = match &bytes[content..] {
            [b'\r', b'\n', ..] => content + 2,
            [] => content,
            _ => content + 1,
        };
        let (line, rest) = bytes.split_at(len);
        bytes = rest;
        let mut start = LineStart::default();
        start.extend(&line[..content]);
        let kind = match start.end() {
            LineStart::Empty => LineKind::Empty,
            LineStart::Field(Field::Id) => LineKind::Id,
            _ => LineKind::Other,
        };
        Some((kind, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_and_keep_their_ends() {
        let body = b"id: 1\r\ndata: id\r\r\r\nid\nidea\n\n:id\nid";
        let (empty, id, other) = (LineKind::Empty, LineKind::Id, LineKind::Other);
        let expected: [(LineKind, &[u8]); 9] = [
            (id, b"id: 1\r\n"),
            (other, b"data: id\r"),
            (empty, b"\r"),
            (empty, b"\r\n"),
            (id, b"id\n"),
            (other, b"idea\n"),
            (empty, b"\n"),
            (other, b":id\n"),
            (id, b"id"),
        ];
        assert_eq!(lines(body).collect::<Vec<_>>(), expected);
        assert_eq!(lines(b"").count(), 0);
    }
}
