use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A source that the answer rests on: `source`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Citation {
    /// The name of the source within the answer. A repeated one is the same source at another place.
    pub id: String,
    /// The address of a page; absent for a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The media type of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The words of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The place in the text of the turn that rests on the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<TextSpan>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A place in the text of a turn, in Unicode characters from its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TextSpan {
    /// The first character.
    pub start: u64,
    /// The character after the last one.
    pub end: u64,
}

impl Citation {
    /// Creates a source at an address.
    pub fn link(id: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::document(id)
        }
    }

    /// Creates a source without an address.
    pub fn document(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }

    /// Sets the title.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets the media type of a document.
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// Sets the words of the source.
    pub fn quote(mut self, quote: impl Into<String>) -> Self {
        self.quote = Some(quote.into());
        self
    }

    /// Sets the place in the text of the turn.
    pub fn at(mut self, at: TextSpan) -> Self {
        self.at = Some(at);
        self
    }
}

impl TextSpan {
    /// Creates a place from its first character to the one after its last.
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }
}
