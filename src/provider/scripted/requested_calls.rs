//! The tools that a question names, and their arguments.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::script::MAX_VALUES;
use crate::chat::{ToolCall, ToolDefinition, values_in_text};

/// Returns calls of the tools that `question` names: it contains all words of the tool's name. The
/// first call gets the JSON object at the end of the question, if there is one; an object with too many values
/// stays a text. The others get the examples of their schemas.
pub(super) fn requested_calls(question: &str, tools: &[ToolDefinition]) -> Vec<ToolCall> {
    let (words, brought) = match question.split_once('{') {
        Some((words, _)) => (words, Some(&question[words.len()..])),
        None => (question, None),
    };
    let is_json = |text: &&str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let words = words.to_lowercase();
    let words: Vec<_> = words.split(|char: char| !char.is_alphanumeric()).collect();
    let is_named = |tool: &&ToolDefinition| {
        let name = tool.name.to_lowercase();
        let mut parts = name.split(['_', '-']).filter(|part| !part.is_empty());
        parts.all(|part| words.contains(&part))
    };
    let mut brought = brought.filter(is_json);
    let named = tools.iter().filter(is_named).enumerate();
    let call = |(at, tool): (usize, &ToolDefinition)| {
        let id = format!("call_{}", at + 1);
        match brought.take() {
            Some(text) if values_in_text(text) > MAX_VALUES => {
                ToolCall::new(id, &tool.name, Value::from(text))
            }
            Some(text) => ToolCall::from_text(id, &tool.name, text),
            None => ToolCall::new(id, &tool.name, example(&tool.parameters)),
        }
    };
    named.map(call).collect()
}

/// Returns a value that fits a simple schema: its first example, else its default, else a value of
/// its type. References aren't followed.
fn example(schema: &Value) -> Value {
    let list = |key: &str| schema[key].get(0);
    let given = list("examples").or_else(|| schema.get("default"));
    let given = given.or_else(|| schema.get("const").or_else(|| list("enum")));
    if let Some(given) = given {
        return given.clone();
    }
    match schema["type"].as_str() {
        Some("string") => "something".into(),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        Some("boolean") => true.into(),
        Some("array") => Value::Array(Vec::new()),
        Some("null") => Value::Null,
        _ => properties(schema).into(),
    }
}

fn properties(schema: &Value) -> Map<String, Value> {
    let is_required = |name: &str| {
        let required = schema["required"].as_array();
        required.is_some_and(|names| names.iter().any(|it| it == name))
    };
    let all = schema["properties"].as_object().into_iter().flatten();
    all.filter(|(name, of)| is_required(name) || of.get("examples").is_some())
        .map(|(name, of)| (name.clone(), example(of)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tools() -> Vec<ToolDefinition> {
        let mail = json!({
            "properties": {
                "to": {"type": "string", "examples": ["ada@example.org"]},
                "copies": {"type": "integer", "minimum": 2},
                "urgent": {"type": "boolean"},
            },
            "required": ["to", "copies"],
        });
        vec![
            ToolDefinition::new("send_mail", "", mail),
            ToolDefinition::new("weather", "", json!({"type": "object"})),
        ]
    }

    #[test]
    fn a_tool_is_called_if_the_question_has_all_words_of_its_name() {
        let named = |question| {
            let calls = requested_calls(question, &tools());
            calls.into_iter().map(|call| call.name).collect::<Vec<_>>()
        };
        assert_eq!(named("Send Ada a MAIL!"), ["send_mail"]);
        assert_eq!(named("weather?"), ["weather"]);
        assert_eq!(
            named("Mail the weather, send it."),
            ["send_mail", "weather"]
        );
        assert!(named("Whether to email").is_empty());
        assert!(named(r#"Hi {"weather": 1}"#).is_empty());
    }

    #[test]
    fn arguments_are_the_questions_or_the_examples_of_the_schema() {
        let calls = requested_calls("send mail", &tools());
        assert_eq!(
            calls[0].arguments,
            json!({"to": "ada@example.org", "copies": 2})
        );
        let calls = requested_calls(r#"send_mail, and weather {"to": "{bob}"}"#, &tools());
        assert_eq!(calls[0].arguments, json!({"to": "{bob}"}));
        assert_eq!((&*calls[1].id, &calls[1].arguments), ("call_2", &json!({})));
        let zeros = json!({"of": vec![0; MAX_VALUES]}).to_string();
        let calls = requested_calls(&format!("weather {zeros}"), &tools());
        assert_eq!(calls[0].arguments, zeros);
        let calls = requested_calls("weather {as it is}", &tools());
        assert_eq!(calls[0].arguments, json!({}));
    }
}
