//! The result of a server's tool, as a model gets it.

use percent_encoding::percent_decode_str;
use reqwest::Url;
use rmcp::model::{CallToolResult, ContentBlock, Resource, ResourceContents};
use serde_json::Value;
use unbroken::{
    chat::{Content, Media, Part, Schema},
    tools::{Output, ToolFailure},
};

/// The media type of bytes of which nothing is known.
const ANY: &str = "application/octet-stream";
/// The most bytes of a file's name.
const MAX_NAME_BYTES: usize = 255;

/// Returns the output of a tool whose result should fit the schema.
///
/// # Errors
///
/// If the server says that the tool failed, if the result doesn't fit, or if it can't be carried.
pub(crate) fn of(result: CallToolResult, schema: Option<&Schema>) -> Result<Output, ToolFailure> {
    let mut structured = result.structured_content.map(Structured::new);
    if result.is_error == Some(true) {
        return Err(failure(result.content, structured));
    }
    let mut content = Content::new();
    let mut say_seen = |content: &mut Content, text: &str| {
        if let Some(structured) = &mut structured {
            structured.see(text);
        }
        say(content, text);
    };
    for block in result.content {
        match block {
            ContentBlock::Text(text) => say_seen(&mut content, &text.text),
            ContentBlock::Resource(resource) => match resource.resource {
                ResourceContents::TextResourceContents { text, .. } => {
                    say_seen(&mut content, &text);
                }
                ResourceContents::BlobResourceContents {
                    uri,
                    mime_type,
                    blob,
                    ..
                } => {
                    let media = media(mime_type.as_deref().unwrap_or(ANY), &blob)?;
                    content.push(match file_name(&uri) {
                        Some(name) => media.name(name),
                        None => media,
                    });
                }
                _ => return Err(cannot_carry("a resource of an unknown form")),
            },
            ContentBlock::ResourceLink(link) => say(&mut content, &written(&link)?),
            ContentBlock::Image(image) => content.push(media(&image.mime_type, &image.data)?),
            ContentBlock::Audio(audio) => content.push(media(&audio.mime_type, &audio.data)?),
            _ => return Err(cannot_carry("content of an unknown form")),
        }
    }
    match structured {
        Some(structured) => {
            check(schema, &structured.value)?;
            if !structured.is_seen {
                say(&mut content, &structured.text);
            }
        }
        None if schema.is_none() => {}
        None => {
            let missing =
                "the tool ran, but its server left out the structured result that it announces";
            return Err(ToolFailure::new(missing));
        }
    }
    Ok(content.into())
}

/// A structured result, which the texts beside it may repeat.
struct Structured {
    value: Value,
    text: String,
    separators: usize,
    is_seen: bool,
}

impl Structured {
    fn new(value: Value) -> Self {
        let text = value.to_string();
        Self {
            value,
            separators: separators(&text),
            text,
            is_seen: false,
        }
    }

    /// Compares a text. One that has more elements than the result isn't decoded.
    fn see(&mut self, text: &str) {
        self.is_seen = self.is_seen
            || separators(text) <= self.separators
                && serde_json::from_str::<Value>(text).is_ok_and(|value| value == self.value);
    }
}

/// Returns the number of characters that may separate the elements of JSON.
fn separators(json: &str) -> usize {
    json.bytes().filter(|byte| b",:".contains(byte)).count()
}

/// Adds a text, on a line of its own.
fn say(content: &mut Content, text: &str) {
    match content.parts_mut().last_mut() {
        Some(Part::Text { text: before }) => {
            before.push('\n');
            before.push_str(text);
        }
        _ if text.is_empty() => {}
        _ => content.push(Part::Text { text: text.into() }),
    }
}

/// Returns a medium of these bytes in base64, which some servers break into lines.
fn media(media_type: &str, data: &str) -> Result<Media, ToolFailure> {
    let bare = |text: &str| text.split_ascii_whitespace().collect::<String>();
    let media_type = bare(media_type);
    let url = format!("data:{media_type};base64,{}", bare(data));
    let media = Media::link(media_type, url);
    media.check().map_err(|error| {
        ToolFailure::new(format!(
            "the tool ran; a part of its result can't be read: {error}"
        ))
    })?;
    Ok(media)
}

/// Returns the name of the file that a URI leads to: the last segment of its path, decoded. A query may have
/// what gives access, and a host is no name.
fn file_name(uri: &str) -> Option<String> {
    let uri = Url::parse(uri).ok()?;
    let segment = uri.path_segments()?.next_back()?;
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    let name = decoded.rsplit(['/', '\\']).next()?;
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name.contains(char::is_control)
        && ![".", ".."].contains(&name);
    is_name.then(|| name.to_owned())
}

/// Returns the failure that a server reports. It is a text, which names what is beside it by its type.
fn failure(blocks: Vec<ContentBlock>, mut structured: Option<Structured>) -> ToolFailure {
    let mut message = Content::new();
    let mut others = Vec::new();
    for block in blocks {
        let text = match block {
            ContentBlock::Text(text) => text.text,
            ContentBlock::Image(image) => {
                others.push(image.mime_type);
                continue;
            }
            ContentBlock::Audio(audio) => {
                others.push(audio.mime_type);
                continue;
            }
            ContentBlock::Resource(resource) => match resource.resource {
                ResourceContents::TextResourceContents { text, .. } => text,
                ResourceContents::BlobResourceContents { mime_type, .. } => {
                    others.push(mime_type.unwrap_or_else(|| ANY.to_owned()));
                    continue;
                }
                _ => {
                    others.push("a resource of an unknown form".to_owned());
                    continue;
                }
            },
            ContentBlock::ResourceLink(link) => written(&link).unwrap_or_default(),
            _ => {
                others.push("content of an unknown form".to_owned());
                continue;
            }
        };
        if let Some(structured) = &mut structured {
            structured.see(&text);
        }
        say(&mut message, &text);
    }
    if let Some(structured) = structured.filter(|it| !it.is_seen) {
        say(&mut message, &structured.text);
    }
    let mut message = message.to_text().into_owned();
    if message.is_empty() {
        message.push_str("the tool failed");
    }
    for other in others {
        let other: String = other.chars().take(Media::MAX_TYPE_BYTES).collect();
        for word in [
            "\n(with `",
            &other.escape_debug().to_string(),
            "`, which an error can't carry)",
        ] {
            message.push_str(word);
        }
    }
    ToolFailure::new(message)
}

fn written(link: &Resource) -> Result<String, ToolFailure> {
    serde_json::to_string(link).map_err(|_| cannot_carry("a link that can't be written"))
}

fn check(schema: Option<&Schema>, structured: &Value) -> Result<(), ToolFailure> {
    let checked = schema.map_or(Ok(()), |schema| schema.check(structured));
    checked.map_err(|mismatch| {
        ToolFailure::new(format!(
            "the tool ran, but its result isn't what its server announces: {mismatch}"
        ))
    })
}

fn cannot_carry(what: &str) -> ToolFailure {
    ToolFailure::new(format!(
        "the tool ran; its result has {what}, which can't be carried"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result(value: Value) -> CallToolResult {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_name_of_a_file_is_the_decoded_end_of_its_path_and_nothing_else() {
        let longest = "n".repeat(MAX_NAME_BYTES);
        for (uri, name) in [
            ("https://a.b/c/d.png?sig=secret#page", Some("d.png")),
            ("file:///tmp/my%20file%C3%A4.csv", Some("my file\u{e4}.csv")),
            ("demo://static/document/a.md", Some("a.md")),
            ("https://a.b/..%2f..%2Fpasswd", Some("passwd")),
            ("https://a.b/c%5Cd", Some("d")),
            ("https://10.0.0.5:8080", None),
            ("https://user:secret@a.b", None),
            ("https://a.b?sig=secret/x.png", None),
            ("https://a.b/c/", None),
            ("test://chart.png", None),
            ("urn:isbn:1", None),
            ("file:///a%0Ab", None),
            ("file:///a%FF", None),
            ("file:///a%2F..", None),
            ("a.png", None),
            ("", None),
            (&format!("file:///{longest}"), Some(&*longest)),
            (&format!("file:///{longest}n"), None),
        ] {
            assert_eq!(file_name(uri).as_deref(), name, "{uri}");
        }
    }

    #[test]
    fn a_text_with_more_elements_than_the_structured_result_is_not_decoded() {
        let mut structured = Structured::new(json!({"a": [1, 2], "b": ",:"}));
        for (text, is_seen) in [
            ("", false),
            ("[0, 0, 0, 0, 0, 0, 0]", false),
            (r#"{"a": [1, 2]}"#, false),
            ("{\n  \"b\": \",:\",\n  \"a\": [1, 2]\n}", true),
            ("and more", true),
        ] {
            structured.see(text);
            assert_eq!(structured.is_seen, is_seen, "{text}");
        }
    }

    #[test]
    fn a_structured_result_is_said_once() {
        let repeated = json!({"content": [{"type": "text", "text": "{ \"a\": 1 }"}], "structuredContent": {"a": 1}});
        let other =
            json!({"content": [{"type": "text", "text": "one"}], "structuredContent": {"a": 1}});
        for (value, said) in [(repeated, "{ \"a\": 1 }"), (other, "one\n{\"a\":1}")] {
            let output = of(result(value.clone()), None).unwrap();
            assert_eq!(output, Content::from(said).into());
            let mut value = value;
            value["isError"] = true.into();
            let error = of(result(value), None).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn a_failure_keeps_the_words_of_the_server_whatever_stands_beside_them() {
        let blob = json!({"uri": "file:///a", "mimeType": "x\ny", "blob": "?"});
        let error = of(
            result(json!({"isError": true, "content": [
                {"type": "text", "text": "The disk is full."},
                {"type": "image", "mimeType": "image/png", "data": "not base64!"},
                {"type": "audio", "mimeType": "nonsense", "data": ""},
                {"type": "resource", "resource": blob},
                {"type": "text", "text": "Free some."},
            ]})),
            None,
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains("The disk is full.\nFree some."), "{error}");
        assert!(!error.contains("the tool ran"), "{error}");
        for word in ["`image/png`", "`nonsense`", r"`x\ny`"] {
            assert!(error.contains(word), "{error}");
        }
    }
}
