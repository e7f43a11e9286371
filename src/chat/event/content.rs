use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A piece of the answer: `text`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Text {
    /// The piece, to be put after those before it.
    pub content: String,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A piece of the model's thinking: `thinking`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Thinking {
    /// The piece, to be put after those before it.
    pub content: String,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Something of the application's own: `custom`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Custom {
    /// What it is, for the application.
    pub name: String,
    /// What it says.
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
    /// Its `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Text {
    /// This piece.
    pub fn new(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            extra: Map::new(),
        }
    }
}

impl Thinking {
    /// This piece.
    pub fn new(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            extra: Map::new(),
        }
    }
}

impl Custom {
    /// Something called `name`.
    pub fn new(name: impl Into<String>, data: Value) -> Self {
        Self {
            name: name.into(),
            data,
            extra: Map::new(),
        }
    }
}
