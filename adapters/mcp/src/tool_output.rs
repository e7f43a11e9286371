//! The result of a server's tool, as a model gets it.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;
use unbroken::{
    chat::Schema,
    tools::{Output, ToolFailure},
};

/// Returns the output of a tool whose result should fit the schema.
///
/// # Errors
///
/// If the server says that the tool failed, if the result doesn't fit, or if it can't be carried.
pub(crate) fn of(result: CallToolResult, schema: Option<&Schema>) -> Result<Output, ToolFailure> {
    let failed = result.is_error == Some(true);
    let mut texts = Vec::new();
    for block in result.content {
        match block {
            ContentBlock::Text(text) => texts.push(text.text),
            ContentBlock::Resource(resource) => match resource.resource {
                ResourceContents::TextResourceContents { text, .. } => texts.push(text),
                ResourceContents::BlobResourceContents { mime_type, .. } => {
                    return Err(cannot_carry(mime_type.as_deref().unwrap_or("bytes")));
                }
                _ => return Err(cannot_carry("a resource of an unknown form")),
            },
            ContentBlock::ResourceLink(link) => {
                let link = serde_json::to_string(&link);
                texts.push(link.map_err(|_| cannot_carry("a link that can't be written"))?);
            }
            ContentBlock::Image(image) => return Err(cannot_carry(&image.mime_type)),
            ContentBlock::Audio(audio) => return Err(cannot_carry(&audio.mime_type)),
            _ => return Err(cannot_carry("content of an unknown form")),
        }
    }
    match result.structured_content {
        Some(structured) => {
            if !failed {
                check(schema, &structured)?;
            }
            let is_same = |text: &String| {
                serde_json::from_str::<Value>(text).is_ok_and(|text| text == structured)
            };
            if !texts.iter().any(is_same) {
                texts.push(structured.to_string());
            }
        }
        None if failed || schema.is_none() => {}
        None => {
            let missing =
                "the tool ran, but its server left out the structured result that it announces";
            return Err(ToolFailure::new(missing));
        }
    }
    let text = texts.join("\n");
    if failed {
        let message = if text.is_empty() {
            "the tool failed".into()
        } else {
            text
        };
        return Err(ToolFailure::new(message));
    }
    Ok(Output::Content(text))
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
