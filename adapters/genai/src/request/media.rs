use base64::{Engine, engine::general_purpose::STANDARD};
use genai::chat::ContentPart;
use serde_json::{Value, json};
use unbroken::chat::{Media, ProviderError, Role};

use super::Scene;
use crate::wire_format::WireFormat;

/// Returns a medium of a user as a part of a message; `None` if it is left out.
///
/// # Errors
///
/// If there is no form for it.
pub(super) fn of_user(
    scene: &Scene<'_>,
    media: &Media,
) -> Result<Option<ContentPart>, ProviderError> {
    if media.detail.is_some() && !scene.wire.is_claude() {
        scene.unsupported.detail()?;
    }
    match scene.wire {
        WireFormat::Anthropic | WireFormat::VertexClaude => {
            let block = claude_block(scene, media, Role::User)?;
            Ok(block.map(|block| ContentPart::from_custom(block, None)))
        }
        WireFormat::Gemini if media.is_of("*/*") && media.media_type.ends_with("/*") => {
            refuse(scene, media, "the type of a link must be known")
        }
        WireFormat::Gemini => Ok(Some(binary(media))),
        WireFormat::Chat => {
            let sound = media.is_of("audio/wav") || media.is_of("audio/mpeg");
            let file = media.is_of("application/*") || media.is_of("text/*");
            if media.is_of("image/*") || ((sound || file) && !media.is_link()) {
                Ok(Some(binary(media)))
            } else if sound || file {
                refuse(scene, media, "it must come as data")
            } else {
                refuse(scene, media, "there is no form for it")
            }
        }
        WireFormat::Responses | WireFormat::Other => {
            if media.is_of("image/*") && !media.is_link() {
                Ok(Some(binary(media)))
            } else {
                refuse(scene, media, "only pictures, as data, are sent to it")
            }
        }
    }
}

fn refuse(
    scene: &Scene<'_>,
    media: &Media,
    why: &str,
) -> Result<Option<ContentPart>, ProviderError> {
    scene.unsupported.media(media, Role::User, why)?;
    Ok(None)
}

fn binary(media: &Media) -> ContentPart {
    let name = media.name.clone();
    match media.base64() {
        Some(data) => ContentPart::from_binary_base64(&media.media_type, data, name),
        None => ContentPart::from_binary_url(&media.media_type, &media.url, name),
    }
}

/// Returns a medium as a block of Claude's protocol; `None` if it is left out. genai leaves pictures behind links
/// out in silence, and knows no media in results of tools.
///
/// # Errors
///
/// If there is no form for it.
pub(super) fn claude_block(
    scene: &Scene<'_>,
    media: &Media,
    role: Role,
) -> Result<Option<Value>, ProviderError> {
    if media.detail.is_some() {
        scene.unsupported.detail()?;
    }
    let is_text = media.is_of("text/*");
    let (kind, source) = if media.is_of("image/*") {
        ("image", bytes_or_link(media))
    } else if media.is_of("application/pdf") {
        ("document", bytes_or_link(media))
    } else if let Some(data) = media.base64().filter(|_| is_text) {
        let bytes = STANDARD.decode(data).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let source = json!({"type": "text", "media_type": "text/plain", "data": text});
        ("document", source)
    } else {
        let why = "it reads pictures, PDF, and text as data";
        scene.unsupported.media(media, role, why)?;
        return Ok(None);
    };
    let mut block = json!({"type": kind, "source": source});
    if let Some(name) = media.name.as_ref().filter(|_| kind == "document") {
        block["title"] = name.as_str().into();
    }
    Ok(Some(block))
}

fn bytes_or_link(media: &Media) -> Value {
    match media.base64() {
        Some(data) => json!({"type": "base64", "media_type": media.media_type, "data": data}),
        None => json!({"type": "url", "url": media.url}),
    }
}
