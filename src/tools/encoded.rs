use serde::{Serialize, de::DeserializeOwned};

use crate::chat::has_reserved_name;

/// The deepest nesting of JSON that is kept encoded. A decoder reads a little more.
const MAX_DEPTH: usize = 100;

/// A part of a request that is needed again only for the model's next turn, which may be hours away. It
/// is kept encoded until then, because small values take a multiple of their bytes when decoded.
pub(super) struct Encoded<T>(Form<T>);

enum Form<T> {
    Encoded(Box<[u8]>),
    /// Nested too deeply to be decoded again, or with a reserved name.
    Decoded(T),
}

impl<T> Encoded<T> {
    /// Keeps a value.
    pub(super) fn new(value: T) -> Self
    where
        T: Serialize,
    {
        Self(match serde_json::to_vec(&value) {
            Ok(json) if depth(&json) <= MAX_DEPTH && !has_reserved_name(&json) => {
                Form::Encoded(json.into())
            }
            _ => Form::Decoded(value),
        })
    }

    /// Decodes the value.
    pub(super) fn decode(&self) -> T
    where
        T: DeserializeOwned + Clone,
    {
        match &self.0 {
            Form::Encoded(json) => {
                serde_json::from_slice(json).expect("it was encoded here, and is not too deep")
            }
            Form::Decoded(value) => value.clone(),
        }
    }
}

/// Returns how deeply a JSON text is nested.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |inner, _| json!([inner]))
    }

    #[test]
    fn a_value_comes_back_however_deep_it_is() {
        for (value, encoded) in [
            (json!({"x": 1.5, "y": "a \"{[\\ b"}), true),
            (nested(MAX_DEPTH), true),
            (nested(MAX_DEPTH + 1), false),
            (nested(MAX_DEPTH * 2), false),
        ] {
            let kept = Encoded::new(value.clone());
            assert_eq!(matches!(kept.0, Form::Encoded(_)), encoded);
            assert_eq!(kept.decode(), value);
        }
    }

    #[test]
    fn brackets_in_text_are_no_depth() {
        assert_eq!(depth(br#"[{"a":"[[\"[["},[]]"#), 2);
        assert_eq!(depth(b"1"), 0);
    }
}
