use serde_json::{Value, json};

use crate::{
    chat::{Media, Message, Part, ProviderError, Role},
    provider::openai::config::OpenAiConfig,
};

/// Returns true for a medium of the model that goes back beside the content: a picture in `images`, and a
/// sound by its words, which are the text of the message.
pub(super) fn is_made(media: &Media, message: &Message) -> bool {
    message.role == Role::Assistant
        && (is_picture(media) || media.is_of("audio/*") && !message.text().is_empty())
}

/// Returns the pictures of a message of the model, in the form in which servers send them.
pub(super) fn made_pictures(message: &Message) -> Vec<Value> {
    let parts = message.content.parts().iter();
    let pictures = parts.filter_map(|part| match part {
        Part::Media(media) if is_picture(media) => Some(picture(media)),
        _ => None,
    });
    pictures.collect()
}

fn is_picture(media: &Media) -> bool {
    media.is_of("image/*") && (media.is_link() || media.base64().is_some())
}

fn picture(media: &Media) -> Value {
    let mut image = json!({"url": media.url});
    if let Some(detail) = media.detail {
        image["detail"] = detail.as_str().into();
    }
    json!({"type": "image_url", "image_url": image})
}

/// Encodes a medium. `None` if it is left out.
///
/// # Errors
///
/// If the server has no form for it.
pub(super) fn part(
    config: &OpenAiConfig,
    media: &Media,
    role: Role,
) -> Result<Option<Value>, ProviderError> {
    let unsupported = |why| config.unsupported.media(media, role, why).map(|()| None);
    match role {
        Role::User => {}
        Role::Tool if config.tool_media => {}
        Role::Tool => return unsupported("results of tools are text"),
        Role::Assistant => {
            return unsupported(
                "of the model's own, pictures can be sent, and sounds as their text",
            );
        }
        _ => return unsupported("such messages are text"),
    }
    if !media.is_link() && media.base64().is_none() {
        return unsupported("its `data:` URL isn't in base64");
    }
    if media.is_of("image/*") {
        return Ok(Some(picture(media)));
    }
    if media.detail.is_some() {
        config
            .unsupported
            .detail("of media, only pictures have it")?;
    }
    let Some(base64) = media.base64() else {
        return unsupported("of links, only those to pictures can be sent");
    };
    if media.is_of("audio/*") {
        let Some(format) = audio_format(media) else {
            return unsupported("of sounds, only `audio/wav` and `audio/mpeg` can be sent");
        };
        return Ok(Some(json!({
            "type": "input_audio",
            "input_audio": {"data": base64, "format": format},
        })));
    }
    if media.is_of("application/*") || media.is_of("text/*") {
        return Ok(Some(json!({
            "type": "file",
            "file": {"filename": file_name(media), "file_data": media.url},
        })));
    }
    unsupported("pictures, sounds, documents and texts can be sent")
}

fn audio_format(media: &Media) -> Option<&'static str> {
    let of = |types: &[&str]| types.iter().any(|kind| media.is_of(kind));
    if of(&["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"]) {
        return Some("wav");
    }
    of(&["audio/mpeg", "audio/mp3"]).then_some("mp3")
}

/// Returns the name of a file, without which servers refuse one.
fn file_name(media: &Media) -> &str {
    match &media.name {
        Some(name) if !name.is_empty() => name,
        _ if media.is_of("application/pdf") => "file.pdf",
        _ if media.is_of("text/plain") => "file.txt",
        _ => "file",
    }
}
