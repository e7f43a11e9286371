use std::borrow::Cow;

use crate::chat::{Content, Part, is_media_range};

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
                Ok(()) if self.types.iter().any(|range| media.is_of(range)) => None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Media, Reasoning};

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
    #[should_panic(expected = "`image` is no media type")]
    fn a_range_of_another_form_panics() {
        let _ = ResultMedia::of(vec!["image".into()]);
    }
}
