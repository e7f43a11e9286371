use serde_json::{Value, json};

use crate::{
    chat::{Media, MediaDetail, ProviderError, Role},
    provider::openai_responses::config::ResponsesConfig,
};

/// Encodes a medium of a user or of a tool. `None` if it is left out.
///
/// # Errors
///
/// If the server has no form for it.
pub(super) fn part(
    config: &ResponsesConfig,
    media: &Media,
    role: Role,
) -> Result<Option<Value>, ProviderError> {
    let unsupported = |why| config.unsupported.media(media, role, why).map(|()| None);
    if !matches!(role, Role::User | Role::Tool) {
        return unsupported("such messages are text");
    }
    if !media.is_link() && media.base64().is_none() {
        return unsupported("its `data:` URL isn't in base64");
    }
    if media.is_of("image/*") {
        let detail = media.detail.map_or("auto", MediaDetail::as_str);
        return Ok(Some(
            json!({"type": "input_image", "image_url": media.url, "detail": detail}),
        ));
    }
    if !media.is_of("application/*") && !media.is_of("text/*") {
        return unsupported("pictures, documents and texts can be sent");
    }
    let mut file = json!({"type": "input_file"});
    match media.detail {
        None => {}
        Some(MediaDetail::Original) => config
            .unsupported
            .detail("of a file, `low` and `high` can be asked for")?,
        Some(detail) => file["detail"] = detail.as_str().into(),
    }
    if media.is_link() {
        file["file_url"] = media.url.as_str().into();
    } else {
        file["filename"] = file_name(media).into();
        file["file_data"] = media.url.as_str().into();
    }
    Ok(Some(file))
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
