//! Bodies of a size, made of one element again and again.

/// Writes a body: `before`, as many elements as fit with commas between them, and `after`.
pub(crate) fn many(
    before: &str,
    element: impl Fn(usize) -> String,
    after: &str,
    bytes: usize,
) -> Vec<u8> {
    let mut body = String::with_capacity(bytes + 1024);
    body.push_str(before);
    for number in 0.. {
        if number > 0 {
            body.push(',');
        }
        body.push_str(&element(number));
        if body.len() + after.len() >= bytes {
            break;
        }
    }
    body.push_str(after);
    body.into_bytes()
}

pub(crate) const USER: &str = r#""messages":[{"role":"user","content":"Hi"}]"#;

/// Writes a chat request whose field `field` is a list of these elements.
pub(crate) fn chat(field: &str, element: impl Fn(usize) -> String, bytes: usize) -> Vec<u8> {
    many(&format!(r#"{{{USER},"{field}":["#), element, "]}", bytes)
}

/// Writes a request of the AI SDK whose last message has these parts.
pub(crate) fn parts(part: impl Fn(usize) -> String, bytes: usize) -> Vec<u8> {
    let before = r#"{"id":"c","messages":[{"id":"m","role":"assistant","parts":["#;
    many(before, part, "]}]}", bytes)
}

/// Writes a value that is as deep as a decoder follows.
pub(crate) fn deep(levels: usize) -> String {
    format!(
        "{}{}",
        r#"{"a":["#.repeat(levels / 2),
        "]}".repeat(levels / 2)
    )
}
