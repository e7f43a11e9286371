use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The tools that a model may or must call: `"auto"`, `"none"`, `"required"`, or `{"name": …}` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ToolChoice {
    /// The model chooses.
    Auto,
    /// The model calls no tool.
    None,
    /// The model calls a tool, in its first turn.
    Required,
    /// The model calls the tool of this name, in its first turn.
    Tool(String),
}

#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "`toolChoice` is \"auto\", \"none\", \"required\" or {\"name\": …}"
)]
enum Wire {
    Word(Word),
    Tool { name: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Auto,
    None,
    Required,
}

impl Serialize for ToolChoice {
    fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
    {
        match self {
            Self::Auto => Wire::Word(Word::Auto),
            Self::None => Wire::Word(Word::None),
            Self::Required => Wire::Word(Word::Required),
            Self::Tool(name) => Wire::Tool { name: name.clone() },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        Ok(match Wire::deserialize(deserializer)? {
            Wire::Word(Word::Auto) => Self::Auto,
            Wire::Word(Word::None) => Self::None,
            Wire::Word(Word::Required) => Self::Required,
            Wire::Tool { name } => Self::Tool(name),
        })
    }
}
