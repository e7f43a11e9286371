use std::{
    collections::{HashSet, VecDeque, hash_map::RandomState},
    hash::BuildHasher,
};

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::value::RawValue;

use super::json::{Kind, each_element, kind, members, string};
use crate::chat::{ChatEvent, Media, ProviderError};

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
pub(crate) struct MadePictures {
    /// The hashes of the URLs so far: servers repeat the pictures of the stream at its end.
    seen: HashSet<u64>,
    hash: RandomState,
    is_lost: bool,
}

impl MadePictures {
    /// Returns true if a picture or another medium was refused, so that the answer lacks it.
    #[cfg_attr(
        not(any(feature = "openai", feature = "openai-responses-upstream")),
        allow(dead_code, reason = "Ollama sends nothing after its end")
    )]
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Takes the pictures of a message: a list of them, or one without its list.
    ///
    /// # Errors
    ///
    /// If one can't be passed on.
    pub(crate) fn take_all(
        &mut self,
        pictures: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if each_element(pictures, |picture| self.take(picture, out))? {
            return Ok(());
        }
        self.take(pictures, out)
    }

    /// Takes a picture.
    ///
    /// # Errors
    ///
    /// If it can't be passed on.
    pub(crate) fn take(
        &mut self,
        picture: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Some(url) = url_of(picture) else {
            return Err(self.refuse("a picture", "it has no URL"));
        };
        if !self.seen.insert(self.hash.hash_one(url.trim())) {
            return Ok(());
        }
        match read(&url) {
            Ok(media) => out.push_back(media.into()),
            Err(why) => return Err(self.refuse("a picture", &why)),
        }
        Ok(())
    }

    /// Refuses a part of the answer by its type, if that says that the part is a medium.
    ///
    /// # Errors
    ///
    /// If it is one.
    pub(crate) fn refuse_medium(&mut self, class: &str) -> Result<(), ProviderError> {
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
        Err(self.refuse(&what, "only pictures are known"))
    }

    fn refuse(&mut self, what: &str, why: &str) -> ProviderError {
        self.is_lost = true;
        not_passed_on(what, why)
    }
}

/// Creates the error of a part of an answer that has no form for clients.
pub(crate) fn not_passed_on(what: &str, why: &str) -> ProviderError {
    ProviderError::new(format!(
        "the model made {what}, which can't be passed on: {why}"
    ))
}

/// Returns the type of a picture by its first bytes.
pub(crate) fn picture_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

/// Returns the URL of a picture, or its base64.
fn url_of(picture: &RawValue) -> Option<String> {
    if kind(picture) != Kind::Object {
        return string(picture);
    }
    let [image, url, base64] = members(picture.get(), ["image_url", "url", "b64_json"]).ok()?;
    let image = image.and_then(|image| match kind(image) {
        Kind::Object => members(image.get(), ["url"]).ok()?[0].and_then(string),
        _ => string(image),
    });
    image
        .or_else(|| url.and_then(string))
        .or_else(|| base64.and_then(string))
}

/// Reads a picture from a URL, or from base64.
fn read(url: &str) -> Result<Media, String> {
    let url = url.trim();
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    let media = match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case("data") => of_data(&url[5..])?,
        Some(_) => Media::link(type_of_link(url), url),
        None => of_bytes(&decode(url)?, "")?,
    };
    media.check().map_err(|error| error.to_string())?;
    Ok(media)
}

/// Reads what follows `data:` in a URL.
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
    let found = picture_type(bytes).ok_or("its type isn't known")?;
    Ok(Media::new(found, bytes))
}

fn decode(base64: &str) -> Result<Vec<u8>, String> {
    let clean: String = base64.split_ascii_whitespace().collect();
    BASE64
        .decode(clean)
        .map_err(|_| "it is neither a URL nor in base64".to_owned())
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
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff";

    fn made(pictures: &str) -> Result<Vec<Media>, String> {
        let pictures: Box<RawValue> = serde_json::from_str(pictures).unwrap();
        let (mut made, mut out) = (MadePictures::default(), VecDeque::new());
        let taken = made.take_all(&pictures, &mut out);
        assert_eq!(made.is_lost(), taken.is_err());
        taken.map_err(|error| error.to_string())?;
        let media = out.into_iter().map(|event| match event {
            ChatEvent::Media(media) => *media,
            other => panic!("{other:?}"),
        });
        Ok(media.collect())
    }

    fn one(url: &str) -> Result<Media, String> {
        let mut made = made(&serde_json::json!([url]).to_string())?;
        assert_eq!(made.len(), 1);
        Ok(made.remove(0))
    }

    #[test]
    fn a_picture_is_read_in_every_form_and_once() {
        let png = Media::new("image/png", PNG);
        let url = &png.url;
        let base64 = png.base64().unwrap();
        for form in [
            format!(r#"[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]"#),
            format!(r#"[{{"image_url":"{url}"}}]"#),
            format!(r#"{{"url":"{url}"}}"#),
            format!(r#"["{url}",null,{{"image_url":{{"url":"{url}"}}}}]"#),
            format!(r#"["{base64}"]"#),
            format!(r#"[{{"b64_json":"{base64}"}}]"#),
        ] {
            assert_eq!(made(&form).unwrap(), std::slice::from_ref(&png), "{form}");
        }
        assert_eq!(made("[]").unwrap(), []);
    }

    #[test]
    fn urls_are_passed_on_byte_for_byte_and_odd_ones_are_mended() {
        let all: Vec<u8> = (0..=255).collect();
        let media = Media::new("image/webp", &all);
        assert_eq!(one(&media.url).unwrap(), media);
        let url = media.url.trim_end_matches('=');
        assert_eq!(one(url).unwrap(), media);
        let (head, data) = media.url.split_at(40);
        assert_eq!(one(&format!("{head}\n {data}\n")).unwrap(), media);
        assert_eq!(
            one("data:image/svg+xml,%3Csvg/%3e%").unwrap(),
            Media::new("image/svg+xml", "<svg/>%")
        );
        let png = Media::new("image/png", PNG);
        let bare = format!("DATA:;base64,{}", png.base64().unwrap());
        assert_eq!(one(&bare).unwrap(), png);
        for (link, kind) in [
            ("https://a.b/c.JPG?x=.png", "image/jpeg"),
            ("http://a.b/c", "image/*"),
        ] {
            assert_eq!(one(link).unwrap(), Media::link(kind, link));
        }
    }

    #[test]
    fn what_is_no_picture_is_an_error_that_says_why() {
        for (picture, why) in [
            (r#"[{"type":"image_url"}]"#, "no URL"),
            ("[7]", "no URL"),
            (r#"["file:///etc/passwd"]"#, "`url`"),
            (r#"["data:image/png;base64"]"#, "comma"),
            (r#"["data:image/png;base64,!"]"#, "base64"),
            (r#"["data:;base64,AAAA"]"#, "type"),
            (r#"["data:png;base64,AAAA"]"#, "mediaType"),
            (r#"["words"]"#, "base64"),
        ] {
            let error = made(picture).unwrap_err();
            assert!(
                error.contains("a picture") && error.contains(why),
                "{error}"
            );
        }
        let mut made = MadePictures::default();
        for class in [
            "reference",
            "file_citation",
            "document_reference",
            "profile",
        ] {
            made.refuse_medium(class).unwrap();
        }
        assert!(!made.is_lost());
        let error = made.refuse_medium("video_url").unwrap_err();
        assert!(error.to_string().contains("`video_url`") && made.is_lost());
        let error = made.refuse_medium("file <words>").unwrap_err();
        assert!(!error.to_string().contains("words"), "{error}");
    }
}
