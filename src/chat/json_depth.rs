use serde_json::Value;

/// The nesting of a JSON text, counted while its bytes pass. An object or a list is one level.
///
/// The text need not be whole, nor be JSON: brackets outside of strings count.
#[derive(Debug, Default)]
pub(crate) struct JsonDepth {
    open: usize,
    deepest: usize,
    in_string: bool,
    escaped: bool,
}

impl JsonDepth {
    /// Returns the nesting of a text: 0 for a number or a string, 1 for `[]`.
    pub(crate) fn of(text: impl AsRef<[u8]>) -> usize {
        let mut depth = Self::default();
        depth.pass(text.as_ref());
        depth.deepest
    }

    /// Counts the next bytes of the text.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.open += 1;
                    self.deepest = self.deepest.max(self.open);
                }
                b'}' | b']' => self.open = self.open.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Returns true if the text so far ends inside of an object, a list or a string.
    #[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
    pub(crate) fn is_open(&self) -> bool {
        self.open > 0 || self.in_string
    }

    /// Returns true if the text so far is a whole object or list.
    #[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
    pub(crate) fn is_whole(&self) -> bool {
        self.deepest > 0 && !self.is_open()
    }
}

/// Returns true if a value is nested deeper than `most` levels. Visits no level below that.
pub(crate) fn is_deeper(value: &Value, most: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if most == 0 => true,
        Value::Array(items) => items.iter().any(|item| is_deeper(item, most - 1)),
        Value::Object(fields) => fields.values().any(|field| is_deeper(field, most - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn lists(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |inner, _| json!([inner]))
    }

    #[test]
    fn a_level_is_an_object_or_a_list() {
        for (text, depth) in [
            ("7", 0),
            (r#""[[[""#, 0),
            (r#""\"[""#, 0),
            ("[]", 1),
            (r#"{"a":[],"b":{}}"#, 2),
            (r#"{"[":"\\","b":[{}]}"#, 3),
            ("[[", 2),
            ("]]]][", 1),
        ] {
            assert_eq!(JsonDepth::of(text), depth, "{text}");
        }
    }

    #[test]
    fn a_value_is_deeper_than_one_level_less_than_its_own() {
        for depth in [1, 2, 63, 64, 65, 127] {
            assert!(is_deeper(&lists(depth), depth - 1), "{depth}");
            assert!(!is_deeper(&lists(depth), depth), "{depth}");
        }
        assert!(!is_deeper(&json!("[[["), 0));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            "\\PC{0,4}|[\\[\\]{}\"]{0,4}".prop_map(Value::from)
        ];
        leaf.prop_recursive(6, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[\\[{\"\\\\]{0,2}", inner, 0..3)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_and_its_text_have_the_same_depth(value in value(), cut in 0_usize..64) {
            let text = value.to_string();
            let depth = JsonDepth::of(&text);
            prop_assert!(!is_deeper(&value, depth));
            prop_assert!(depth == 0 || is_deeper(&value, depth - 1));
            let (head, tail) = text.as_bytes().split_at(cut.min(text.len()));
            let mut pieces = JsonDepth::default();
            pieces.pass(head);
            pieces.pass(tail);
            prop_assert_eq!(pieces.deepest, depth);
        }
    }
}
