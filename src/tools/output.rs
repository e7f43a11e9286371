use std::any::Any;

use serde::Serialize;
use serde_json::Value;

use crate::chat::{Content, Media};

/// The output of a tool.
///
/// ```
/// use unbroken::{chat::{Content, Media}, tools::Output};
///
/// let plain = Output::from(Content::from("noon"));
/// assert_eq!(plain, Output::json(&"noon")?);
/// // For layers that open pictures with `ToolLayer::media`.
/// let chart = Media::new("image/png", b"\x89PNG\r\n").name("chart.png");
/// let shown = Output::from(Content::new().text("The sales of May:").media(chart));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// A result for the model: a text, or parts of text and media. The layer must
    /// [open](super::ToolLayer::media) media.
    Content(Content),
    /// An output for the client, which continues the call. The answer ends, and the request that
    /// brings the client's result continues it.
    HandOver(Value),
}

impl Output {
    /// Creates a result from a value: a string as it is, anything else as JSON.
    ///
    /// # Errors
    ///
    /// If the value can't be written as JSON, such as a map whose keys aren't strings.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_value(value).map(Self::from)
    }

    /// Creates a result from what a function returned: content and media as they are, else as
    /// [`json`](Self::json) does.
    pub(super) fn of<T>(value: T) -> Result<Self, serde_json::Error>
    where
        T: Serialize + 'static,
    {
        let any: &dyn Any = &value;
        if let Some(content) = any.downcast_ref::<Content>() {
            return Ok(content.clone().into());
        }
        if let Some(media) = any.downcast_ref::<Media>() {
            return Ok(media.clone().into());
        }
        Self::json(&value)
    }
}

impl From<Value> for Output {
    fn from(value: Value) -> Self {
        Self::Content(match value {
            Value::String(text) => text.into(),
            other => other.to_string().into(),
        })
    }
}

impl From<Content> for Output {
    fn from(content: Content) -> Self {
        Self::Content(content)
    }
}

impl From<Media> for Output {
    fn from(media: Media) -> Self {
        Self::Content(media.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_function_returns_is_content_a_string_or_json() {
        let media = || Media::new("image/png", b"png");
        let content = Content::new().text("a").media(media());
        assert_eq!(Output::of(content.clone()).unwrap(), content.into());
        assert_eq!(Output::of(media()).unwrap(), Content::from(media()).into());
        assert_eq!(Output::of("a").unwrap(), Content::from("a").into());
        let json = Output::of(json!({"a": 1})).unwrap();
        assert_eq!(json, Content::from(r#"{"a":1}"#).into());
    }
}
