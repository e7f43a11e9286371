use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A picture, a sound or a file: a part of a message, or the event `media` of an answer.
///
/// Its bytes stand in a `data:` URL, or behind a link.
///
/// ```
/// use unbroken::chat::Media;
///
/// let media = Media::new("text/plain", b"Hi").name("note.txt");
/// assert_eq!(media.url, "data:text/plain;base64,SGk=");
/// assert_eq!(media.base64(), Some("SGk="));
/// assert!(!media.is_link());
/// media.check()?;
/// # Ok::<_, unbroken::chat::InvalidMedia>(())
/// ```
///
/// `Debug` shows its size instead of its content.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Media {
    /// The media type: `image/png`. Of a link also a kind, `image/*`, where its client names no type.
    pub media_type: String,
    /// A `data:` URL in base64, or a link: an `https:` or `http:` URL.
    pub url: String,
    /// The name of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How closely the model looks at it; `None` for the choice of the model's server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<MediaDetail>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The detail in which a model sees a picture or the pages of a file, which decides how many tokens it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MediaDetail {
    /// Reduced, for few tokens.
    Low,
    /// Fine.
    High,
    /// As fine as the medium is.
    Original,
}

impl MediaDetail {
    /// Returns the word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
            Self::Original => "original",
        }
    }
}

/// The error of a [`Media`] that no provider could read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMedia {
    /// The media type has no form `type/subtype`, or is too long.
    #[error("`mediaType` must be a media type such as `image/png`")]
    MediaType,
    /// The URL is neither a `data:` URL nor a link.
    #[error("`url` must be a `data:` URL in base64, or begin with `https://` or `http://`")]
    Url,
    /// The `data:` URL isn't in base64.
    #[error("the `data:` URL must be in base64: `data:image/png;base64,…`")]
    Base64,
    /// The `data:` URL names another media type.
    #[error("the `data:` URL names another media type than `mediaType`")]
    OtherType,
}

impl Media {
    /// The maximum length of a media type, in bytes.
    pub const MAX_TYPE_BYTES: usize = 127;
    /// The most bytes of a link, where clients and tools give it.
    pub(crate) const MAX_LINK_BYTES: usize = 8 * 1024;
    /// The most bytes of a file's name, where clients and tools give it.
    pub(crate) const MAX_NAME_BYTES: usize = 255;

    /// Creates a medium of these bytes, as a `data:` URL.
    pub fn new(media_type: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        let media_type = media_type.into();
        let mut url = format!("data:{media_type};base64,");
        STANDARD.encode_string(bytes, &mut url);
        Self::link(media_type, url)
    }

    /// Creates a medium behind a link.
    pub fn link(media_type: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            media_type: media_type.into(),
            url: url.into(),
            name: None,
            detail: None,
            extra: Map::new(),
        }
    }

    /// Sets the name of the file.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the detail in which the model sees it.
    pub fn detail(mut self, detail: MediaDetail) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Returns true if the bytes are behind a link.
    pub fn is_link(&self) -> bool {
        !self.is_data()
    }

    /// Returns the bytes in base64, as they stand in the `data:` URL; `None` for a link, and for a URL in
    /// another encoding.
    pub fn base64(&self) -> Option<&str> {
        let (head, data) = self.data()?;
        let (_, encoding) = head.rsplit_once(';')?;
        encoding.eq_ignore_ascii_case("base64").then_some(data)
    }

    /// Returns the bytes of a `data:` URL; `None` for a link, and if they can't be decoded.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.base64()?).ok()
    }

    /// Returns the number of bytes that a `data:` URL holds; 0 for a link.
    pub fn decoded_len(&self) -> usize {
        let Some(data) = self.base64() else {
            return 0;
        };
        let padding = data.bytes().rev().take_while(|byte| *byte == b'=').count();
        (data.len() / 4 * 3).saturating_sub(padding.min(2))
    }

    /// Returns true if the type is one of the range: `image/*`, `*/*`, or a whole type. Parameters and
    /// case don't matter.
    pub fn is_of(&self, range: &str) -> bool {
        let own = essence(&self.media_type);
        match range.strip_suffix('*') {
            Some("*/") => true,
            Some(kind) => own
                .get(..kind.len())
                .is_some_and(|own| kind.ends_with('/') && own.eq_ignore_ascii_case(kind)),
            None => own.eq_ignore_ascii_case(essence(range)),
        }
    }

    /// Checks that the type and the URL are well formed, and that both name one type. Nothing is fetched,
    /// and the bytes behind the base64 are not looked at.
    ///
    /// # Errors
    ///
    /// [`InvalidMedia`], with a text for the client.
    pub fn check(&self) -> Result<(), InvalidMedia> {
        let own = essence(&self.media_type);
        // The type of a link may be unknown: `image/*`.
        let is_kind = self.is_link() && own.strip_suffix("/*").is_some_and(is_token);
        if !(is_kind || is_media_type(own)) || self.media_type.len() > Self::MAX_TYPE_BYTES {
            return Err(InvalidMedia::MediaType);
        }
        if !self.is_data() {
            let is_web = ["https://", "http://"].iter().any(|scheme| {
                let begin = self.url.get(..scheme.len());
                begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
                    && self.url.len() > scheme.len()
            });
            let is_clean = !self.url.contains(|it: char| it.is_control() || it == ' ');
            return (is_web && is_clean).then_some(()).ok_or(InvalidMedia::Url);
        }
        let (head, _) = self.data().ok_or(InvalidMedia::Url)?;
        let data = self.base64().ok_or(InvalidMedia::Base64)?;
        if !essence(head).eq_ignore_ascii_case(own) {
            return Err(InvalidMedia::OtherType);
        }
        if is_base64(data) {
            Ok(())
        } else {
            Err(InvalidMedia::Base64)
        }
    }

    /// Returns true if the name is one of a file: short, and without control characters.
    pub(crate) fn has_clean_name(&self) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        name.len() <= Self::MAX_NAME_BYTES && !name.contains(char::is_control)
    }

    /// Returns the number of bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        self.media_type.len() + self.url.len() + self.name.as_ref().map_or(0, String::len)
    }

    fn is_data(&self) -> bool {
        let scheme = self.url.get(..5);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
    }

    /// Returns what stands before and after the comma of a `data:` URL.
    fn data(&self) -> Option<(&str, &str)> {
        self.is_data().then(|| self.url[5..].split_once(','))?
    }
}

/// Returns true for a media type, and for a range of them: `image/*`, `*/*`.
pub(crate) fn is_media_range(range: &str) -> bool {
    match range.split_once('*') {
        None => is_media_type(essence(range)) && range.len() <= Media::MAX_TYPE_BYTES,
        Some((kind, "")) => kind.strip_suffix('/').is_some_and(is_token),
        Some(_) => range == "*/*",
    }
}

/// Returns a media type without its parameters.
fn essence(media_type: &str) -> &str {
    let end = media_type.find(';').unwrap_or(media_type.len());
    media_type[..end].trim()
}

fn is_token(text: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_token)
}

fn is_media_type(essence: &str) -> bool {
    let parts = essence.split_once('/');
    parts.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// Returns true for whole groups of four of the standard alphabet, padded at the end.
fn is_base64(data: &str) -> bool {
    let body = data.trim_end_matches('=');
    let is_of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    data.len().is_multiple_of(4) && data.len() - body.len() <= 2 && body.bytes().all(is_of_alphabet)
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media")
            .field("media_type", &self.media_type)
            .field("is_link", &self.is_link())
            .field("bytes", &self.url.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(media_type: &str, url: &str) -> Result<(), InvalidMedia> {
        Media::link(media_type, url).check()
    }

    #[test]
    fn bytes_of_any_length_go_in_and_come_out() {
        for len in 0..10_u8 {
            let bytes: Vec<_> = (0..len).map(|it| it.wrapping_add(250)).collect();
            let media = Media::new("application/octet-stream", &bytes);
            assert_eq!(media.check(), Ok(()), "{}", media.url);
            assert_eq!(media.to_bytes(), Some(bytes.clone()));
            assert_eq!(media.decoded_len(), bytes.len());
        }
    }

    #[test]
    fn a_detail_has_its_word_on_the_wire() {
        for detail in [MediaDetail::Low, MediaDetail::High, MediaDetail::Original] {
            let media = Media::new("image/png", [0]).detail(detail);
            let json = serde_json::to_value(&media).unwrap();
            assert_eq!(json["detail"], detail.as_str());
            assert_eq!(serde_json::from_value::<Media>(json).unwrap(), media);
        }
        let unknown =
            serde_json::json!({"mediaType": "image/png", "url": "https://a.b", "detail": "huge"});
        let error = serde_json::from_value::<Media>(unknown).unwrap_err();
        assert!(error.to_string().contains("huge"), "{error}");
    }

    #[test]
    fn links_and_data_are_told_apart() {
        assert_eq!(check("image/png", "https://example.com/a.png"), Ok(()));
        assert_eq!(check("image/png", "HTTP://example.com/a"), Ok(()));
        assert_eq!(check("image/png", "DATA:image/png;BASE64,AAAA"), Ok(()));
        for url in [
            "",
            "https://",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "blob:https://example.com/1",
            "ftp://example.com",
            "https://example.com/a b",
            "https://example.com/a\nb",
            "data:image/png;base64",
            "é",
        ] {
            assert_eq!(check("image/png", url), Err(InvalidMedia::Url), "{url}");
        }
        assert!(Media::link("image/png", "é").is_link());
    }

    #[test]
    fn data_is_base64_of_the_named_type() {
        for url in [
            "data:image/png,abc",
            "data:image/png;base64,AAA",
            "data:image/png;base64,AA A",
            "data:image/png;base64,A===",
            "data:image/png;base64,AA_-",
            "data:image/png;base64,A=AA",
        ] {
            assert_eq!(check("image/png", url), Err(InvalidMedia::Base64), "{url}");
        }
        let other = "data:text/html;base64,AAAA";
        assert_eq!(check("image/png", other), Err(InvalidMedia::OtherType));
        let with_parameter = "data:text/plain;charset=utf-8;base64,AAAA";
        assert_eq!(check("text/plain", with_parameter), Ok(()));
    }

    #[test]
    fn a_media_type_has_two_halves_and_a_length() {
        let url = "https://example.com";
        for media_type in ["", "image", "image/", "/png", "image/png/x", "ima ge/png"] {
            assert_eq!(check(media_type, url), Err(InvalidMedia::MediaType));
        }
        assert_eq!(check("image/*", url), Ok(()));
        for (media_type, url) in [("*/*", url), ("image/*", "data:image/*;base64,AAAA")] {
            assert_eq!(check(media_type, url), Err(InvalidMedia::MediaType));
        }
        let long = format!("image/{}", "x".repeat(Media::MAX_TYPE_BYTES - 6));
        assert_eq!(check(&long, url), Ok(()));
        assert_eq!(check(&(long + "x"), url), Err(InvalidMedia::MediaType));
    }

    #[test]
    fn a_range_holds_its_types() {
        let media = Media::link("Image/PNG; q=1", "https://example.com");
        for range in ["image/*", "*/*", "image/png", "IMAGE/PNG"] {
            assert!(media.is_of(range), "{range}");
        }
        for range in ["audio/*", "image/jpeg", "image", "*", ""] {
            assert!(!media.is_of(range), "{range}");
        }
    }
}
