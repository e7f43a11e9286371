//! What most records are: a piece of text or of thinking and nothing else, seen without parsing.

/// What kind of piece it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    Text,
    Thinking,
}

const TEXT: &[u8] = br#"{"type":"text","content":""#;
const THINKING: &[u8] = br#"{"type":"thinking","content":""#;

/// The piece that a record is, as the JSON string in it, quotes included. `None` where the record
/// is anything else, or more than that: then it is for a parser to say.
pub(super) fn piece(record: &[u8]) -> Option<(TextKind, &[u8])> {
    let (kind, start) = if record.starts_with(TEXT) {
        (TextKind::Text, TEXT.len())
    } else if record.starts_with(THINKING) {
        (TextKind::Thinking, THINKING.len())
    } else {
        return None;
    };
    let said = &record[start..];
    let mut escaped = false;
    let end = said.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    // Nothing else may stand in it: fields that we don't know are for the parser.
    (&said[end..] == b"\"}").then(|| (kind, &record[start - 1..=start + end]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chat::{ChatEvent, Text};

    proptest! {
        #[test]
        fn a_piece_is_what_a_parser_would_have_found(said in "(\\PC|[\"\\\\\n\u{7}{}]){0,12}") {
            for (event, kind) in [
                (ChatEvent::text(&said), TextKind::Text),
                (ChatEvent::thinking(&said), TextKind::Thinking),
            ] {
                let record = event.to_json();
                let (found, json) = piece(&record).unwrap();
                prop_assert_eq!(found, kind);
                prop_assert_eq!(serde_json::from_slice::<String>(json).unwrap(), said.clone());
            }
        }
    }

    #[test]
    fn what_is_more_than_a_piece_is_for_the_parser() {
        let mut text = Text::new("Hi");
        text.extra.insert("more".into(), "\"}".into());
        assert_eq!(piece(&ChatEvent::from(text).to_json()), None);
        for other in [
            &br#"{"type":"text","content":"Hi"} "#[..],
            br#"{"type":"text","content":"Hi"#,
            br#"{"type":"text","content":"Hi\"}"#,
            br#"{"type":"text","content":7}"#,
            br#"{"type":"complete"}"#,
            b"",
        ] {
            assert_eq!(piece(other), None);
        }
    }
}
