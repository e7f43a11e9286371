use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::{
    MadePictures, Oddities, TaggedPiece, TextPieces, ThinkTags,
    json::{Kind, each_element, kind, members, string, string_bytes},
};
use crate::chat::{ChatEvent, ProviderError};

/// The text, the thinking and the pictures of one answer, from their pieces.
///
/// A piece is a string; or, from some servers, a list of parts with a type. A part that is a medium and no
/// picture is an error; other parts without text are dropped.
#[derive(Debug)]
pub(crate) struct SaidText {
    text: TextPieces,
    thinking: TextPieces,
    tags: Option<ThinkTags>,
    pictures: MadePictures,
}

impl SaidText {
    /// Creates an answer without text. If `think_tags` is true, thinking is found in the text too.
    pub(crate) fn new(think_tags: bool) -> Self {
        Self {
            text: TextPieces::default(),
            thinking: TextPieces::default(),
            tags: think_tags.then(ThinkTags::default),
            pictures: MadePictures::default(),
        }
    }

    /// Takes a piece of the text.
    ///
    /// # Errors
    ///
    /// If it has a medium that can't be passed on.
    pub(crate) fn text(
        &mut self,
        piece: &RawValue,
        odd: &mut Oddities,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.piece(piece, false, odd, out)
    }

    /// Takes a piece of the thinking.
    ///
    /// # Errors
    ///
    /// If it has a medium that can't be passed on.
    pub(crate) fn thinking(
        &mut self,
        piece: &RawValue,
        odd: &mut Oddities,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.piece(piece, true, odd, out)
    }

    /// Takes pictures that stand beside the text.
    ///
    /// # Errors
    ///
    /// If one can't be passed on.
    pub(crate) fn pictures(
        &mut self,
        pictures: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.pictures.take_all(pictures, out)
    }

    /// Returns true if a medium was refused, so that the answer lacks it.
    #[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
    pub(crate) fn is_cut(&self) -> bool {
        self.pictures.is_lost()
    }

    /// Passes on what is held, at the end of the answer.
    pub(crate) fn end(&mut self, out: &mut VecDeque<ChatEvent>) {
        let thinking = self.thinking.rest();
        push(out, TaggedPiece::Thinking(thinking));
        let text = self.text.rest();
        self.said(text, out);
        if let Some(tags) = &mut self.tags {
            tags.end(|piece| push(out, piece));
        }
    }

    /// Takes bytes of the text, or of the thinking, as WTF-8.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) fn bytes(&mut self, bytes: &[u8], thinking: bool, out: &mut VecDeque<ChatEvent>) {
        self.string_bytes(bytes, thinking, out);
    }

    /// Returns true if nothing is held, so that an answer without the pieces so far would go on alike.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) fn is_settled(&self) -> bool {
        let tags = self.tags.as_ref();
        self.text.is_empty() && self.thinking.is_empty() && tags.is_none_or(ThinkTags::is_settled)
    }

    fn piece(
        &mut self,
        piece: &RawValue,
        thinking: bool,
        odd: &mut Oddities,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match kind(piece) {
            Kind::String => self.string(piece, thinking, out),
            // JavaScript appends it so.
            Kind::Number => self.string_bytes(piece.get().as_bytes(), thinking, out),
            Kind::List => {
                each_element(piece, |part| self.part(part, thinking, odd, out))?;
            }
            Kind::Object => return self.part(piece, thinking, odd, out),
            Kind::Null => {}
            Kind::Bool => odd.note("content"),
        }
        Ok(())
    }

    // Mistral's thinking is a part with a list of parts of text.
    fn part(
        &mut self,
        part: &RawValue,
        thinking: bool,
        odd: &mut Oddities,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if kind(part) == Kind::String {
            self.string(part, thinking, out);
            return Ok(());
        }
        let Ok([class, text, thought, picture]) =
            members(part.get(), ["type", "text", "thinking", "image_url"])
        else {
            odd.note("content");
            return Ok(());
        };
        let class = class.and_then(string).unwrap_or_default();
        if picture.is_some() || class == "image_url" {
            return self.pictures.take(part, out);
        }
        let thinks = thinking || matches!(&*class, "thinking" | "reasoning");
        let said = if thinks { thought.or(text) } else { text };
        let Some(said) = said else {
            self.pictures.refuse_medium(&class)?;
            odd.note("content");
            return Ok(());
        };
        if kind(said) == Kind::String {
            self.string(said, thinks, out);
            return Ok(());
        }
        let is_list = each_element(said, |part| {
            let fields = match kind(part) {
                Kind::String => [Some(part), None],
                _ => members(part.get(), ["text", "type"]).unwrap_or_default(),
            };
            match fields {
                [Some(text), _] if kind(text) == Kind::String => self.string(text, thinks, out),
                [_, class] => {
                    let class = class.and_then(string).unwrap_or_default();
                    self.pictures.refuse_medium(&class)?;
                    odd.note("content");
                }
            }
            Ok(())
        })?;
        if !is_list {
            odd.note("content");
        }
        Ok(())
    }

    fn string(&mut self, string: &RawValue, thinking: bool, out: &mut VecDeque<ChatEvent>) {
        if let Some(bytes) = string_bytes(string) {
            self.string_bytes(&bytes, thinking, out);
        }
    }

    fn string_bytes(&mut self, bytes: &[u8], thinking: bool, out: &mut VecDeque<ChatEvent>) {
        if bytes.is_empty() {
            return;
        }
        if thinking {
            let thinking = self.thinking.push(bytes);
            push(out, TaggedPiece::Thinking(thinking));
        } else {
            let text = self.text.push(bytes);
            self.said(text, out);
        }
    }

    fn said(&mut self, text: String, out: &mut VecDeque<ChatEvent>) {
        match &mut self.tags {
            Some(tags) => tags.push(&text, |piece| push(out, piece)),
            None => push(out, TaggedPiece::Text(text)),
        }
    }
}

fn push(out: &mut VecDeque<ChatEvent>, piece: TaggedPiece) {
    match piece {
        TaggedPiece::Text(text) if !text.is_empty() => out.push_back(ChatEvent::text(text)),
        TaggedPiece::Thinking(text) if !text.is_empty() => out.push_back(ChatEvent::thinking(text)),
        TaggedPiece::Text(_) | TaggedPiece::Thinking(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Media;

    fn said(pieces: &[&str]) -> Vec<ChatEvent> {
        let (mut said, mut out) = (SaidText::new(false), VecDeque::new());
        let mut odd = Oddities::default();
        for piece in pieces {
            let piece: Box<RawValue> = serde_json::from_str(piece).unwrap();
            said.text(&piece, &mut odd, &mut out).unwrap();
        }
        said.end(&mut out);
        out.into()
    }

    #[test]
    fn a_part_that_is_a_picture_is_a_medium_and_another_medium_is_an_error() {
        let picture = Media::new("image/png", b"PNG");
        let part = format!(
            r#"{{"type":"image_url","image_url":{{"url":"{}"}}}}"#,
            picture.url
        );
        let found = said(&[
            &format!(r#"[{{"type":"text","text":"Look"}},{part},"!"]"#),
            &part, // repeated
        ]);
        let expected = [
            ChatEvent::text("Look"),
            picture.into(),
            ChatEvent::text("!"),
        ];
        assert_eq!(found, expected);
        for (part, word) in [
            (r#"[{"type":"image_url"}]"#, "a picture"),
            (
                r#"[{"type":"input_audio","input_audio":{}}]"#,
                "`input_audio`",
            ),
            (
                r#"{"type":"video_url","video_url":{"url":"https://a.b"}}"#,
                "`video_url`",
            ),
            (
                r#"[{"type":"thinking","thinking":[{"type":"file","file":{}}]}]"#,
                "`file`",
            ),
        ] {
            let part: Box<RawValue> = serde_json::from_str(part).unwrap();
            let (mut odd, mut out) = (Oddities::default(), VecDeque::new());
            let mut text = SaidText::new(false);
            let error = text.text(&part, &mut odd, &mut out).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert!(text.pictures.is_lost() && out.is_empty());
        }
    }

    #[test]
    fn parts_are_text_or_thinking_by_their_type() {
        let found = said(&[
            r#"[{"type":"thinking","thinking":[{"type":"text","text":"Hm"},{"type":"reference"}]}]"#,
            r#"[{"type":"thinking","thinking":"."},{"type":"reference"},{"type":"text","text":"Hi"}]"#,
            r#"["!",null,7,[]]"#,
            r#"{"type":"text","text":"?"}"#,
            "5",
            "true",
            "{}",
        ]);
        let text = ["Hi", "!", "?", "5"].map(ChatEvent::text);
        let thinking = ["Hm", "."].map(ChatEvent::thinking);
        assert_eq!(found, [&thinking[..], &text[..]].concat());
    }

    #[test]
    fn a_character_may_be_split_between_pieces() {
        let found = said(&[r#""a\ud83d""#, r#""""#, r#""\ude00b""#, r#""\ud83d""#]);
        let text = ["a", "😀b", "\u{fffd}"].map(ChatEvent::text);
        assert_eq!(found, text);
    }
}
