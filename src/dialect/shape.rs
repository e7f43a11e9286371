//! The shape of a JSON body: its depth and its number of values, found without decoding it.

use super::{Element, Problem, Refusal, RequestLimits};

impl RequestLimits {
    /// Checks the depth of a JSON body and the number of its values. It keeps nothing of the body.
    ///
    /// It reads brackets, commas, colons and strings only, so no value that a decoder skips ends the
    /// count: a number out of range or a lone surrogate is one value. A body that is not JSON passes if it
    /// has no more brackets and values than that; the decoder says what is wrong with it.
    ///
    /// # Errors
    ///
    /// [`Problem::WrongShape`] if the body is deeper than [`depth`](field@Self::depth),
    /// [`Problem::TooManyElements`] if it has more than [`values`](field@Self::values).
    pub fn check_json(&self, body: &[u8]) -> Result<(), Refusal> {
        self.count_json(body).map(drop)
    }

    /// Checks a JSON body as [`check_json`](Self::check_json) does. Returns the number of its values.
    pub(super) fn count_json(&self, body: &[u8]) -> Result<usize, Refusal> {
        let shape = JsonShape::of(body);
        if shape.depth > self.depth {
            let depth = self.depth;
            return Err(Refusal::new(
                Problem::WrongShape,
                format!("the request is nested deeper than {depth} levels; nest it less"),
            ));
        }
        self.check(Element::Value, shape.values)?;
        Ok(shape.values)
    }
}

/// The shape of a JSON text. Of a text that isn't JSON, at least that of the part before the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct JsonShape {
    /// The objects, arrays and scalars. The names of fields are none.
    values: usize,
    /// The levels of objects and arrays.
    depth: usize,
}

impl JsonShape {
    fn of(text: &[u8]) -> Self {
        let mut shape = Self {
            values: 0,
            depth: 0,
        };
        let (mut open, mut last) = (0_usize, Lexeme::Punctuation);
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            let lexeme = match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {
                    if last == Lexeme::Scalar {
                        last = Lexeme::Punctuation;
                    }
                    continue;
                }
                b'"' => {
                    skip_string(&mut bytes);
                    Lexeme::String
                }
                b'{' | b'[' => {
                    open += 1;
                    shape.depth = shape.depth.max(open);
                    shape.values += 1;
                    Lexeme::Punctuation
                }
                b'}' | b']' => {
                    open = open.saturating_sub(1);
                    Lexeme::Punctuation
                }
                b':' => Lexeme::Colon,
                b',' => Lexeme::Punctuation,
                _ => {
                    shape.values += usize::from(last != Lexeme::Scalar);
                    Lexeme::Scalar
                }
            };
            // A string before a colon is the name of a field.
            shape.values += usize::from(last == Lexeme::String && lexeme != Lexeme::Colon);
            last = lexeme;
        }
        shape.values += usize::from(last == Lexeme::String);
        shape
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lexeme {
    String,
    /// A byte of a number, of `true`, `false` or `null`, or of what isn't JSON.
    Scalar,
    Colon,
    Punctuation,
}

/// Skips the rest of a string and the quote at its end.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::json_size::json_size;

    #[test]
    fn the_depth_is_bounded_on_both_sides() {
        let limits = RequestLimits::new().depth(3);
        for fits in ["[[[1]]]", r#"{"a":[{"b":7}],"c":[[]]}"#, "7"] {
            assert_eq!(limits.check_json(fits.as_bytes()), Ok(()), "{fits}");
        }
        let refusal = limits.check_json(b"[[[[]]]]").unwrap_err();
        assert_eq!(refusal.problem, Problem::WrongShape);
        assert!(
            refusal.detail.contains("deeper than 3 levels"),
            "{}",
            refusal.detail
        );
        // Refused where it becomes too deep, whatever follows.
        assert!(limits.check_json(&b"[".repeat(100_000)).is_err());
    }

    #[test]
    fn each_value_counts_as_one() {
        for (body, values) in [
            ("null", 1),
            ("[]", 1),
            (r#"{"a":1,"b":"c","d":[true,2.5,-3]}"#, 7),
            (r#"["a\n",{}]"#, 3),
            (r#"{"a" : "b","\"c":["\\",1e999,"\ud800"]}"#, 6),
        ] {
            let check = |max| RequestLimits::new().values(max).check_json(body.as_bytes());
            assert_eq!(check(values), Ok(()), "{body}");
            let detail = check(values - 1).unwrap_err().detail;
            assert!(detail.contains(&format!("has {values};")), "{detail}");
        }
    }

    #[test]
    fn what_is_not_json_is_left_to_the_decoder() {
        for body in [&b""[..], b"{", b"[1,", b"\xff", b"{\"a\"}"] {
            assert_eq!(RequestLimits::new().check_json(body), Ok(()));
        }
    }

    #[test]
    fn the_values_before_an_error_count() {
        let check = |body: &str| RequestLimits::new().values(3).check_json(body.as_bytes());
        assert_eq!(check("[1,2,:::"), Ok(()));
        for body in [
            "[1,2,3,:::",
            r#"{"a":1,"b":2,"c":3"#,
            "[1,2,3,",
            r#"[[],[],"a"#,
        ] {
            assert!(check(body).is_err(), "{body}");
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let scalar = prop::sample::select(vec![
            "null",
            "true",
            "-0",
            "1e999",
            "-1E+400",
            "18446744073709551616",
            r#""""#,
            r#""[{,:""#,
            r#""\"""#,
            r#""\\""#,
            r#""\ud800""#,
            r#""\udc00x\u0000""#,
            r#""é""#,
        ]);
        let name = prop::sample::select(vec![r#""a""#, r#""\ud800""#, r#""\":[""#, r#""" "#]);
        let list = |items: Vec<String>| format!("[ {}]", items.join(" ,"));
        let object = |fields: Vec<(&str, String)>| {
            let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{k}:\n{v}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        scalar
            .prop_map(str::to_owned)
            .prop_recursive(6, 48, 4, move |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..4).prop_map(list),
                    prop::collection::vec((name.clone(), inner), 0..4).prop_map(object),
                ]
            })
    }

    proptest! {
        #[test]
        fn all_that_a_decoder_may_skip_is_counted(
            text in json(),
            at in any::<prop::sample::Index>(),
            piece in prop::sample::select(vec![
                &b""[..], b"1", b"\xff", b"\\", b"\"", b",", b":", b"[", b"]", b"{}", b" ", b"1e999,", b"\"a\":",
            ]),
        ) {
            let whole = text.as_bytes();
            let size = |text: &[u8]| {
                let JsonShape { values, depth } = JsonShape::of(text);
                (values, depth)
            };
            prop_assert_eq!(Some(size(whole)), json_size(whole), "{}", text);
            let at = at.index(whole.len() + 1);
            let changed = [&whole[..at], piece, &whole[at..]].concat();
            if let Some(real) = json_size(&changed) {
                prop_assert_eq!(size(&changed), real, "{}", String::from_utf8_lossy(&changed));
            }
        }
    }
}
