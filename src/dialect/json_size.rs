//! The size of a JSON text as serde reads it, for tests of the limits.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Returns the values and the levels of a text, or `None` if a decoder that skips it refuses it.
pub(super) fn json_size(text: &[u8]) -> Option<(usize, usize)> {
    serde_json::from_slice::<IgnoredAny>(text).ok()?;
    // Bytes that aren't UTF-8 stand in strings only.
    let text = String::from_utf8_lossy(text);
    Some(size(serde_json::from_str(&text).unwrap()))
}

fn size(value: &RawValue) -> (usize, usize) {
    let text = value.get();
    let inner = match text.as_bytes()[0] {
        b'[' => serde_json::from_str(text).unwrap(),
        b'{' => {
            let mut json = serde_json::Deserializer::from_str(text);
            json.deserialize_map(Fields).unwrap()
        }
        _ => return (1, 0),
    };
    inner
        .into_iter()
        .map(size)
        .fold((1, 1), |(values, depth), inner| {
            (values + inner.0, depth.max(inner.1 + 1))
        })
}

/// The values of an object, whatever the names are.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while map.next_key_seed(Name)?.is_some() {
            values.push(map.next_value()?);
        }
        Ok(values)
    }
}

/// A name that may hold a lone surrogate.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<(), D::Error> {
        name.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Name {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}
