//! Reads records by their first bytes, without a JSON parser.
//!
//! Nearly all records are a piece of text or of thinking, and encoders copy its JSON as it is. The
//! prefixes that tell records apart are known here only; `write_json` writes the same ones.

/// The kind of a text record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// `text`.
    Text,
    /// `thinking`.
    Thinking,
}

/// The end of a text record, after its content: the quote of the string and the brace of the event.
pub(crate) const TEXT_END: &[u8] = b"\"}";

impl TextKind {
    /// Returns the JSON of an event of this kind up to the string that is its content.
    pub(super) const fn head(self) -> &'static [u8] {
        match self {
            Self::Text => br#"{"type":"text","content":"#,
            Self::Thinking => br#"{"type":"thinking","content":"#,
        }
    }
}

/// Returns the content of a text record as a JSON string, quotes included.
///
/// `None` if the record is another event, or has further fields: those need a parser.
pub(crate) fn text_content(record: &[u8]) -> Option<(TextKind, &[u8])> {
    let (kind, string) = match record.strip_prefix(TextKind::Text.head()) {
        Some(string) => (TextKind::Text, string),
        None => (
            TextKind::Thinking,
            record.strip_prefix(TextKind::Thinking.head())?,
        ),
    };
    let content = string.strip_prefix(b"\"")?;
    let mut escaped = false;
    let end = content.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    (&content[end..] == TEXT_END).then(|| (kind, &string[..end + 2]))
}

/// Returns true if the record is an event of this `type`.
///
/// Every record that [`ChatEvent::write_json`](super::ChatEvent::write_json) wrote begins with it.
pub(crate) fn has_kind(record: &[u8], kind: &str) -> bool {
    record
        .strip_prefix(br#"{"type":""#)
        .and_then(|rest| rest.strip_prefix(kind.as_bytes()))
        .is_some_and(|rest| rest.starts_with(b"\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chat::{ChatEvent, Text};

    proptest! {
        #[test]
        fn the_content_is_the_one_that_a_parser_finds(content in "(\\PC|[\"\\\\\n\u{7}{}]){0,12}") {
            for (event, kind) in [
                (ChatEvent::text(&content), TextKind::Text),
                (ChatEvent::thinking(&content), TextKind::Thinking),
            ] {
                let record = event.to_json();
                let (found, json) = text_content(&record).unwrap();
                prop_assert_eq!(found, kind);
                prop_assert_eq!(serde_json::from_slice::<String>(json).unwrap(), content.clone());
            }
        }
    }

    #[test]
    fn a_record_with_more_than_a_content_needs_the_parser() {
        let mut text = Text::new("Hi");
        text.extra.insert("more".into(), "\"}".into());
        assert_eq!(text_content(&ChatEvent::from(text).to_json()), None);
        for other in [
            &br#"{"type":"text","content":"Hi"} "#[..],
            br#"{"type":"text","content":"Hi"#,
            br#"{"type":"text","content":"Hi\"}"#,
            br#"{"type":"text","content":7}"#,
            br#"{"type":"text","content":"#,
            br#"{"type":"complete"}"#,
            b"",
        ] {
            assert_eq!(text_content(other), None);
        }
    }

    #[test]
    fn a_kind_is_compared_whole() {
        let record = ChatEvent::restarted("again").to_json();
        assert!(has_kind(&record, "restarted"));
        for other in ["restart", "restarted_", "text", ""] {
            assert!(!has_kind(&record, other), "{other}");
        }
        assert!(!has_kind(br#"{"type":"restarted"#, "restarted"));
        assert!(!has_kind(b"", "restarted"));
    }
}
