//! JSON of servers, read as far as it can be: one odd value doesn't decide over the others.

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};
use unbroken::chat::ProviderError;

use crate::failure;

/// Values below this depth stay text.
const MAX_DEPTH: usize = 100;

/// Reads the frames of one answer.
///
/// The halves of a character that a server sends in two frames are joined; half a character alone is U+FFFD. What is
/// nested too deep, and numbers that no type holds, stay text.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    // The first half of a character at the end of a text, as it was escaped.
    half: Option<String>,
}

impl FrameReader {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// If it isn't JSON.
    pub(super) fn read(&mut self, frame: &str) -> Result<Value, ProviderError> {
        if let Ok(value) = serde_json::from_str(frame) {
            return Ok(value);
        }
        let whole = self.join_halves(frame);
        let raw: &RawValue = serde_json::from_str(&whole)
            .map_err(|_| failure::unreadable("a frame that isn't JSON"))?;
        Ok(value(raw.get(), 0))
    }

    fn join_halves(&mut self, json: &str) -> String {
        let bytes = json.as_bytes();
        let mut out = String::with_capacity(json.len());
        let (mut at, mut copied, mut last_escape) = (0, 0, 0);
        while at < bytes.len() {
            if bytes[at] != b'\\' {
                at += 1;
                continue;
            }
            let (begin, unit) = (at, unit(bytes, at));
            at += if unit.is_some() { 6 } else { 2 };
            let begins = begin > last_escape && bytes[begin - 1] == b'"';
            last_escape = at;
            match unit {
                Some(0xd800..=0xdbff) => {
                    if let Some(0xdc00..=0xdfff) = self::unit(bytes, at) {
                        at += 6;
                        last_escape = at;
                        continue;
                    }
                    out.push_str(&json[copied..begin]);
                    if bytes.get(at) == Some(&b'"') {
                        self.half = Some(json[begin..at].to_owned());
                    } else {
                        out.push_str("\\ufffd");
                    }
                }
                Some(0xdc00..=0xdfff) => {
                    out.push_str(&json[copied..begin]);
                    match self.half.take_if(|_| begins) {
                        Some(half) => out.extend([half.as_str(), &json[begin..at]]),
                        None => out.push_str("\\ufffd"),
                    }
                }
                _ => continue,
            }
            copied = at;
        }
        out.push_str(&json[copied..]);
        out
    }
}

/// Returns the unit of UTF-16 that is escaped at a place.
fn unit(json: &[u8], at: usize) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = json.get(at..at + 6)? else {
        return None;
    };
    let mut unit = 0;
    for digit in digits {
        unit = unit * 16 + char::from(*digit).to_digit(16)?;
    }
    Some(unit)
}

fn value(json: &str, depth: usize) -> Value {
    if let Ok(value) = serde_json::from_str(json) {
        return value;
    }
    if depth < MAX_DEPTH {
        if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) {
            let members = members.into_iter();
            let read = members.map(|(name, it)| (name, value(it.get(), depth + 1)));
            return Value::Object(read.collect::<Map<_, _>>());
        }
        if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) {
            let read = items.into_iter().map(|it| value(it.get(), depth + 1));
            return Value::Array(read.collect());
        }
    }
    Value::from(json)
}

/// Returns the string at a place.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// Returns a member that isn't `null`.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).filter(|it| !it.is_null())
}

/// Returns a count, which some servers write as text or as a float.
pub(super) fn count(value: &Value, name: &str) -> Option<u64> {
    u64::try_from(whole_number(value.get(name)?)?).ok()
}

/// Returns a whole number, which may be written as a float or as text.
pub(super) fn whole_number(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        (float.abs() < 9e15).then_some(float as i128)
    })
}

/// Returns a name of the server's: a string, or a number as its text.
pub(super) fn name(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// Returns true unless JavaScript counts the value as false.
pub(super) fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(frames: &[&str]) -> Vec<Value> {
        let mut reader = FrameReader::default();
        let read = frames.iter().map(|frame| reader.read(frame).unwrap());
        read.collect()
    }

    #[test]
    fn the_halves_of_a_character_are_joined_and_half_a_one_is_shown_as_such() {
        for (frames, texts) in [
            (
                &[r#""a\ud83d""#, r#""""#, r#""\ude00b""#][..],
                &["a", "", "😀b"][..],
            ),
            (
                &[r#""a\ud83d""#, r#""\udc00\ud83db""#],
                &["a", "🐀\u{fffd}b"],
            ),
            (
                &[r#""\ude00\ud83d\ude00\\ud83d\"\ude00""#],
                &["\u{fffd}😀\\ud83d\"\u{fffd}"],
            ),
            (&[r#""\ud83d\n\ud83dé""#], &["\u{fffd}\n\u{fffd}é"]),
        ] {
            assert_eq!(read(frames), texts, "{frames:?}");
        }
        assert_eq!(read(&[r#"{"m\ud83d":"\udc00","c":"Hi"}"#])[0]["c"], "Hi");
    }

    #[test]
    fn values_that_can_not_be_read_stay_text_beside_the_others() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let frame = format!(r#"{{"a":1,"deep":{deep},"list":[{{"n":1e999}},"x"],"a":2}}"#);
        let read = read(&[&frame]).remove(0);
        assert_eq!(read["a"], 2);
        assert_eq!(read["list"], json!([{"n": "1e999"}, "x"]));
        assert!(read["deep"].is_array());
        for odd in ["", "{", "[1,]", r#"{"a":"\ud83d"#, "<html>"] {
            assert!(FrameReader::default().read(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn numbers_are_read_in_odd_types() {
        for (value, number) in [
            (json!(3), Some(3)),
            (json!(3.0), Some(3)),
            (json!(" 3 "), Some(3)),
            (json!(u64::MAX), Some(i128::from(u64::MAX))),
            (json!(-1), Some(-1)),
            (json!(1e300), None),
            (json!("three"), None),
            (json!([]), None),
        ] {
            assert_eq!(whole_number(&value), number, "{value}");
        }
    }
}
