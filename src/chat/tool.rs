use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Content, Part, ProviderState, ToolAuthority, is_deeper, is_json, value_of_text};

/// A call of a tool that a model asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// The model's id of this call; the result carries the same id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments, usually an object. Arguments that are not JSON, or are nested deeper than
    /// [`MAX_DEPTH`](Self::MAX_DEPTH), are kept as a string.
    #[serde(default)]
    pub arguments: Value,
    /// The data that the provider must be handed back with the call.
    #[serde(
        default,
        rename = "providerState",
        skip_serializing_if = "Option::is_none"
    )]
    pub provider_state: Option<ProviderState>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ToolCall {
    /// The maximum nesting of arguments: 64 levels, of which `{}` is one.
    ///
    /// It holds for the other JSON values that cross the border of the server too: outputs of tools
    /// and of clients, contents of answers, open fields of requests.
    pub const MAX_DEPTH: usize = 64;

    /// Creates a call of the tool `name`.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: Value) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            arguments,
            provider_state: None,
            extra: Map::new(),
        }
    }

    /// Creates a call from the JSON text of its arguments. Empty text means no arguments. Text that
    /// isn't JSON, or is nested deeper than [`MAX_DEPTH`](Self::MAX_DEPTH), is kept as a string. An
    /// escape of half a character (a lone surrogate) is read as U+FFFD.
    pub fn from_text(id: impl Into<String>, name: impl Into<String>, arguments: &str) -> Self {
        let arguments = if arguments.trim().is_empty() {
            Value::Object(Map::new())
        } else {
            value_of_text(arguments)
        };
        Self::new(id, name, arguments)
    }

    /// Turns arguments that are nested deeper than [`MAX_DEPTH`](Self::MAX_DEPTH) into their text.
    pub(crate) fn limit_depth(&mut self) {
        if is_deeper(&self.arguments, Self::MAX_DEPTH) {
            self.arguments = self.arguments.to_string().into();
        }
    }

    /// The message for the model about a call that [is half](Self::is_half).
    #[cfg(any(feature = "tools", feature = "ai-sdk", feature = "ag-ui"))]
    pub(crate) const HALF: &str = "The arguments are no whole JSON; write the call again.";

    /// Returns true if the arguments are a text that is no JSON, or is nested deeper than
    /// [`MAX_DEPTH`](Self::MAX_DEPTH): what the model meant isn't known.
    ///
    /// Such a call runs nowhere. The tool layer answers it with an error that the model gets, and the dialects tell
    /// clients of it as of one that failed.
    ///
    /// ```
    /// use unbroken::chat::ToolCall;
    ///
    /// assert!(ToolCall::from_text("1", "map", r#"{"zoom": "#).is_half());
    /// assert!(!ToolCall::from_text("1", "map", r#"{"zoom": 3}"#).is_half());
    /// assert!(!ToolCall::from_text("1", "map", "").is_half());
    /// ```
    pub fn is_half(&self) -> bool {
        let text = self.arguments.as_str();
        text.is_some_and(|text| !text.trim().is_empty() && !is_json(text))
    }

    /// Returns true if the arguments are a text that is nested too deep to be parsed.
    #[cfg(feature = "tools")]
    pub(crate) fn is_too_deep(&self) -> bool {
        let text = self.arguments.as_str();
        text.is_some_and(|text| super::JsonDepth::of(text) > Self::MAX_DEPTH)
    }
}

/// The server's tools that a request may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnabledTools {
    /// All of them; `true` on the wire.
    #[default]
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
    /// The result; a list of the [parts](crate::chat::Part) `text` and `media` if the client gave media, which
    /// [`ClientFields::media`](crate::durable::ClientFields::media) opens.
    #[serde(default)]
    pub client_output: Value,
    /// The output that the server handed over with the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_handoff: Option<Value>,
    /// True if the server's half of the tool runs with the result.
    #[serde(default)]
    pub uses_handoff: bool,
    /// True if no log confirms that the call was handed to the client. Set by the durable layer
    /// ([`ClientFields::unverified_outputs`](crate::durable::ClientFields::unverified_outputs)),
    /// whatever the client sends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claimed: bool,
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
            claimed: false,
            extra: Map::new(),
        }
    }

    /// Returns the parts of a result with media, without fields that this version doesn't know; `None` for
    /// any other value, also for one that only looks like parts.
    pub(crate) fn parts(&self) -> Option<Content> {
        let Value::Array(list) = &self.client_output else {
            return None;
        };
        let is_of = |part: &Value, kind: &str| part["type"] == kind;
        let is_part = |part: &Value| is_of(part, "text") || is_of(part, "media");
        if !(list.iter().all(is_part) && list.iter().any(|part| is_of(part, "media"))) {
            return None;
        }
        let mut content = Content::deserialize(&self.client_output).ok()?;
        for part in content.parts_mut() {
            if let Part::Media(media) = part {
                media.check().ok()?;
                media.extra.clear();
            }
        }
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::Media;

    #[test]
    fn arguments_that_are_not_json_stay_a_string() {
        let call = ToolCall::from_text("c1", "search", r#"{"q": "rus"#);
        assert_eq!(call.arguments, json!(r#"{"q": "rus"#));
        let call = ToolCall::from_text("c1", "search", r#"{"q": "rust"}"#);
        assert_eq!(call.arguments, json!({"q": "rust"}));
        for (text, read) in [
            (
                r#"["a\ud83d","\udc00","\ud83d\ude00"]"#,
                "a\u{fffd}|\u{fffd}|😀",
            ),
            (
                r#"["\ud83d\ud83d\ude00","\\ud83d\udc00"]"#,
                "\u{fffd}😀|\\ud83d\u{fffd}",
            ),
        ] {
            let call = ToolCall::from_text("c1", "t", text);
            let read: Vec<_> = read.split('|').collect();
            assert_eq!(call.arguments, json!(read), "{text}");
        }
        let half = r#"["\ud83d"#;
        assert_eq!(ToolCall::from_text("c1", "t", half).arguments, half);
        let call = ToolCall::from_text("c1", "now", "");
        assert_eq!(call.arguments, json!({}));
    }

    #[test]
    fn a_call_is_half_unless_its_arguments_are_json() {
        let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (text, is_half) in [
            (r#"{"a": 1}"#, false),
            ("", false),
            (" \n", false),
            ("[]", false),
            ("7", false),
            // Of a model that writes its JSON as a string.
            (r#""{\"a\": 1}""#, false),
            (r#""\ud83d""#, true),
            (r#"{"a": 1"#, true),
            (r#"{"a": 1}}"#, true),
            (r#"{"a": 1}{"a": 1}"#, true),
            ("Hi", true),
            (r#"{"$serde_json::private::RawValue":"x"}"#, true),
            (&lists(64), false),
            (&lists(65), true),
            (&lists(5000), true),
        ] {
            let call = ToolCall::from_text("1", "t", text);
            assert_eq!(call.is_half(), is_half, "{text:.50}");
        }
        let mut deep = ToolCall::new("1", "t", (0..65).fold(json!(1), |it, _| json!([it])));
        deep.limit_depth();
        assert!(deep.is_half());
    }

    #[test]
    fn only_an_output_of_parts_with_readable_media_has_parts() {
        let parts = |output| IsomorphicClientOutput::new("1", "draw", output).parts();
        let media = json!({"type": "media", "mediaType": "image/png", "url": "data:image/png;base64,AAAA",
            "later": [1]});
        let text = json!({"type": "text", "text": "a"});
        let png = Media::new("image/png", [0, 0, 0]);
        let content = Content::new().text("a").media(png);
        assert_eq!(parts(json!([text, media])), Some(content));
        let unreadable = json!({"type": "media", "mediaType": "image/png", "url": "a"});
        for output in [
            json!("a"),
            json!([]),
            json!([text]),
            json!([text, media, 7]),
            json!([media, {"type": "reasoning", "text": "Hm."}]),
            json!([media, unreadable]),
            json!([{"type": "media"}]),
            media,
        ] {
            assert_eq!(parts(output.clone()), None, "{output}");
        }
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
