use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ToolAuthority;

/// A model asks for a tool to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// The model's name for this call; the result carries it too.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// What to run it with: most often an object. Arguments that were not JSON are the string that
    /// the model wrote.
    #[serde(default)]
    pub arguments: Value,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ToolCall {
    /// A call of the tool `name`.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: Value) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments,
            extra: Map::new(),
        }
    }

    /// A call whose arguments are JSON as the model wrote it. No text at all means no arguments;
    /// text that isn't JSON stays a string.
    pub fn from_text(id: impl Into<String>, name: impl Into<String>, arguments: &str) -> Self {
        let arguments = if arguments.trim().is_empty() {
            Value::Object(Map::new())
        } else {
            serde_json::from_str(arguments).unwrap_or_else(|_| Value::from(arguments))
        };
        Self::new(id, name, arguments)
    }
}

/// Which of the server's tools a request may use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnabledTools {
    /// All of them; `true` on the wire.
    All,
    /// The ones of these names.
    Named(Vec<String>),
}

impl EnabledTools {
    /// Whether the tool `name` is among them.
    pub fn allow(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|named| named == name),
        }
    }
}

impl Serialize for EnabledTools {
    fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        match self {
            Self::All => serializer.serialize_bool(true),
            Self::Named(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for EnabledTools {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "`enabledTools` is true, false or a list of names"
        )]
        enum EnabledToolsWire {
            All(bool),
            Named(Vec<String>),
        }
        Ok(match EnabledToolsWire::deserialize(deserializer)? {
            EnabledToolsWire::All(true) => Self::All,
            EnabledToolsWire::All(false) => Self::Named(Vec::new()),
            EnabledToolsWire::Named(names) => Self::Named(names),
        })
    }
}

/// A tool that the client brings along: it runs there, the model only hears of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IsomorphicTool {
    /// What the model calls it by.
    pub name: String,
    /// What it does, for the model.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of its arguments.
    #[serde(default)]
    pub parameters: Value,
    /// Who runs it.
    #[serde(default)]
    pub authority: ToolAuthority,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl IsomorphicTool {
    /// A tool that the client runs, with a JSON Schema of its arguments.
    pub fn new(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            parameters,
            authority: ToolAuthority::Client,
            extra: Map::new(),
        }
    }
}

/// What a client's tool gave, sent back with the request that goes on from there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct IsomorphicClientOutput {
    /// Which call it answers.
    pub call_id: String,
    /// Which tool ran.
    pub tool_name: String,
    /// What the tool was run with.
    #[serde(default)]
    pub params: Value,
    /// What it gave.
    #[serde(default)]
    pub client_output: Value,
    /// What the server had handed over with the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_handoff: Option<Value>,
    /// Whether the server's half of the tool goes on with it.
    #[serde(default)]
    pub uses_handoff: bool,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl IsomorphicClientOutput {
    /// The tool `tool_name` gave `output` for the call `call_id`.
    pub fn new(call_id: impl Into<String>, tool_name: impl Into<String>, output: Value) -> Self {
        Self {
            call_id: call_id.into(),
            tool_name: tool_name.into(),
            params: Value::Null,
            client_output: output,
            cached_handoff: None,
            uses_handoff: false,
            extra: Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_that_are_not_json_stay_a_string() {
        let call = ToolCall::from_text("c1", "search", r#"{"q": "rus"#);
        assert_eq!(call.arguments, json!(r#"{"q": "rus"#));
        let call = ToolCall::from_text("c1", "search", r#"{"q": "rust"}"#);
        assert_eq!(call.arguments, json!({"q": "rust"}));
        let call = ToolCall::from_text("c1", "now", "");
        assert_eq!(call.arguments, json!({}));
    }

    #[test]
    fn enabled_tools_are_true_or_names() {
        let read = |text| serde_json::from_str::<EnabledTools>(text);
        assert_eq!(read("true").unwrap(), EnabledTools::All);
        assert_eq!(read("false").unwrap(), EnabledTools::Named(vec![]));
        assert!(read(r#"["a"]"#).unwrap().allow("a"));
        assert!(!read(r#"["a"]"#).unwrap().allow("b"));
        let error = read("7").unwrap_err().to_string();
        assert!(error.contains("list of names"), "{error}");
    }
}
