use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ToolAuthority;

/// A call of a tool that a model asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// The model's id of this call; the result carries the same id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments, usually an object. Arguments that are not JSON are kept as a string.
    #[serde(default)]
    pub arguments: Value,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ToolCall {
    /// Creates a call of the tool `name`.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: Value) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments,
            extra: Map::new(),
        }
    }

    /// Creates a call from the JSON text of its arguments. Empty text means no arguments. Text that
    /// isn't JSON is kept as a string.
    pub fn from_text(id: impl Into<String>, name: impl Into<String>, arguments: &str) -> Self {
        let arguments = if arguments.trim().is_empty() {
            Value::Object(Map::new())
        } else {
            serde_json::from_str(arguments).unwrap_or_else(|_| Value::from(arguments))
        };
        Self::new(id, name, arguments)
    }
}

/// The server's tools that a request may use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnabledTools {
    /// All of them; `true` on the wire.
    All,
    /// The tools of these names.
    Named(Vec<String>),
}

impl EnabledTools {
    /// Returns true if the tool `name` may be used.
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

/// A tool that the client brings along and runs. The model sees only its definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IsomorphicTool {
    /// The name by which the model calls it.
    pub name: String,
    /// A description for the model.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of its arguments.
    #[serde(default)]
    pub parameters: Value,
    /// The side that runs it.
    #[serde(default)]
    pub authority: ToolAuthority,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl IsomorphicTool {
    /// Creates a tool that the client runs, with a JSON Schema of its arguments.
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

/// The result of a client's tool, sent with the request that continues the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct IsomorphicClientOutput {
    /// The call that it answers.
    pub call_id: String,
    /// The tool that ran.
    pub tool_name: String,
    /// The arguments of the call.
    #[serde(default)]
    pub params: Value,
    /// The result.
    #[serde(default)]
    pub client_output: Value,
    /// The output that the server handed over with the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_handoff: Option<Value>,
    /// True if the server's half of the tool runs with the result.
    #[serde(default)]
    pub uses_handoff: bool,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl IsomorphicClientOutput {
    /// Creates the result `output` of the tool `tool_name` for the call `call_id`.
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
