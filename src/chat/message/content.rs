use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Media, Part, Reasoning};
use crate::chat::ProviderState;

/// The content of a [`Message`](super::Message): a list of parts.
///
/// Most messages are text, so a string converts into it, and content of one text is a string on the
/// wire. Everything else is a list of parts there.
///
/// ```
/// use unbroken::chat::{Content, Media, Message};
///
/// let plain = Message::user("Hi");
/// assert_eq!(plain.content, "Hi");
/// assert_eq!(serde_json::to_string(&plain.content)?, r#""Hi""#);
///
/// let picture = Media::link("image/png", "https://example.com/cat.png");
/// let message = Message::user(Content::new().text("What is this?").media(picture));
/// assert_eq!(message.text(), "What is this?");
/// assert_eq!(message.content.parts().len(), 2);
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// `Debug` shows counts instead of contents.
#[derive(Clone, Default, PartialEq)]
pub struct Content {
    parts: Vec<Part>,
}

impl Content {
    /// Creates content without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text. It has no effect if the text is empty.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.parts.push(Part::Text { text });
        }
        self
    }

    /// Adds a medium.
    pub fn media(mut self, media: Media) -> Self {
        self.parts.push(Part::Media(media));
        self
    }

    /// Adds reasoning of the model.
    pub fn reasoning(mut self, reasoning: Reasoning) -> Self {
        self.parts.push(Part::Reasoning(reasoning));
        self
    }

    /// Adds a part.
    pub fn push(&mut self, part: impl Into<Part>) {
        self.parts.push(part.into());
    }

    /// Adds a piece of text, to the last part if that is text.
    pub fn push_text(&mut self, piece: &str) {
        match self.parts.last_mut() {
            Some(Part::Text { text }) => text.push_str(piece),
            _ if piece.is_empty() => {}
            _ => self.parts.push(Part::Text { text: piece.into() }),
        }
    }

    /// Adds a piece of reasoning, to the last part if that is reasoning without provider state.
    pub fn push_reasoning(&mut self, piece: &str) {
        match self.parts.last_mut() {
            Some(Part::Reasoning(last)) if last.provider_state.is_none() => {
                last.text.push_str(piece);
            }
            _ if piece.is_empty() => {}
            _ => self.parts.push(Reasoning::new(piece).into()),
        }
    }

    /// Adds provider state: to the last part if that is reasoning without any, or else as reasoning
    /// without text.
    pub fn push_provider_state(&mut self, state: ProviderState) {
        match self.parts.last_mut() {
            Some(Part::Reasoning(last)) if last.provider_state.is_none() => {
                last.provider_state = Some(state);
            }
            _ => self.push(Reasoning::default().provider_state(state)),
        }
    }

    /// Returns the parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the parts, in order, to be changed.
    pub fn parts_mut(&mut self) -> &mut Vec<Part> {
        &mut self.parts
    }

    /// Returns true if there is no part.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the text if there is no part of another kind and at most one of text.
    pub fn as_text(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text { text }] => Some(text),
            _ => None,
        }
    }

    /// Returns the text of all text parts, with line breaks between them. Parts of other kinds are left
    /// out.
    pub fn to_text(&self) -> Cow<'_, str> {
        let mut texts = self.texts();
        let Some(first) = texts.next() else {
            return Cow::Borrowed("");
        };
        texts.fold(Cow::Borrowed(first), |mut all, text| {
            let joined = all.to_mut();
            joined.push('\n');
            joined.push_str(text);
            all
        })
    }

    /// Returns the media, in order.
    pub fn all_media(&self) -> impl Iterator<Item = &Media> {
        self.parts.iter().filter_map(|part| match part {
            Part::Media(media) => Some(media),
            _ => None,
        })
    }

    /// Returns the reasoning parts, in order.
    pub fn all_reasoning(&self) -> impl Iterator<Item = &Reasoning> {
        self.parts.iter().filter_map(|part| match part {
            Part::Reasoning(reasoning) => Some(reasoning),
            _ => None,
        })
    }

    /// Returns the number of bytes of all texts, addresses and data.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text { text } => Some(&**text),
            _ => None,
        })
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::new().text(text)
    }
}

impl From<&String> for Content {
    fn from(text: &String) -> Self {
        Self::new().text(text)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::new().text(text)
    }
}

impl From<Cow<'_, str>> for Content {
    fn from(text: Cow<'_, str>) -> Self {
        Self::new().text(text)
    }
}

impl From<Media> for Content {
    fn from(media: Media) -> Self {
        Self::new().media(media)
    }
}

impl From<Vec<Part>> for Content {
    fn from(parts: Vec<Part>) -> Self {
        parts.into_iter().collect()
    }
}

/// Leaves empty texts out.
impl FromIterator<Part> for Content {
    fn from_iter<I>(parts: I) -> Self
    where
        I: IntoIterator<Item = Part>,
    {
        let is_said = |part: &Part| !matches!(part, Part::Text { text } if text.is_empty());
        Self {
            parts: parts.into_iter().filter(is_said).collect(),
        }
    }
}

/// Equal if there is one text, or none, and nothing else.
impl PartialEq<str> for Content {
    fn eq(&self, text: &str) -> bool {
        self.as_text() == Some(text)
    }
}

impl PartialEq<&str> for Content {
    fn eq(&self, text: &&str) -> bool {
        self == *text
    }
}

impl PartialEq<String> for Content {
    fn eq(&self, text: &String) -> bool {
        self == text.as_str()
    }
}

impl Serialize for Content {
    fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
    {
        match self.as_text() {
            Some(text) => serializer.serialize_str(text),
            None => self.parts.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> de::Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`content`: a string or a list of parts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::new())
    }

    fn visit_seq<A>(self, mut parts: A) -> Result<Content, A::Error>
    where
        A: de::SeqAccess<'de>,
    {
        let mut content = Vec::new();
        while let Some(part) = parts.next_element::<Part>()? {
            content.push(part);
        }
        Ok(content.into())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("parts", &self.parts.len())
            .field("bytes", &self.bytes())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(wire: &Value) -> Result<Content, serde_json::Error> {
        // From text, as bodies are read, and from a value, as unknown fields around it make it.
        let from_text = serde_json::from_str::<Content>(&wire.to_string());
        let from_value = serde_json::from_value::<Content>(wire.clone());
        assert_eq!(from_text.is_ok(), from_value.is_ok());
        from_text
    }

    #[test]
    fn one_text_is_a_string_on_the_wire_and_the_rest_a_list() {
        let state = ProviderState::new("anthropic", json!({"signature": "s"}));
        let cases = [
            (json!(""), Content::new()),
            (json!("Hi"), Content::from("Hi")),
            (
                json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
                Content::new().text("a").text("b"),
            ),
            (
                json!([
                    {"type": "media", "mediaType": "image/png", "url": "https://example.com/a.png",
                     "name": "a.png"},
                    {"type": "text", "text": "What is this?"},
                ]),
                Content::new()
                    .media(Media::link("image/png", "https://example.com/a.png").name("a.png"))
                    .text("What is this?"),
            ),
            (
                json!([
                    {"type": "reasoning", "text": "Hm.",
                     "providerState": {"provider": "anthropic", "data": {"signature": "s"}}},
                    {"type": "reasoning", "text": "More."},
                ]),
                Content::new()
                    .reasoning(Reasoning::new("Hm.").provider_state(state))
                    .reasoning(Reasoning::new("More.")),
            ),
        ];
        for (wire, content) in cases {
            assert_eq!(read(&wire).unwrap(), content, "{wire}");
            assert_eq!(serde_json::to_value(&content).unwrap(), wire);
        }
        let one = json!([{"type": "text", "text": "Hi"}]);
        assert_eq!(read(&one).unwrap(), "Hi");
        assert_eq!(read(&Value::Null).unwrap(), "");
    }

    #[test]
    fn a_part_of_an_unknown_type_is_an_error_that_names_the_known_ones() {
        for wire in [
            json!([{"type": "image_url", "image_url": {"url": "https://example.com"}}]),
            json!([{"text": "no type"}]),
            json!([{"type": "media", "url": "https://example.com"}]),
            json!(7),
            json!({"text": "no list"}),
        ] {
            let error = read(&wire).unwrap_err().to_string();
            assert!(!error.is_empty(), "{wire}");
        }
        let error = read(&json!([{"type": "image_url"}])).unwrap_err();
        let error = error.to_string();
        for word in ["image_url", "text", "media", "reasoning"] {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn pieces_join_the_last_part_of_their_kind() {
        let mut content = Content::new();
        content.push_reasoning("");
        content.push_reasoning("H");
        content.push_reasoning("m.");
        content.push_provider_state(ProviderState::new("p", json!(1)));
        content.push_reasoning("More.");
        content.push_text("");
        content.push_text("Hel");
        content.push_text("lo");
        content.push_provider_state(ProviderState::new("p", json!(2)));
        let state = |of: i32| ProviderState::new("p", json!(of));
        let expected = Content::new()
            .reasoning(Reasoning::new("Hm.").provider_state(state(1)))
            .reasoning(Reasoning::new("More."))
            .text("Hello")
            .reasoning(Reasoning::default().provider_state(state(2)));
        assert_eq!(content, expected);
        assert_eq!(content.to_text(), "Hello");
        assert_eq!(content.as_text(), None);
    }

    #[test]
    fn the_texts_are_joined_by_line_breaks() {
        let content = Content::new().text("a").text("").text("b");
        assert_eq!(content.to_text(), "a\nb");
        assert_eq!(Content::new().to_text(), "");
    }

    #[test]
    fn debug_does_not_show_content() {
        let content = Content::new()
            .text("a private matter")
            .media(Media::new("text/plain", b"private"));
        let shown = format!("{content:?} {:?}", content.parts());
        assert!(!shown.contains("private"), "{shown}");
        assert!(!shown.contains("cHJpdmF0ZQ"), "{shown}");
    }
}
