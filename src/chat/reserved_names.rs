//! Names of fields that a JSON decoder takes for its own.

/// What the names begin with.
///
/// With a feature on that any crate of the program may turn on, `serde_json` reads an object whose first field has
/// such a name as something else: as the JSON in a string, which it decodes in its turn, past each limit, or as a
/// number.
pub(crate) const RESERVED: &str = "$serde_json::private::";

/// Returns true if the text has an object with a reserved name, in whichever escapes. Keeps nothing of it.
pub(crate) fn has_reserved_name(text: impl AsRef<[u8]>) -> bool {
    let mut rest = text.as_ref();
    while let Some(at) = rest.iter().position(|byte| *byte == b'"') {
        let (is_reserved, after) = pass_string(&rest[at + 1..]);
        rest = after;
        if is_reserved {
            let next = rest.iter().find(|byte| !byte.is_ascii_whitespace());
            if next == Some(&b':') {
                return true;
            }
        }
    }
    false
}

/// Passes a string, whose first quote is behind. Returns true if it begins as the names do, and what is after it.
fn pass_string(text: &[u8]) -> (bool, &[u8]) {
    let (mut at, mut matched) = (0, Some(0));
    while let Some(byte) = text.get(at) {
        let (character, len) = match byte {
            b'"' => return (matched == Some(RESERVED.len()), &text[at + 1..]),
            b'\\' => match text.get(at + 1) {
                Some(b'u') => (text.get(at + 2..at + 6).and_then(ascii), 6),
                Some(b'/') => (Some(b'/'), 2),
                _ => (None, 2),
            },
            byte => (Some(*byte), 1),
        };
        at += len;
        matched = match matched {
            Some(so_far) if so_far < RESERVED.len() => {
                (character == Some(RESERVED.as_bytes()[so_far])).then_some(so_far + 1)
            }
            matched => matched,
        };
    }
    (false, &[])
}

/// Returns the character of the four digits of an escape, if it is one of ASCII.
fn ascii(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const RAW: &str = "$serde_json::private::RawValue";

    #[test]
    fn the_decoder_takes_such_a_name_for_its_own() {
        let text = format!(r#"{{"{RAW}":"[1,2]"}}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!([1, 2]));
        assert!(has_reserved_name(&text));
    }

    #[test]
    fn reserved_names_are_found_in_any_escapes_and_anywhere() {
        let escaped = |digits: fn(u8) -> String| -> String { RAW.bytes().map(digits).collect() };
        let lower = escaped(|it| format!("\\u{it:04x}"));
        let upper = escaped(|it| format!("\\u{it:04X}"));
        for name in [RAW, &lower, &upper, "$serde_json::private::Number"] {
            for text in [
                format!(r#"{{"{name}":1}}"#),
                format!("{{\"a\":[\"\\\"\",{{\"b\":1,\"{name}\"\n :1}}]}}"),
                format!(r#"{{"{name}":"#),
            ] {
                assert!(has_reserved_name(&text), "{text}");
            }
        }
    }

    #[test]
    fn other_names_and_texts_are_none() {
        for text in [
            String::new(),
            format!(r#"["{RAW}"]"#),
            format!(r#"{{"a":"{RAW}"}}"#),
            format!(r#"{{"a":"\"{RAW}\":"}}"#),
            format!(r#"{{"x{RAW}":1}}"#),
            r#"{"$serde_json::private":1}"#.to_owned(),
            format!(r#"{{"{RAW}"#),
            format!(r#"{{"{RAW}\"#),
            r#"{"\u00"#.to_owned(),
        ] {
            assert!(!has_reserved_name(&text), "{text}");
        }
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(RAW.to_owned()),
            Just("$serde_json::private::Number".to_owned()),
            "\\PC{0,6}|[\"\\\\:/$]{0,4}",
        ]
    }

    proptest! {
        #[test]
        fn exactly_the_names_of_objects_count(names in prop::collection::vec(name(), 0..4), indent: bool) {
            let reserved = names.iter().any(|name| name.starts_with(RESERVED));
            let fields = names.iter().fold(json!(names), |inner, name| {
                let mut field = serde_json::Map::new();
                field.insert(name.clone(), inner);
                Value::Object(field)
            });
            let text = if indent {
                serde_json::to_string_pretty(&fields).unwrap()
            } else {
                fields.to_string()
            };
            prop_assert_eq!(has_reserved_name(&text), reserved, "{}", text);
        }
    }
}
