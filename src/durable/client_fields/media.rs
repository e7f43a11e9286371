use std::borrow::Cow;

use super::refusal::{Refusals, closed, not_open};
use crate::{
    chat::{ChatRequest, Content, IsomorphicClientOutput, Media, is_media_range},
    dialect::Refusal,
};

/// The media that clients may send, for [`ClientFields::media`](super::ClientFields::media).
///
/// ```
/// use unbroken::durable::{ClientFields, ClientMedia};
///
/// let pictures = ClientMedia::of(["image/png", "image/jpeg", "image/webp"])
///     .max_bytes(2 * 1024 * 1024)
///     .max_total_bytes(8 * 1024 * 1024)
///     .max_count(4);
/// let fields = ClientFields::nothing().media(pictures);
/// ```
///
/// Types are what the client says: the bytes are not looked at. All messages of a request count
/// together, with those that a client sends again with each question.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct ClientMedia {
    types: Vec<Cow<'static, str>>,
    max_bytes: usize,
    max_total_bytes: usize,
    max_count: usize,
    links: bool,
}

impl ClientMedia {
    /// Opens media of these types: whole ones such as `application/pdf`, or ranges such as `image/*`.
    ///
    /// # Panics
    ///
    /// Panics if a type isn't of the form `type/subtype` or `type/*`.
    #[track_caller]
    pub fn of<T>(types: impl IntoIterator<Item = T>) -> Self
    where
        T: Into<Cow<'static, str>>,
    {
        let types: Vec<_> = types.into_iter().map(Into::into).collect();
        for range in &types {
            assert!(
                is_media_range(range),
                "`{range}` is no media type, nor a range of them such as `image/*`"
            );
        }
        Self {
            types,
            max_bytes: 5 * 1024 * 1024,
            max_total_bytes: 20 * 1024 * 1024,
            max_count: 20,
            links: false,
        }
    }

    /// Sets the most bytes of one medium, decoded. Default 5 MiB. A link has none.
    pub fn max_bytes(mut self, most: usize) -> Self {
        self.max_bytes = most;
        self
    }

    /// Sets the most bytes of all media of a request, decoded. Default 20 MiB.
    pub fn max_total_bytes(mut self, most: usize) -> Self {
        self.max_total_bytes = most;
        self
    }

    /// Sets the most media of a request. Default 20.
    pub fn max_count(mut self, most: usize) -> Self {
        self.max_count = most;
        self
    }

    /// Opens links. Otherwise a medium has to come as a `data:` URL.
    ///
    /// A link makes the model's server fetch it: the client chooses an address that another machine
    /// connects to, of what it can reach, and its owner learns of it. This server fetches nothing.
    pub fn links(mut self) -> Self {
        self.links = true;
        self
    }

    fn check(&self, media: &Media, name: &str) -> Result<(), Refusal> {
        if let Err(error) = media.check() {
            return Err(not_open(format!(
                "a part of the type `{name}` can't be read: {error}"
            )));
        }
        let media_type = media_type(media);
        if !self.types.iter().any(|range| media.is_of(range)) {
            let open = self.types.join("`, `");
            return Err(not_open(format!(
                "`{name}` of the type `{media_type}` is not open to clients, only `{open}`; leave it out \
                 (the application opens types with `ClientFields::media`)"
            )));
        }
        if media.is_link() && !self.links {
            return Err(not_open(format!(
                "`{name}` behind a link is not open to clients; send its bytes in a `data:` URL (the \
                 application opens links with `ClientMedia::links`)"
            )));
        }
        if media.is_link() && media.url.len() > Media::MAX_LINK_BYTES {
            return Err(not_open(format!(
                "the link of a `{name}` has {} bytes, and may have {}; send a shorter one",
                media.url.len(),
                Media::MAX_LINK_BYTES
            )));
        }
        if !media.has_clean_name() {
            return Err(not_open(format!(
                "the name of a `{name}` must have at most {} bytes, and no control characters; shorten it",
                Media::MAX_NAME_BYTES
            )));
        }
        let (bytes, most) = (media.decoded_len(), self.max_bytes);
        if bytes > most {
            return Err(not_open(format!(
                "`{name}` of the type `{media_type}` has {bytes} bytes, and {most} are open to clients; \
                 send a smaller one"
            )));
        }
        Ok(())
    }
}

/// Refuses media that are closed, malformed, of another type, too many or too large: in messages, and in
/// outputs of the client's tools.
pub(super) fn check(
    open: Option<&ClientMedia>,
    request: &ChatRequest,
    refusals: &Refusals<'_>,
) -> Result<(), Refusal> {
    let (mut count, mut bytes) = (0_usize, 0_usize);
    let outputs = &request.isomorphic_client_outputs;
    let outputs: Vec<_> = outputs
        .iter()
        .filter_map(IsomorphicClientOutput::parts)
        .collect();
    let messages = request.messages.iter().map(|it| &it.content);
    for media in messages.chain(&outputs).flat_map(Content::all_media) {
        let name = refusals.media_name(media);
        let Some(open) = open else {
            return Err(closed(&format!("parts of the type `{name}` are"), "media"));
        };
        open.check(media, name)?;
        count += 1;
        bytes = bytes.saturating_add(media.decoded_len());
        if count > open.max_count {
            let most = open.max_count;
            return Err(not_open(format!(
                "the request has more than {most} parts that are media, such as `{name}`, and no more are \
                 open to clients; leave out the oldest ones"
            )));
        }
        if bytes > open.max_total_bytes {
            let most = open.max_total_bytes;
            return Err(not_open(format!(
                "the parts that are media, such as `{name}`, have more than {most} bytes together, and no \
                 more are open to clients; leave out the oldest ones"
            )));
        }
    }
    Ok(())
}

/// Returns the type, without parameters. It is short and clean: it was checked.
fn media_type(media: &Media) -> &str {
    let end = media.media_type.find(';');
    &media.media_type[..end.unwrap_or(media.media_type.len())]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::{ClientFields, tests::fits},
        *,
    };
    use crate::dialect::Problem;

    fn part(media: &Media) -> Value {
        let mut part = serde_json::to_value(media).unwrap();
        part["type"] = "media".into();
        part
    }

    fn with(parts: &[Value]) -> Value {
        json!({"messages": [{"role": "user", "content": parts}]})
    }

    fn open(media: ClientMedia) -> ClientFields {
        ClientFields::nothing().media(media).history(1_000_000)
    }

    fn assert_refused(fields: &ClientFields, value: &Value, words: &[&str]) {
        let refusal = fits(fields, value).unwrap_err();
        assert_eq!(refusal.problem, Problem::NotOpen);
        for word in words {
            assert!(refusal.detail.contains(word), "{word}: {}", refusal.detail);
        }
    }

    #[test]
    fn media_are_closed_unless_opened_whoever_the_message_is_from() {
        let picture = part(&Media::new("image/png", b"PNG"));
        let history = ClientFields::nothing().history(1_000).system_role();
        for role in ["user", "assistant", "tool", "system"] {
            let message = json!({"role": role, "content": [picture], "tool_call_id": "1"});
            let value = json!({"messages": [message, {"role": "user", "content": "So?"}]});
            assert_refused(&history, &value, &["`media`", "ClientFields::media"]);
            fits(&history.clone().media(ClientMedia::of(["image/*"])), &value).unwrap();
        }
    }

    #[test]
    fn media_in_outputs_of_the_client_s_tools_are_open_as_those_in_messages() {
        let of = |list: &[Value]| {
            let output = json!({"callId": "1", "toolName": "photo", "clientOutput": list});
            json!({"messages": [], "isomorphicClientOutputs": [output]})
        };
        let (picture, sound) = (
            part(&Media::new("image/png", b"PNG")),
            part(&Media::new("audio/wav", b"WAV")),
        );
        let both = of(&[picture.clone(), sound]);
        let words = ["`media`", "ClientFields::media"];
        assert_refused(&ClientFields::nothing(), &both, &words);
        let images = ClientFields::nothing().media(ClientMedia::of(["image/*"]));
        fits(&images, &of(std::slice::from_ref(&picture))).unwrap();
        assert_refused(&images, &both, &["audio/wav", "ClientFields::media"]);
        fits(&open(ClientMedia::of(["*/*"]).max_count(2)), &both).unwrap();
        let one = open(ClientMedia::of(["*/*"]).max_count(1));
        assert_refused(&one, &both, &["more than 1 parts"]);
        // A value that only looks like parts is one.
        let other = json!({"type": "media", "mediaType": "image/png", "url": "a"});
        fits(&ClientFields::nothing(), &of(&[other])).unwrap();
    }

    #[test]
    fn media_are_open_by_type_and_range() {
        for (range, fitting, other) in [
            ("image/*", "image/png", "audio/wav"),
            ("image/png", "IMAGE/PNG", "image/jpeg"),
            ("*/*", "model/obj", ""),
            ("text/plain", "text/plain;charset=utf-8", "text/html"),
        ] {
            let fields = open(ClientMedia::of([range]));
            fits(&fields, &with(&[part(&Media::new(fitting, b"a"))])).unwrap();
            if !other.is_empty() {
                let value = with(&[part(&Media::new(other, b"a"))]);
                assert_refused(&fields, &value, &[other, range, "ClientFields::media"]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "`image` is no media type")]
    fn a_range_of_another_form_panics() {
        let _ = ClientMedia::of(["image"]);
    }

    #[test]
    #[should_panic(expected = "`image/p*` is no media type")]
    fn a_range_ends_after_the_slash() {
        let _ = ClientMedia::of(["image/p*"]);
    }

    #[test]
    fn media_are_open_up_to_their_size_sum_and_number() {
        let images = || ClientMedia::of(["image/*"]);
        let of = |bytes: usize| part(&Media::new("image/png", vec![7; bytes]));
        fits(&open(images().max_bytes(10)), &with(&[of(10)])).unwrap();
        let words = ["11 bytes", "10 are open", "image/png"];
        assert_refused(&open(images().max_bytes(10)), &with(&[of(11)]), &words);
        let both = with(&[of(10), of(11)]);
        fits(&open(images().max_total_bytes(21)), &both).unwrap();
        assert_refused(
            &open(images().max_total_bytes(20)),
            &both,
            &["more than 20 bytes"],
        );
        fits(&open(images().max_count(2)), &both).unwrap();
        assert_refused(
            &open(images().max_count(1)),
            &both,
            &["more than 1 parts that are media"],
        );
        // Those of all messages count together.
        let message = |role: &str| json!({"role": role, "content": [of(10)]});
        let value = json!({"messages": [message("user"), message("assistant"), message("user")]});
        fits(&open(images().max_count(3)), &value).unwrap();
        assert_refused(
            &open(images().max_count(2)),
            &value,
            &["more than 2 parts that are media"],
        );
    }

    #[test]
    fn links_are_open_by_a_switch_of_their_own() {
        let images = || ClientMedia::of(["image/*"]).max_bytes(1);
        let link = with(&[part(&Media::link("image/png", "https://example.com/a.png"))]);
        assert_refused(&open(images()), &link, &["`media`", "ClientMedia::links"]);
        fits(&open(images().links()), &link).unwrap();
        for (bytes, fit) in [
            (Media::MAX_LINK_BYTES, true),
            (Media::MAX_LINK_BYTES + 1, false),
        ] {
            let url = format!("https://{}", "a".repeat(bytes - "https://".len()));
            let value = with(&[part(&Media::link("image/png", url))]);
            assert_eq!(fits(&open(images().links()), &value).is_ok(), fit);
        }
    }

    #[test]
    fn malformed_media_and_names_are_refused_where_media_are_open() {
        let all = open(ClientMedia::of(["*/*"]).links());
        for (media_type, url) in [
            ("image", "https://example.com"),
            ("image/png", "file:///etc/passwd"),
            ("image/png", "data:image/png,raw"),
            ("image/png", "data:image/png;base64,AA A"),
            ("image/png", "data:text/html;base64,AAAA"),
        ] {
            let value = with(&[part(&Media::link(media_type, url))]);
            assert_refused(&all, &value, &["can't be read"]);
        }
        let named = |name: String| with(&[part(&Media::new("text/plain", b"a").name(name))]);
        fits(&all, &named("n".repeat(Media::MAX_NAME_BYTES))).unwrap();
        assert_refused(
            &all,
            &named("n".repeat(Media::MAX_NAME_BYTES + 1)),
            &["255 bytes"],
        );
        assert_refused(&all, &named("a\nb".into()), &["control"]);
    }

    #[test]
    fn unknown_fields_of_media_are_dropped() {
        let media = Media::new("image/png", b"a");
        let mut unknown = part(&media);
        unknown["later"] = "high".into();
        let mut request: ChatRequest = serde_json::from_value(with(&[unknown])).unwrap();
        let fields = open(ClientMedia::of(["image/*"]));
        let native = crate::dialect::Native::new();
        fields.apply(&mut request, &native).unwrap();
        assert_eq!(request.messages[0].content, Content::from(media));
    }
}
