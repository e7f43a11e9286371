use std::{
    collections::{HashSet, VecDeque, hash_map::RandomState},
    hash::BuildHasher,
};

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::Value;
use unbroken::chat::{ChatEvent, Media, ProviderError};

use crate::failure::not_passed_on;

/// Base64 whose padding may be absent.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The pictures that the model made in one answer.
///
/// A server gives each as `{"type":"image_url","image_url":{"url":…}}`, with a `data:` URL or a link; some give
/// the URL alone, or the picture in base64. What can't be passed on is an error.
#[derive(Debug, Default)]
pub(super) struct FoundPictures {
    // The hashes of the URLs so far: servers repeat the pictures of the stream at its end.
    seen: HashSet<u64>,
    hash: RandomState,
}

impl FoundPictures {
    /// Takes the pictures of a message: a list of them, or one without its list.
    ///
    /// # Errors
    ///
    /// If one can't be passed on.
    pub(super) fn take_all(
        &mut self,
        pictures: &Value,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Value::Array(list) = pictures else {
            return self.take(pictures, out);
        };
        for picture in list.iter().filter(|it| !it.is_null()) {
            self.take(picture, out)?;
        }
        Ok(())
    }

    /// Takes a picture.
    ///
    /// # Errors
    ///
    /// If it can't be passed on.
    pub(super) fn take(
        &mut self,
        picture: &Value,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Some(url) = url_of(picture).map(str::trim) else {
            return Err(not_passed_on("a picture", "it has no URL"));
        };
        if self.seen.insert(self.hash.hash_one(url)) {
            let media = read(url).map_err(|why| not_passed_on("a picture", &why))?;
            out.push_back(media.into());
        }
        Ok(())
    }
}

/// Refuses a part of an answer by its type, if that says that the part is a medium.
///
/// # Errors
///
/// If it is one.
pub(super) fn refuse_medium(class: &str) -> Result<(), ProviderError> {
    const MEDIA: [&str; 6] = ["image", "audio", "video", "file", "document", "media"];
    // Words about a medium that is elsewhere.
    const ABOUT: [&str; 3] = ["citation", "reference", "search"];
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let has = |words: &[&str]| {
        let mut of_class = class.split(|it: char| !it.is_ascii_alphanumeric());
        of_class.any(|word| words.contains(&word))
    };
    if !has(&MEDIA) || has(&ABOUT) {
        return Ok(());
    }
    let is_shown = class.len() <= 40 && class.bytes().all(is_plain);
    let what = if is_shown {
        format!("a part of the type `{class}`")
    } else {
        "a part that is no text".to_owned()
    };
    Err(not_passed_on(&what, "only pictures are known"))
}

fn url_of(picture: &Value) -> Option<&str> {
    if !picture.is_object() {
        return picture.as_str();
    }
    let image = picture.get("image_url");
    let nested = image.and_then(|image| image.get("url").unwrap_or(image).as_str());
    let word = |name: &str| picture.get(name)?.as_str();
    nested.or_else(|| word("url")).or_else(|| word("b64_json"))
}

fn read(url: &str) -> Result<Media, String> {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    let media = match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case("data") => of_data(&url[5..])?,
        Some(_) => Media::link(type_of_link(url), url),
        None => of_bytes(&decode(url)?, "")?,
    };
    media.check().map_err(|error| error.to_string())?;
    Ok(media)
}

fn of_data(rest: &str) -> Result<Media, String> {
    let (head, data) = rest.split_once(',').ok_or("its `data:` URL has no comma")?;
    let (media_type, is_base64) = match head.rsplit_once(';') {
        Some((head, encoding)) if encoding.trim().eq_ignore_ascii_case("base64") => (head, true),
        _ => (head, false),
    };
    let media_type = media_type.trim();
    if !is_base64 {
        return of_bytes(&percent_decoded(data), media_type);
    }
    // Passed on as it is, if it can be.
    let media = Media::link(media_type, format!("data:{media_type};base64,{data}"));
    match media.check() {
        Ok(()) => Ok(media),
        Err(_) => of_bytes(&decode(data)?, media_type),
    }
}

fn of_bytes(bytes: &[u8], media_type: &str) -> Result<Media, String> {
    if !media_type.is_empty() {
        return Ok(Media::new(media_type, bytes));
    }
    let found = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        _ if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => "image/webp",
        _ => return Err("its type isn't known".to_owned()),
    };
    Ok(Media::new(found, bytes))
}

fn decode(base64: &str) -> Result<Vec<u8>, String> {
    let clean: String = base64.split_ascii_whitespace().collect();
    let decoded = BASE64.decode(clean);
    decoded.map_err(|_| "it is neither a URL nor in base64".to_owned())
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                let value = digit(high).unwrap_or(0) << 4 | digit(low).unwrap_or(0);
                bytes.push(u8::try_from(value).unwrap_or(b'%'));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

/// Returns the type of a link by the end of its path; `image/*` if that says nothing.
fn type_of_link(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let end = path
        .rsplit_once('.')
        .map(|(_, end)| end.to_ascii_lowercase());
    match end.as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        Some("svg") => "image/svg+xml",
        _ => "image/*",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff";

    fn made(pictures: &Value) -> Result<Vec<Value>, String> {
        let mut out = VecDeque::new();
        let taken = FoundPictures::default().take_all(pictures, &mut out);
        taken.map_err(|error| error.to_string())?;
        Ok(out
            .iter()
            .map(|it| serde_json::to_value(it).unwrap())
            .collect())
    }

    #[test]
    fn a_picture_is_read_in_every_form_and_once() {
        let png = Media::new("image/png", PNG);
        let (url, base64) = (png.url.clone(), png.base64().unwrap().to_owned());
        let expected = json!([ChatEvent::from(png)]);
        for form in [
            json!([{"type": "image_url", "image_url": {"url": url}}]),
            json!([{"image_url": url}]),
            json!({"url": url}),
            json!([url, null, {"image_url": {"url": url}}]),
            json!([base64]),
            json!([{"b64_json": base64}]),
            json!([url.trim_end_matches('=')]),
        ] {
            assert_eq!(json!(made(&form).unwrap()), expected, "{form}");
        }
        assert_eq!(made(&json!([])).unwrap(), [Value::Null; 0]);
        let svg = made(&json!(["data:image/svg+xml,%3Csvg/%3e%"])).unwrap();
        let expected = ChatEvent::from(Media::new("image/svg+xml", "<svg/>%"));
        assert_eq!(json!(svg), json!([expected]));
        let link = made(&json!(["https://a.b/c.JPG?x=.png"])).unwrap();
        assert_eq!(link[0]["mediaType"], "image/jpeg");
    }

    #[test]
    fn what_is_no_picture_is_an_error_that_says_why() {
        for (picture, why) in [
            (json!([{"type": "image_url"}]), "no URL"),
            (json!([7]), "no URL"),
            (json!(["file:///etc/passwd"]), "`url`"),
            (json!(["data:image/png;base64"]), "comma"),
            (json!(["data:image/png;base64,!"]), "base64"),
            (json!(["data:;base64,AAAA"]), "type"),
            (json!(["words"]), "base64"),
        ] {
            let error = made(&picture).unwrap_err();
            assert!(
                error.contains("a picture") && error.contains(why),
                "{error}"
            );
        }
        for class in ["reference", "file_citation", "profile", ""] {
            refuse_medium(class).unwrap();
        }
        let error = refuse_medium("video_url").unwrap_err();
        assert!(error.to_string().contains("`video_url`"), "{error}");
        let error = refuse_medium("file <words>").unwrap_err();
        assert!(!error.to_string().contains("words"), "{error}");
    }
}
