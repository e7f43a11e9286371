//! Reads media of requests whose protocols name their types less strictly than [`Media`] does.

use crate::chat::{Media, MediaDetail};

/// The media types of common names of files.
const TYPES: &[(&str, &str)] = &[
    ("aac", "audio/aac"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/opus"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "application/xml"),
];

/// Creates a medium from an address. Its type is the one that the client names, else that of a `data:`
/// URL, else that of the name, else the fallback.
pub(super) fn at(url: String, named: Option<&str>, name: Option<String>, fallback: &str) -> Media {
    let of_data = || data_type(&url).filter(|own| !own.is_empty());
    let of_name = || {
        let of_url = || file_type(path(&url));
        name.as_deref().and_then(file_type).or_else(of_url)
    };
    let media_type = named
        .filter(|named| !named.is_empty())
        .or_else(of_data)
        .or_else(of_name)
        .unwrap_or(fallback)
        .to_owned();
    with_name(Media::link(media_type, url), name)
}

/// Creates a medium from base64.
pub(super) fn of_base64(data: &str, media_type: &str, name: Option<String>) -> Media {
    let url = format!("data:{media_type};base64,{data}");
    with_name(Media::link(media_type, url), name)
}

/// Returns the type of a file of this name.
pub(super) fn file_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    let of = TYPES
        .iter()
        .find(|(own, _)| own.eq_ignore_ascii_case(extension));
    of.map(|(_, media_type)| *media_type)
}

/// Returns true for a `data:` URL.
#[cfg(feature = "openai-responses")]
pub(super) fn is_data(url: &str) -> bool {
    data_type(url).is_some()
}

fn with_name(media: Media, name: Option<String>) -> Media {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => media.name(name),
        None => media,
    }
}

/// Returns the type of a `data:` URL, without parameters.
fn data_type(url: &str) -> Option<&str> {
    let scheme = url.get(..5)?;
    let rest = url.get(5..)?;
    let end = rest.find([';', ',']).unwrap_or(rest.len());
    scheme.eq_ignore_ascii_case("data:").then_some(&rest[..end])
}

/// Returns the path of a link, without query and fragment.
fn path(url: &str) -> &str {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[path..]
}

/// Returns a medium with the detail that the client names.
///
/// # Errors
///
/// If the word is none that is known.
pub(super) fn with_detail(media: Media, detail: Option<&str>) -> Result<Media, String> {
    Ok(match detail {
        None | Some("auto") => media,
        Some("low") => media.detail(MediaDetail::Low),
        Some("high") => media.detail(MediaDetail::High),
        Some("original") => media.detail(MediaDetail::Original),
        Some(_) => return Err("`detail` must be `auto`, `low`, `high` or `original`".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_the_named_one_else_that_of_the_data_else_that_of_the_name() {
        let of = |url: &str, named, name: Option<&str>| {
            at(url.to_owned(), named, name.map(str::to_owned), "image/*").media_type
        };
        let data = "data:image/png;base64,AAAA";
        assert_eq!(of(data, Some("image/gif"), None), "image/gif");
        assert_eq!(of(data, Some(""), Some("a.jpg")), "image/png");
        let link = "https://example.com/a.JPG?size=1.png#b.gif";
        assert_eq!(of(link, None, None), "image/jpeg");
        assert_eq!(of(link, None, Some("a.webp")), "image/webp");
        assert_eq!(of("https://example.png", None, None), "image/*");
        assert_eq!(of("https://example.com/a", None, Some("a")), "image/*");
    }

    #[test]
    fn base64_becomes_a_data_url() {
        let media = of_base64("SGk=", "text/plain", Some("a.txt".into()));
        assert_eq!(media.to_bytes().unwrap(), b"Hi");
        assert_eq!(media.check(), Ok(()));
        assert_eq!(media.name.as_deref(), Some("a.txt"));
        assert_eq!(
            of_base64("SGk=", "text/plain", Some(String::new())).name,
            None
        );
    }
}
