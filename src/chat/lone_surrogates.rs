use std::borrow::Cow;

/// The escape of U+FFFD, as long as the one that it replaces.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";

/// Replaces the escapes of lone surrogates in a JSON text by that of U+FFFD.
///
/// JavaScript writes half a character so where a text was cut in its middle. It is no Unicode, and
/// `serde_json` refuses it.
pub(crate) fn replace_lone_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Cow::Borrowed(json);
    let mut at = 0;
    while let Some(next) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        at += match unit(&json[at..]) {
            Some(0xd800..=0xdbff) if is_low(json.get(at + 6..)) => 12,
            Some(0xd800..=0xdfff) => {
                out.to_mut()[at..at + 6].copy_from_slice(REPLACEMENT);
                6
            }
            // The byte after a backslash belongs to it.
            _ => 2,
        };
        if at >= json.len() {
            break;
        }
    }
    out
}

fn is_low(json: Option<&[u8]>) -> bool {
    matches!(json.and_then(unit), Some(0xdc00..=0xdfff))
}

/// Returns the UTF-16 unit that a text begins with, as `\uXXXX`.
fn unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replaced(json: &str) -> String {
        String::from_utf8(replace_lone_surrogates(json.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn lone_halves_are_replaced_and_whole_characters_stay() {
        for (json, expected) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ude00""#, r#""\ufffd""#),
            (r#""\uD83D\ud83d\uDE00""#, r#""\ufffd\ud83d\uDE00""#),
            (r#""\ud83d\\ude00""#, r#""\ufffd\\ude00""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""\u00e9\ud83dx""#, r#""\u00e9\ufffdx""#),
            (r#""\ud83"#, r#""\ud83"#),
            (r#""\"#, r#""\"#),
            ("", ""),
        ] {
            assert_eq!(replaced(json), expected);
        }
    }

    #[test]
    fn a_text_without_lone_halves_is_not_copied() {
        let json = r#"{"a":"\ud83d\ude00 \n \"é\""}"#.as_bytes();
        assert!(matches!(replace_lone_surrogates(json), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn any_units_are_read_as_javascript_reads_them(
            units in prop::collection::vec(
                prop_oneof![0xd7f0..0xe010_u16, 0x20..0x7f_u16, any::<u16>()],
                0..12,
            )
        ) {
            let escapes: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("\"{}\"", escapes.concat());
            let read: String = serde_json::from_str(&replaced(&json)).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }
    }
}
