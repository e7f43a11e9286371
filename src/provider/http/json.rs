//! JSON of servers, read as their vendors' SDKs read it: member by member, so that a member of an odd
//! shape doesn't decide over the others.

use std::{borrow::Cow, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::chat::ProviderError;

/// Returns the members of a JSON object with these names, unparsed. `null` counts as absent. Of a
/// repeated name the last value counts.
///
/// # Errors
///
/// If the text isn't JSON, or no object.
pub(crate) fn members<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(json);
    let found = json.deserialize_map(Members(names))?;
    json.end()?;
    Ok(found)
}

/// Passes the elements of a JSON list to `take`, unparsed, but for those that are `null`. Returns
/// false if the value is no list.
pub(crate) fn each_element<'a>(
    value: &'a RawValue,
    take: impl FnMut(&'a RawValue) -> Result<(), ProviderError>,
) -> Result<bool, ProviderError> {
    if kind(value) != Kind::List {
        return Ok(false);
    }
    let mut failed = None;
    let elements = Elements {
        take,
        failed: &mut failed,
    };
    let mut json = serde_json::Deserializer::from_str(value.get());
    // The text is JSON, so that it fails for no other reason.
    let _ = json.deserialize_seq(elements);
    failed.map_or(Ok(true), Err)
}

/// Returns JSON without line breaks, which are space in it.
pub(crate) fn on_one_line(json: &str) -> String {
    json.trim().replace(['\n', '\r'], " ")
}

/// The kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    List,
    Object,
}

/// Returns the kind of a value.
pub(crate) fn kind(value: &RawValue) -> Kind {
    match value.get().as_bytes().first() {
        Some(b'"') => Kind::String,
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::List,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

/// Returns true unless JavaScript counts the value as false: `null`, `false`, zero, and empty text.
pub(crate) fn is_truthy(value: &RawValue) -> bool {
    match kind(value) {
        Kind::Null => false,
        Kind::Bool => value.get() == "true",
        Kind::String => value.get() != "\"\"",
        Kind::Number => value.get().parse() != Ok(0.0),
        Kind::List | Kind::Object => true,
    }
}

/// Returns the bytes of a string, which are UTF-8 but for lone surrogates (WTF-8). `None` if the value
/// is no string.
pub(crate) fn string_bytes(value: &RawValue) -> Option<Cow<'_, [u8]>> {
    let mut json = serde_json::Deserializer::from_str(value.get());
    match kind(value) {
        Kind::String => json.deserialize_bytes(Bytes).ok(),
        _ => None,
    }
}

/// Returns a string, in which lone surrogates are U+FFFD. `None` if the value is no string.
pub(crate) fn string(value: &RawValue) -> Option<String> {
    string_bytes(value).map(|bytes| super::wtf8::text_of(&bytes))
}

/// Returns a name of the server's: a string, or a number as its text.
pub(crate) fn name(value: &RawValue) -> Option<String> {
    match kind(value) {
        Kind::Number => Some(value.get().to_owned()),
        _ => string(value),
    }
}

/// Returns a whole number, which may be written as a float or as a string.
pub(crate) fn whole_number(value: &RawValue) -> Option<i64> {
    let text = match kind(value) {
        Kind::Number => Cow::Borrowed(value.get()),
        Kind::String => Cow::Owned(string(value)?),
        _ => return None,
    };
    let text = text.trim();
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        (float.abs() < 9e15).then_some(float as i64)
    })
}

/// Returns a count: a whole number that isn't negative.
pub(crate) fn count(value: &RawValue) -> Option<u64> {
    u64::try_from(whole_number(value)?).ok()
}

struct Members<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A>(self, mut map: A) -> Result<Self::Value, A::Error>
    where
        A: MapAccess<'de>,
    {
        let mut found = [None; N];
        while let Some(name) = map.next_key_seed(Bytes)? {
            match self.0.iter().position(|it| it.as_bytes() == &*name) {
                Some(at) => {
                    let value: &RawValue = map.next_value()?;
                    found[at] = Some(value).filter(|value| kind(value) != Kind::Null);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

struct Elements<'f, F> {
    take: F,
    failed: &'f mut Option<ProviderError>,
}

impl<'de, F> Visitor<'de> for Elements<'_, F>
where
    F: FnMut(&'de RawValue) -> Result<(), ProviderError>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A>(mut self, mut list: A) -> Result<(), A::Error>
    where
        A: SeqAccess<'de>,
    {
        while let Some(element) = list.next_element::<&RawValue>()? {
            if kind(element) == Kind::Null {
                continue;
            }
            if let Err(error) = (self.take)(element) {
                *self.failed = Some(error);
                return Err(de::Error::custom("not taken"));
            }
        }
        Ok(())
    }
}

// The bytes of a string; serde_json takes lone surrogates only so.
struct Bytes;

impl<'de> DeserializeSeed<'de> for Bytes {
    type Value = Cow<'de, [u8]>;

    fn deserialize<D>(self, json: D) -> Result<Self::Value, D::Error>
    where
        D: Deserializer<'de>,
    {
        json.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Bytes {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(bytes))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(bytes.to_vec()))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text.as_bytes()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.as_bytes().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn members_are_found_whatever_stands_beside_them() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let json = format!(
            r#"{{"a":1,"\ud83d":2,"b":null,"deep":{deep},"c":"\udc00","a":"last","b2":1e999}}"#
        );
        let [a, b, c, d] = members(&json, ["a", "b", "c", "d"]).unwrap();
        assert_eq!(a.unwrap().get(), r#""last""#);
        assert!(b.is_none() && d.is_none());
        assert_eq!(string(c.unwrap()).unwrap(), "\u{fffd}");
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for json in ["[]", "7", r#""a""#, "null", "", "{", r#"{"a":}"#, "{} {}"] {
            assert!(members(json, ["a"]).is_err(), "{json}");
        }
    }

    #[test]
    fn numbers_are_read_in_any_form() {
        for (json, number) in [
            ("7", Some(7)),
            ("7.9", Some(7)),
            (r#"" 7 ""#, Some(7)),
            (r#""7.0""#, Some(7)),
            ("-1", Some(-1)),
            ("1e300", None),
            ("[7]", None),
            ("true", None),
            (r#""many""#, None),
        ] {
            assert_eq!(whole_number(raw(json)), number, "{json}");
        }
        assert_eq!((count(raw("-1")), count(raw("3"))), (None, Some(3)));
    }

    #[test]
    fn elements_are_passed_until_one_is_refused() {
        let mut taken = Vec::new();
        let listed = each_element(raw("[1,null,{},[2]]"), |element| {
            taken.push(element.get());
            Ok(())
        });
        assert!(listed.unwrap());
        assert_eq!(taken, ["1", "{}", "[2]"]);
        assert!(!each_element(raw("{}"), |_| Ok(())).unwrap());
        let refused = each_element(raw("[1,2]"), |_| Err(ProviderError::new("no")));
        assert_eq!(refused.unwrap_err().to_string(), "no");
    }

    #[test]
    fn truth_is_that_of_javascript() {
        for (json, truthy) in [
            ("false", false),
            ("0", false),
            ("0.0", false),
            (r#""""#, false),
            ("[]", true),
            ("{}", true),
            (r#""0""#, true),
            ("-1", true),
        ] {
            assert_eq!(is_truthy(raw(json)), truthy, "{json}");
        }
    }
}
