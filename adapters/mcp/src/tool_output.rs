//! The result of a server's tool, as a model gets it.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
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
    let failed = result.is_error == Some(true);
    let structured = result.structured_content;
    let is_structured = |text: &str| {
        let value = serde_json::from_str::<Value>(text);
        structured
            .as_ref()
            .is_some_and(|it| value.is_ok_and(|value| value == *it))
    };
    let mut content = Content::new();
    let mut has_structured = false;
    for block in result.content {
        match block {
            ContentBlock::Text(text) => {
                has_structured |= is_structured(&text.text);
                say(&mut content, &text.text);
            }
            ContentBlock::Resource(resource) => match resource.resource {
                ResourceContents::TextResourceContents { text, .. } => {
                    has_structured |= is_structured(&text);
                    say(&mut content, &text);
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
            ContentBlock::ResourceLink(link) => {
                let link = serde_json::to_string(&link);
                let link = link.map_err(|_| cannot_carry("a link that can't be written"))?;
                say(&mut content, &link);
            }
            ContentBlock::Image(image) => content.push(media(&image.mime_type, &image.data)?),
            ContentBlock::Audio(audio) => content.push(media(&audio.mime_type, &audio.data)?),
            _ => return Err(cannot_carry("content of an unknown form")),
        }
    }
    match &structured {
        Some(structured) => {
            if !failed {
                check(schema, structured)?;
            }
            if !has_structured {
                say(&mut content, &structured.to_string());
            }
        }
        None if failed || schema.is_none() => {}
        None => {
            let missing =
                "the tool ran, but its server left out the structured result that it announces";
            return Err(ToolFailure::new(missing));
        }
    }
    if failed {
        return Err(failure(&content));
    }
    Ok(content.into())
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

/// Returns the last name of a resource's path.
fn file_name(uri: &str) -> Option<&str> {
    let name = uri.rsplit('/').next()?;
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control);
    is_name.then_some(name)
}

/// Returns the failure that a server reports. It is a text, which names the media beside it.
fn failure(content: &Content) -> ToolFailure {
    let mut message = content.to_text().into_owned();
    if message.is_empty() {
        message.push_str("the tool failed");
    }
    for media in content.all_media() {
        let kind = &media.media_type;
        for word in ["\n(with `", kind, "`, which an error can't carry)"] {
            message.push_str(word);
        }
    }
    ToolFailure::new(message)
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
