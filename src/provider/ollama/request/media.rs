use crate::{
    chat::{Message, Part, ProviderError},
    provider::ollama::config::OllamaConfig,
};

/// Returns the pictures of a message, in base64.
///
/// # Errors
///
/// If the server has no form for a medium.
pub(super) fn images<'a>(
    config: &OllamaConfig,
    message: &'a Message,
) -> Result<Vec<&'a str>, ProviderError> {
    let mut images = Vec::new();
    for part in message.content.parts() {
        let Part::Media(media) = part else { continue };
        let why = match media.base64() {
            Some(base64) if media.is_of("image/*") => {
                if media.detail.is_some() {
                    config.unsupported.detail("it has none")?;
                }
                images.push(base64);
                continue;
            }
            _ if !media.is_of("image/*") => "only pictures can be sent",
            _ if media.is_link() => "it fetches no links; send the picture's bytes",
            _ => "its `data:` URL isn't in base64",
        };
        config.unsupported.media(media, message.role, why)?;
    }
    Ok(images)
}
