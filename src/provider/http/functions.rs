//! Tools as servers want to hear of them.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::chat::{ChatRequest, ToolDefinition};

/// The tools that the model may ask for.
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

/// A call's arguments as an object. The templates of many models go through its members, and their
/// servers refuse a conversation that holds anything else, such as the half JSON that a small model
/// once wrote.
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
