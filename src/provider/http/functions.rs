//! Tools in the form that servers expect.

use std::borrow::Cow;

use serde_json::{Map, Value, json, value::RawValue};

use super::json::string_bytes;
use crate::chat::{ChatRequest, ToolDefinition};

/// Returns the tools that the model may ask for.
pub(crate) fn functions(request: &ChatRequest) -> Vec<Value> {
    request
        .tool_definitions()
        .into_iter()
        .map(function)
        .collect()
}

fn function(tool: ToolDefinition) -> Value {
    let mut function = Map::new();
    function.insert("name".into(), tool.name.into());
    if !tool.description.is_empty() {
        function.insert("description".into(), tool.description.into());
    }
    if !tool.parameters.is_null() {
        function.insert("parameters".into(), tool.parameters);
    }
    json!({"type": "function", "function": function})
}

/// Returns the text of a call's arguments, or of a piece of them, as WTF-8: servers send it as a string,
/// or the JSON itself.
pub(crate) fn argument_bytes(arguments: Option<&RawValue>) -> Cow<'_, [u8]> {
    match arguments {
        None => Cow::Borrowed(b""),
        Some(value) => string_bytes(value).unwrap_or(Cow::Borrowed(value.get().as_bytes())),
    }
}

/// Returns a call's arguments as an object. The templates of many models iterate over its members,
/// and servers refuse a conversation with anything else, such as the incomplete JSON of a small
/// model.
pub(crate) fn object(arguments: &Value) -> Cow<'_, Value> {
    match arguments {
        Value::Object(_) => Cow::Borrowed(arguments),
        Value::Null => Cow::Owned(json!({})),
        other => Cow::Owned(json!({"arguments": other})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_always_an_object() {
        for (said, sent) in [
            (json!({"a": 1}), json!({"a": 1})),
            (json!(null), json!({})),
            (json!("{\"a\":"), json!({"arguments": "{\"a\":"})),
            (json!([1]), json!({"arguments": [1]})),
        ] {
            assert_eq!(*object(&said), sent);
        }
    }
}
