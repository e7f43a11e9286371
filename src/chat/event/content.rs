use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A piece of the answer: `text`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Text {
    /// The text to append.
    pub content: String,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A piece of the model's thinking: `thinking`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Thinking {
    /// The text to append.
    pub content: String,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An event of the application: `custom`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Custom {
    /// The name of the event, for the application.
    pub name: String,
    /// The data of the event.
    #[serde(default)]
    pub data: Value,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An event of a type that this version doesn't know, kept whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Unknown {
    /// The `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// All other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Text {
    /// Creates a piece of text.
    pub fn new(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            extra: Map::new(),
        }
    }
}

impl Thinking {
    /// Creates a piece of thinking.
    pub fn new(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            extra: Map::new(),
        }
    }
}

impl Custom {
    /// Creates an event called `name`.
    pub fn new(name: impl Into<String>, data: Value) -> Self {
        Self {
            name: name.into(),
            data,
            extra: Map::new(),
        }
    }
}
