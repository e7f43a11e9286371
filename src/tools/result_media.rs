use std::borrow::Cow;

use crate::chat::{Content, Media, Part, ToolCall, has_reserved_name, is_deeper, is_media_range};

/// The media that results of tools may have, as ranges of types.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ResultMedia {
    types: Vec<Cow<'static, str>>,
}

impl ResultMedia {
    /// Opens these types.
    ///
    /// # Panics
    ///
    /// Panics if one is neither a media type nor a range.
    #[track_caller]
    pub(super) fn of(types: Vec<Cow<'static, str>>) -> Self {
        for range in &types {
            assert!(
                is_media_range(range),
                "`{range}` is no media type, nor a range of them such as `image/*`"
            );
        }
        Self { types }
    }

    /// Returns the message for the model about the first part of a result that can't be passed on, if
    /// there is one.
    pub(super) fn refusal(&self, result: &Content) -> Option<String> {
        result.parts().iter().find_map(|part| match part {
            Part::Text { .. } => None,
            Part::Reasoning(_) => Some("the tool ran; its result has reasoning of a model".to_owned()),
            Part::Media(media) => match media.check() {
                Err(error) => Some(format!("the tool ran; a part of its result can't be read: {error}")),
                Ok(()) if self.types.iter().any(|range| media.is_of(range)) => beyond(media),
                Ok(()) => {
                    let kind = &media.media_type;
                    tracing::warn!(kind, "a tool's result has a medium that `ToolLayer::media` doesn't open");
                    Some(format!(
                        "the tool ran; its result has a part of the type `{kind}`, which can't be passed on to you"
                    ))
                }
            },
        })
    }
}

/// Returns the message for the model about a medium that no client could send back, or no log could have.
fn beyond(media: &Media) -> Option<String> {
    let kind = &media.media_type;
    if media.is_link() && media.url.len() > Media::MAX_LINK_BYTES {
        return Some(format!(
            "the tool ran; the link of a `{kind}` in its result has {} bytes, and may have {}",
            media.url.len(),
            Media::MAX_LINK_BYTES
        ));
    }
    if !media.has_clean_name() {
        return Some(format!(
            "the tool ran; the name of a `{kind}` in its result must have at most {} bytes, and no control \
             characters",
            Media::MAX_NAME_BYTES
        ));
    }
    let most = ToolCall::MAX_DEPTH;
    if media.extra.values().any(|field| is_deeper(field, most)) {
        return Some(format!(
            "the tool ran; a field of a `{kind}` in its result is nested deeper than {most} levels"
        ));
    }
    let is_reserved = !media.extra.is_empty()
        && serde_json::to_vec(&media.extra).is_ok_and(|fields| has_reserved_name(&fields));
    is_reserved
        .then(|| format!("the tool ran; a field of a `{kind}` in its result has a reserved name"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{RESERVED, Reasoning};

    #[test]
    fn media_are_passed_on_by_type_and_any_other_part_is_named() {
        let open = ResultMedia::of(vec!["image/*".into(), "text/csv".into()]);
        let refusal = |open: &ResultMedia, part: Part| {
            let content = Content::from(vec![Part::Text { text: "a".into() }, part]);
            open.refusal(&content)
        };
        for media in [
            Media::new("image/png", b"a"),
            Media::new("TEXT/csv", b"a"),
            Media::link("image/*", "https://example.com/a"),
        ] {
            assert_eq!(refusal(&open, media.clone().into()), None);
            let closed = refusal(&ResultMedia::default(), media.clone().into()).unwrap();
            assert!(closed.contains(&media.media_type), "{closed}");
        }
        for (part, word) in [
            (Media::new("audio/wav", b"a").into(), "`audio/wav`"),
            (Media::new("text/html", b"a").into(), "`text/html`"),
            (
                Media::link("image/png", "file:///a").into(),
                "can't be read",
            ),
            (Reasoning::new("Hm.").into(), "reasoning"),
        ] {
            let told = refusal(&open, part).unwrap();
            assert!(told.contains(word), "{told}");
        }
    }

    #[test]
    fn what_no_client_could_send_back_is_refused_by_its_limit() {
        let open = ResultMedia::of(vec!["*/*".into()]);
        let refusal = |media: Media| open.refusal(&media.into());
        let link =
            |bytes: usize| Media::link("image/png", format!("https://{}", "a".repeat(bytes - 8)));
        assert_eq!(refusal(link(8192)), None);
        let told = refusal(link(8193)).unwrap();
        assert!(told.contains("8193 bytes, and may have 8192"), "{told}");
        let named = |name: String| Media::new("image/png", b"a").name(name);
        assert_eq!(refusal(named("n".repeat(255))), None);
        for name in ["n".repeat(256), "a\nb".into()] {
            let told = refusal(named(name)).unwrap();
            assert!(told.contains("at most 255 bytes"), "{told}");
        }
        let with = |name: &str, field: Value| {
            let mut media = Media::new("image/png", b"a");
            media.extra.insert(name.into(), field);
            media
        };
        let lists = |depth: usize| (0..depth).fold(Value::Null, |inner, _| json!([inner]));
        assert_eq!(refusal(with("later", lists(64))), None);
        let told = refusal(with("later", lists(65))).unwrap();
        assert!(told.contains("64 levels"), "{told}");
        let told = refusal(with("later", json!({format!("{RESERVED}Number"): "1"})));
        assert!(told.unwrap().contains("reserved name"));
    }

    #[test]
    #[should_panic(expected = "`image` is no media type")]
    fn a_range_of_another_form_panics() {
        let _ = ResultMedia::of(vec!["image".into()]);
    }
}
