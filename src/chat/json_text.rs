//! JSON inside of a string, as the arguments of calls come.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{JsonDepth, ToolCall, has_reserved_name, replace_lone_surrogates};

/// Returns true if a text may be decoded: if it isn't nested deeper than [`ToolCall::MAX_DEPTH`], and has no
/// reserved name.
pub(crate) fn is_decodable(text: impl AsRef<[u8]>) -> bool {
    let text = text.as_ref();
    JsonDepth::of(text) <= ToolCall::MAX_DEPTH && !has_reserved_name(text)
}

/// Returns true if a text is JSON that may be decoded.
pub(crate) fn is_json(text: &str) -> bool {
    is_decodable(text) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Decodes a text. One that isn't JSON, is nested deeper than [`ToolCall::MAX_DEPTH`], or has a name that is
/// reserved, stays a string. An escape of half a character (a lone surrogate) is read as U+FFFD.
pub(crate) fn value_of_text(text: &str) -> Value {
    if !is_decodable(text) {
        return Value::from(text);
    }
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_slice(&replace_lone_surrogates(text.as_bytes())))
        .unwrap_or_else(|_| Value::from(text))
}

/// Returns the number of JSON values that are created when a text is decoded as JSON, and creates none:
/// of a text that isn't JSON those before the error, and none of one that stays a string.
pub(crate) fn values_in_text(text: impl AsRef<[u8]>) -> usize {
    let text = text.as_ref();
    let mut count = 0;
    if is_decodable(text) {
        let text = replace_lone_surrogates(text);
        let mut json = serde_json::Deserializer::from_slice(&text);
        // An error ends the count, as it ends the decoding.
        let _ = ValueCounter(&mut count).deserialize(&mut json);
    }
    count
}

/// Counts a value, and those in it.
struct ValueCounter<'a>(&'a mut usize);

impl ValueCounter<'_> {
    #[expect(clippy::unnecessary_wraps, reason = "a visitor's result")]
    fn scalar<E>(self) -> Result<(), E> {
        *self.0 += 1;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for ValueCounter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueCounter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        *self.0 += 1;
        while items.next_element_seed(ValueCounter(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        *self.0 += 1;
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(ValueCounter(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(count).sum(),
            Value::Object(fields) => fields.values().map(count).sum(),
            _ => 0,
        }
    }

    #[test]
    fn the_count_is_that_of_the_decoded_values() {
        for text in [
            "7",
            "null",
            r#""a""#,
            "[]",
            r#"{"a":1,"b":[true,2.5,-3,null,"c"],"d":{}}"#,
            r#"["\ud83d",{"\udc00":[1]}]"#,
            "[18446744073709551616, -0]",
        ] {
            let value = value_of_text(text);
            assert!(!value.is_string() || text == r#""a""#, "{text}");
            assert_eq!(values_in_text(text), count(&value), "{text}");
        }
    }

    #[test]
    fn of_a_text_that_is_not_json_what_stands_before_the_error_counts() {
        let article = "Once upon a time, there was [a list] of 1, 2, 3. ".repeat(1_000);
        for (text, values) in [
            ("", 0),
            (&*article, 0),
            ("[1,2,3", 4),
            ("[1,2,3,}", 4),
            ("[1,2] and more", 3),
            ("[1,1e999,2]", 2),
        ] {
            assert_eq!(values_in_text(text), values, "{text}");
            assert_eq!(value_of_text(text), text);
        }
    }

    #[test]
    fn a_text_with_a_reserved_name_stays_a_string_and_has_no_values() {
        let text = r#"{"$serde_json::private::RawValue":"[1,2,3]"}"#;
        assert_eq!(value_of_text(text), text);
        assert_eq!(values_in_text(text), 0);
        let second = r#"{"a":1,"$serde_json::private::RawValue":"x"}"#;
        assert_eq!(value_of_text(second), second);
    }

    #[test]
    fn a_text_that_is_nested_too_deep_stays_a_string_and_has_no_values() {
        let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(values_in_text(lists(64)), 64);
        assert_eq!(values_in_text(lists(65)), 0);
        assert_eq!(value_of_text(&lists(65)), lists(65));
        assert!(value_of_text(&lists(64)).is_array());
    }
}
