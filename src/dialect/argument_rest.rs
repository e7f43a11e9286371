//! The rest of arguments of which a client has the beginning.

use std::{collections::HashSet, fmt::Write as _};

use serde_json::{Map, Value};

use crate::chat::ToolCall;

/// Returns the text that completes streamed arguments to those of their call; `None` if no text does.
///
/// The streamed arguments may be cut anywhere, and may have other spaces than `whole`, another order of
/// members, and other forms of numbers and characters. `whole` is the text of all arguments.
pub(super) fn argument_rest(streamed: &str, arguments: &Value, whole: &str) -> Option<String> {
    if streamed.trim().is_empty() {
        return Some(whole.to_owned());
    }
    if let Some(rest) = whole.strip_prefix(streamed) {
        return Some(rest.to_owned());
    }
    if ToolCall::from_text("", "", streamed).arguments == *arguments {
        return Some(String::new());
    }
    let mut text = StreamedJson {
        text: streamed,
        at: 0,
    };
    match text.value(arguments)? {
        Compared::Cut(rest) => Some(rest),
        Compared::Whole => text.peek().is_none().then(String::new),
    }
}

/// A value of the streamed text that is the wanted one, or the beginning of it.
enum Compared {
    Whole,
    /// The text ends in the value, or right after it where more of it could follow. This text completes it.
    Cut(String),
}

/// The beginning of a JSON text, read up to a place.
struct StreamedJson<'a> {
    text: &'a str,
    at: usize,
}

/// A string of the streamed text.
#[derive(Default)]
struct StreamedString<'a> {
    /// UTF-16, in which escapes are.
    units: Vec<u16>,
    /// The beginning of an escape at the end of the text.
    escape: Option<&'a str>,
    is_closed: bool,
}

impl<'a> StreamedJson<'a> {
    /// Skips spaces, and returns the next byte.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let spaces = rest.iter().take_while(|byte| is_space(byte)).count();
        self.at += spaces;
        rest.get(spaces).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn value(&mut self, wanted: &Value) -> Option<Compared> {
        if self.peek().is_none() {
            return Some(Compared::Cut(wanted.to_string()));
        }
        match wanted {
            Value::Object(members) => self.object(members),
            Value::Array(items) => self.array(items),
            Value::String(text) => self.string()?.compare(text),
            scalar => self.scalar(scalar),
        }
    }

    fn object(&mut self, members: &Map<String, Value>) -> Option<Compared> {
        self.take(b'{')?;
        let mut had = HashSet::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return members.is_empty().then_some(Compared::Whole);
        }
        loop {
            if self.peek().is_none() {
                let rest = rest_of_object(members, &had);
                return match rest.strip_prefix(',') {
                    Some(rest) => Some(Compared::Cut(rest.to_owned())),
                    None => had.is_empty().then_some(Compared::Cut(rest)),
                };
            }
            let (name, compared) = self.string()?.member_of(members, &had)?;
            had.insert(name);
            let value = &members[name];
            let compared = match compared {
                Compared::Cut(rest) => Compared::Cut(format!("{rest}:{value}")),
                Compared::Whole if self.peek().is_none() => Compared::Cut(format!(":{value}")),
                Compared::Whole => {
                    self.take(b':')?;
                    self.value(value)?
                }
            };
            match (compared, self.peek()) {
                (Compared::Cut(rest), _) => {
                    return Some(Compared::Cut(rest + &rest_of_object(members, &had)));
                }
                (Compared::Whole, None) => {
                    return Some(Compared::Cut(rest_of_object(members, &had)));
                }
                (Compared::Whole, Some(b',')) => self.at += 1,
                (Compared::Whole, Some(_)) => {
                    self.take(b'}')?;
                    return (had.len() == members.len()).then_some(Compared::Whole);
                }
            }
        }
    }

    fn array(&mut self, items: &[Value]) -> Option<Compared> {
        self.take(b'[')?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return items.is_empty().then_some(Compared::Whole);
        }
        if items.is_empty() {
            return self.peek().is_none().then(|| Compared::Cut("]".to_owned()));
        }
        for (at, item) in items.iter().enumerate() {
            let rest = || rest_of_array(&items[at + 1..]);
            match (self.value(item)?, self.peek()) {
                (Compared::Cut(cut), _) => return Some(Compared::Cut(cut + &rest())),
                (Compared::Whole, None) => return Some(Compared::Cut(rest())),
                (Compared::Whole, Some(b',')) => self.at += 1,
                (Compared::Whole, Some(_)) => {
                    self.take(b']')?;
                    return (at + 1 == items.len()).then_some(Compared::Whole);
                }
            }
        }
        None
    }

    /// Compares a number, `true`, `false` or `null`.
    fn scalar(&mut self, wanted: &Value) -> Option<Compared> {
        let rest = &self.text[self.at..];
        let is_of_it = |it: char| it.is_ascii_alphanumeric() || matches!(it, '+' | '-' | '.');
        let token = &rest[..rest.find(|it| !is_of_it(it)).unwrap_or(rest.len())];
        self.at += token.len();
        let is_cut = self.at == self.text.len();
        let with_exponent = wanted.as_f64().filter(|_| wanted.is_f64());
        let with_exponent = with_exponent.map(|number| format!("{number:e}"));
        let written = [Some(wanted.to_string()), with_exponent];
        let mut rests = written
            .iter()
            .flatten()
            .filter_map(|it| it.strip_prefix(token));
        if let (true, Some(rest)) = (is_cut, rests.next()) {
            return Some(Compared::Cut(rest.to_owned()));
        }
        let read: Value = serde_json::from_str(token).ok()?;
        let is_equal = read == *wanted
            || ((read.is_f64() || wanted.is_f64()) && read.as_f64() == wanted.as_f64());
        is_equal.then(|| {
            if is_cut {
                Compared::Cut(String::new())
            } else {
                Compared::Whole
            }
        })
    }

    fn string(&mut self) -> Option<StreamedString<'a>> {
        self.take(b'"')?;
        let mut string = StreamedString::default();
        while let Some(character) = self.text[self.at..].chars().next() {
            let begin = self.at;
            self.at += character.len_utf8();
            match character {
                '"' => {
                    string.is_closed = true;
                    break;
                }
                '\\' => {
                    let Some(unit) = self.escape()? else {
                        self.at = self.text.len();
                        string.escape = Some(&self.text[begin..]);
                        break;
                    };
                    string.units.push(unit);
                }
                other => string.units.extend(other.encode_utf16(&mut [0; 2]).iter()),
            }
        }
        Some(string)
    }

    /// Reads what follows a backslash. `Some(None)` if the text ends before.
    #[expect(clippy::option_option, reason = "an error, an end, or a unit")]
    fn escape(&mut self) -> Option<Option<u16>> {
        let rest = &self.text.as_bytes()[self.at..];
        let Some(first) = rest.first() else {
            return Some(None);
        };
        self.at += 1;
        let unit = match first {
            b'"' | b'\\' | b'/' => *first,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => {
                let digits = &rest[1..rest.len().min(5)];
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                if digits.len() < 4 {
                    return Some(None);
                }
                self.at += 4;
                let digits = std::str::from_utf8(digits).ok()?;
                return Some(u16::from_str_radix(digits, 16).ok());
            }
            _ => return None,
        };
        Some(Some(unit.into()))
    }
}

impl StreamedString<'_> {
    /// Returns the member that has this name, or may have it once the name is whole.
    fn member_of<'a>(
        &self,
        members: &'a Map<String, Value>,
        had: &HashSet<&'a String>,
    ) -> Option<(&'a String, Compared)> {
        if self.is_closed {
            let (name, _) = members.get_key_value(&String::from_utf16_lossy(&self.units))?;
            return Some((name, Compared::Whole));
        }
        let mut left = members.keys().filter(|name| !had.contains(*name));
        left.find_map(|name| Some((name, self.compare(name)?)))
    }

    fn compare(&self, wanted: &str) -> Option<Compared> {
        let mut left = wanted.encode_utf16();
        for unit in &self.units {
            let wanted = left.next()?;
            // Half a character was replaced when the arguments were read.
            let is_replaced = wanted == 0xfffd && matches!(unit, 0xd800..=0xdfff);
            if wanted != *unit && !is_replaced {
                return None;
            }
        }
        let left: Vec<_> = left.collect();
        if self.is_closed {
            return left.is_empty().then_some(Compared::Whole);
        }
        let (mut rest, mut left) = (String::new(), &left[..]);
        if let Some(begun) = self.escape {
            let (unit, more) = left.split_first()?;
            let escape = escaped(*unit);
            let (same, more_of_it) = escape.split_at_checked(begun.len())?;
            if !same.eq_ignore_ascii_case(begun) {
                return None;
            }
            rest.push_str(more_of_it);
            left = more;
        }
        // The second half of a character whose first half was an escape.
        if let Some((unit @ 0xdc00..=0xdfff, more)) = left.split_first() {
            rest.push_str(&escaped(*unit));
            left = more;
        }
        let written = Value::from(String::from_utf16_lossy(left)).to_string();
        rest.push_str(&written[1..]);
        Some(Compared::Cut(rest))
    }
}

const FITS: &str = "a String takes every text";

fn escaped(unit: u16) -> String {
    format!("\\u{unit:04x}")
}

/// Returns the members that are left, each after a comma, and the end of the object.
fn rest_of_object(members: &Map<String, Value>, had: &HashSet<&String>) -> String {
    let mut rest = String::new();
    for (name, value) in members.iter().filter(|(name, _)| !had.contains(name)) {
        let name = Value::from(name.as_str());
        write!(rest, ",{name}:{value}").expect(FITS);
    }
    rest.push('}');
    rest
}

/// Returns the items that are left, each after a comma, and the end of the array.
fn rest_of_array(items: &[Value]) -> String {
    let mut rest = String::new();
    for item in items {
        write!(rest, ",{item}").expect(FITS);
    }
    rest.push(']');
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn rest(streamed: &str, arguments: &Value) -> Option<String> {
        argument_rest(streamed, arguments, &arguments.to_string())
    }

    /// Checks that the arguments are completed wherever their text is cut.
    fn completes(text: &str, arguments: &Value) {
        for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let streamed = &text[..at];
            let rest = rest(streamed, arguments);
            let rest = rest.unwrap_or_else(|| panic!("{streamed} of {arguments}"));
            let whole = format!("{streamed}{rest}");
            let read = ToolCall::from_text("", "", &whole).arguments;
            assert_eq!(read, *arguments, "{streamed} and {rest}");
            // A client that reads JSON reads it without further rules.
            serde_json::from_str::<Value>(&whole).unwrap();
        }
    }

    #[test]
    fn arguments_as_a_model_writes_them_are_completed_wherever_they_are_cut() {
        for text in [
            r#"{ "zoom" : 3 , "city" : "K\u00f6ln \ud83d\ude00 \"a\"\n\/" }"#,
            " {\n  \"zeta\": [1, -2.5e3, true, null],\n  \"alpha\": {\"b\": [], \"a\": {}}\n}\n",
            r#"{"a":"","ab":"x","abc":12.50,"\u0061d":[[1,[2]],{"x":"y"}]}"#,
            r#"["Tromsø 🐈", {"n": 10}]"#,
            "[ ]",
            "{ }",
        ] {
            completes(text, &ToolCall::from_text("", "", text).arguments);
        }
    }

    #[test]
    fn only_a_beginning_of_the_arguments_is_completed() {
        let arguments = json!({"city": "Rome", "days": [1, 2]});
        for other in [
            r#"{"city":"Roma"#,
            r#"{"city":"Rome","days":[1,3"#,
            r#"{"city":"Rome","days":[1,2,"#,
            r#"{"city":"Rome","nights":1"#,
            r#"{"city":"Rome"}"#,
            r#"{"city":"Rome","days":[1]"#,
            r#"{"city":"Rome","days":[1,2]} x"#,
            r#"{"city":"Rome","days":[1,2],"#,
            r#"{"city" "Rome""#,
            r#"{"city":"Rome\"#,
            r#"{"city":"\x"#,
            r#"[{"city":"Rome""#,
            "Rome",
        ] {
            assert_eq!(rest(other, &arguments), None, "{other}");
        }
    }

    #[test]
    fn arguments_that_are_no_json_are_completed_as_text() {
        let text = r#"{"q": "rus"#;
        let arguments = ToolCall::from_text("", "", text).arguments;
        for at in 0..=text.len() {
            let rest = argument_rest(&text[..at], &arguments, text);
            assert_eq!(rest.as_deref(), Some(&text[at..]));
        }
        assert_eq!(argument_rest("{\"a", &arguments, text), None);
    }

    #[test]
    fn numbers_may_have_another_form() {
        completes(r#"{"a": 3.0, "b": 1}"#, &json!({"a": 3.0, "b": 1}));
        assert_eq!(
            rest(r#"{"a": 3.0, "#, &json!({"a": 3, "b": 1})).unwrap(),
            r#""b":1}"#
        );
        assert_eq!(rest(r#"{"a": 4, "#, &json!({"a": 3, "b": 1})), None);
        let large = json!([9_007_199_254_740_993_u64, 1]);
        assert_eq!(rest("[9007199254740992,", &large), None);
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            "[\"\\\\\n\u{0}a-cäß🐈]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-cä🐈\"]{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_arguments_are_completed_wherever_their_text_is_cut(
            members in prop::collection::btree_map("[a-cä🐈]{1,3}", json_value(), 0..4),
            is_pretty in any::<bool>(),
        ) {
            let arguments = Value::Object(members.into_iter().collect());
            let text = if is_pretty {
                serde_json::to_string_pretty(&arguments).unwrap()
            } else {
                arguments.to_string()
            };
            completes(&text, &arguments);
        }
    }
}
