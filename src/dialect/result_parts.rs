//! Results of tools with media, in protocols whose results are text: the media go beside the text.

use std::borrow::Cow;

use crate::chat::{Content, Media, Part};

/// Returns the text of a result, and its media, each with its place in the text.
pub(super) fn apart(result: &Content) -> (Cow<'_, str>, Vec<(usize, &Media)>) {
    let (mut at, mut has_text) = (0, false);
    let mut media = Vec::new();
    for part in result.parts() {
        match part {
            Part::Text { text } => {
                at += usize::from(has_text) + text.chars().count();
                has_text = true;
            }
            Part::Media(medium) => media.push((at, medium)),
            Part::Reasoning(_) => {}
        }
    }
    (result.to_text(), media)
}

/// Returns the result of a text and media that stand at places in it, in this order.
pub(super) fn together(text: &str, media: impl IntoIterator<Item = (usize, Media)>) -> Content {
    let mut content = Content::new();
    let mut rest = text;
    let mut done = 0;
    let say = |content: Content, text: &str| {
        // Between texts stands a line break.
        let is_first = content
            .parts()
            .iter()
            .all(|part| !matches!(part, Part::Text { .. }));
        let text = if is_first {
            text
        } else {
            text.strip_prefix('\n').unwrap_or(text)
        };
        content.text(text)
    };
    for (at, medium) in media {
        let chars = at.saturating_sub(done);
        let end = rest
            .char_indices()
            .nth(chars)
            .map_or(rest.len(), |(end, _)| end);
        let (before, after) = rest.split_at(end);
        content = say(content, before).media(medium);
        (rest, done) = (after, done + chars);
    }
    say(content, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_was_taken_apart_comes_together_again() {
        let media = |of: u8| Media::new("image/png", [of]);
        for content in [
            Content::new(),
            Content::from("a"),
            Content::from(media(1)),
            Content::new().text("ä€").media(media(1)),
            Content::new().media(media(1)).text("\nä"),
            Content::new()
                .text("a\n")
                .media(media(1))
                .media(media(2))
                .text("\nb")
                .media(media(3)),
            Content::new()
                .media(media(1))
                .text("ä")
                .media(media(2))
                .text("b"),
        ] {
            let (text, media) = apart(&content);
            let media = media.into_iter().map(|(at, it)| (at, it.clone()));
            assert_eq!(together(&text, media), content, "{:?}", content.parts());
        }
        let joined = Content::new().text("a").text("b").media(media(1));
        let (text, media) = apart(&joined);
        assert_eq!((&*text, media[0].0), ("a\nb", 3));
    }

    #[test]
    fn a_place_that_is_not_in_the_text_is_its_end() {
        let media = |of: u8| Media::new("image/png", [of]);
        let wrong = [(usize::MAX, media(1)), (0, media(2))];
        let content = Content::new().text("ab").media(media(1)).media(media(2));
        assert_eq!(together("ab", wrong), content);
    }
}
