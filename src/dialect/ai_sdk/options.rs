//! The settings of a model in the body of a request, by the names of the AI SDK.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    chat::{ChatOptions, InvalidOption},
    dialect::{Problem, Refusal, sampling, unread},
};

/// The settings: their names in the SDK, and ours.
const NAMES: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("topP", "topP"),
    ("maxOutputTokens", "maxOutputTokens"),
    ("stopSequences", "stop"),
    ("seed", "seed"),
    ("toolChoice", "toolChoice"),
    ("parallelToolCalls", "parallelToolCalls"),
    ("reasoning", "reasoning"),
    ("responseFormat", "responseFormat"),
];

/// Moves the settings of the SDK's names into `options`. One of them counts before a member of `options`.
pub(super) fn take(body: &mut Map<String, Value>) -> Result<(), Refusal> {
    if let Some(options) = body.get("options") {
        unread::check_options(options)?;
    }
    let mut taken = Map::new();
    for (theirs, ours) in NAMES {
        let Some(value) = body.remove(*theirs) else {
            continue;
        };
        if let Some(value) = converted(theirs, value)? {
            unread::check_option(theirs, ours, &value)?;
            let option = Map::from_iter([((*ours).to_owned(), value)]);
            if let Err(error) = ChatOptions::deserialize(Value::Object(option.clone())) {
                return Err(refused(format!("`{theirs}`: {error}")));
            }
            taken.extend(option);
        }
    }
    let fields = sampling::take(body);
    let fields = fields.map_err(|name| refused(format!("`{name}` must be a number")))?;
    if taken.is_empty() && fields.is_empty() {
        return Ok(());
    }
    match body.entry("options").or_insert(Value::Null) {
        Value::Object(options) => {
            options.extend(taken);
            add_fields(options, fields)
        }
        options @ Value::Null => {
            add_fields(&mut taken, fields)?;
            *options = taken.into();
            Ok(())
        }
        _ => Err(refused("`options` must be an object")),
    }
}

/// Adds fields that go to the model's server as they are.
fn add_fields(options: &mut Map<String, Value>, fields: Map<String, Value>) -> Result<(), Refusal> {
    if fields.is_empty() {
        return Ok(());
    }
    match options.entry("providerFields").or_insert(Value::Null) {
        Value::Object(all) => all.extend(fields),
        all @ Value::Null => *all = fields.into(),
        _ => return Err(refused("`options.providerFields` must be an object")),
    }
    Ok(())
}

/// Checks the ranges of the settings.
pub(super) fn check(options: &ChatOptions) -> Result<(), Refusal> {
    options
        .check()
        .map_err(|error| refused(in_their_words(&error)))
}

fn in_their_words(error: &InvalidOption) -> String {
    let name = error.name();
    let theirs = NAMES.iter().find(|(_, ours)| *ours == name);
    let theirs = theirs.map_or(name, |(theirs, _)| theirs);
    error
        .to_string()
        .replace(&format!("`options.{name}`"), &format!("`{theirs}`"))
}

/// Returns the value in our form; `None` if it leaves the choice to the provider.
fn converted(name: &str, value: Value) -> Result<Option<Value>, Refusal> {
    Ok(Some(match (name, value) {
        (_, Value::Null) => return Ok(None),
        ("toolChoice", Value::Object(choice)) => {
            let is_tool = choice.get("type").is_none_or(|kind| kind == "tool");
            let tool = choice.get("toolName").or_else(|| choice.get("name"));
            match tool.filter(|_| is_tool) {
                Some(name) => {
                    unread::check_members("toolChoice", &choice, &["type", "toolName", "name"])?;
                    json!({ "name": name })
                }
                None => {
                    return Err(refused(
                        "`toolChoice` must be \"auto\", \"none\", \"required\", or \
                         {\"type\": \"tool\", \"toolName\": …}",
                    ));
                }
            }
        }
        ("reasoning", Value::String(effort)) if effort == "provider-default" => return Ok(None),
        ("reasoning", effort @ Value::String(_)) => json!({ "effort": effort }),
        ("responseFormat", Value::Object(format)) if format.get("type") == Some(&json!("json")) => {
            unread::check_members(
                "responseFormat",
                &format,
                &["type", "name", "description", "schema"],
            )?;
            response_format(format)
        }
        (_, value) => value,
    }))
}

fn response_format(mut format: Map<String, Value>) -> Value {
    let Some(schema) = format.remove("schema") else {
        return json!({ "type": "json_object" });
    };
    let name = format.remove("name").unwrap_or_else(|| "answer".into());
    let mut ours = json!({ "type": "json_schema", "name": name, "schema": schema });
    if let Some(description) = format.remove("description") {
        ours["description"] = description;
    }
    ours
}

fn refused(detail: impl Into<String>) -> Refusal {
    Refusal::new(Problem::WrongShape, detail.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ReasoningEffort, ResponseFormat, ToolChoice};

    fn read(body: &Value) -> Result<ChatOptions, Refusal> {
        let mut body = body.as_object().unwrap().clone();
        take(&mut body)?;
        let options = body.remove("options").unwrap_or_else(|| json!({}));
        let options = ChatOptions::deserialize(options).unwrap();
        assert!(body.is_empty(), "{body:?}");
        check(&options)?;
        Ok(options)
    }

    #[test]
    fn settings_have_the_names_of_the_sdk() {
        let options = read(&json!({
            "temperature": 0.2, "topP": 0.9, "maxOutputTokens": 500, "stopSequences": ["\n"],
            "seed": 7, "toolChoice": {"type": "tool", "toolName": "now"}, "reasoning": "low",
            "responseFormat": {"type": "json", "schema": {"type": "object"}, "name": "place"},
        }));
        let expected = ChatOptions::new()
            .temperature(0.2)
            .top_p(0.9)
            .max_output_tokens(500)
            .stop("\n")
            .seed(7)
            .tool_choice(ToolChoice::Tool("now".into()))
            .reasoning_effort(ReasoningEffort::Low)
            .response_format(ResponseFormat::json_schema(
                "place",
                json!({"type": "object"}),
            ));
        assert_eq!(options.unwrap(), expected);
        let options = read(&json!({"toolChoice": "required", "responseFormat": {"type": "json"}}));
        let expected = ChatOptions::new().tool_choice(ToolChoice::Required);
        let expected = expected.response_format(ResponseFormat::JsonObject);
        assert_eq!(options.unwrap(), expected);
    }

    #[test]
    fn a_setting_of_the_sdk_counts_before_a_member_of_options() {
        let options = read(&json!({
            "temperature": 0.2, "options": {"temperature": 1, "parallelToolCalls": false},
        }));
        let expected = ChatOptions::new().temperature(0.2);
        assert_eq!(options.unwrap(), expected.parallel_tool_calls(false));
    }

    #[test]
    fn settings_without_an_option_of_their_own_are_fields_of_the_models_server() {
        let own = json!({"providerFields": {"min_p": 0.1}});
        for (options, rest) in [(Value::Null, json!({})), (own, json!({"min_p": 0.1}))] {
            let body = json!({"topK": 40, "presencePenalty": 0.5, "frequencyPenalty": -0.5, "options": options});
            let mut fields = rest.as_object().unwrap().clone();
            let taken = [
                ("top_k", json!(40)),
                ("presence_penalty", json!(0.5)),
                ("frequency_penalty", json!(-0.5)),
            ];
            fields.extend(taken.map(|(name, value)| (name.to_owned(), value)));
            assert_eq!(read(&body).unwrap().provider_fields, fields);
        }
    }

    #[test]
    fn a_setting_that_leaves_the_choice_to_the_provider_is_none() {
        let options = read(&json!({"temperature": null, "reasoning": "provider-default"}));
        assert!(options.unwrap().is_empty());
    }

    #[test]
    fn a_setting_that_can_not_be_read_is_refused_by_its_name_in_the_sdk() {
        for (body, word) in [
            (json!({"temperature": "hot"}), "`temperature`"),
            (json!({"temperature": 3}), "`temperature`"),
            (json!({"topP": 0}), "`topP`"),
            (json!({"maxOutputTokens": 1.5}), "`maxOutputTokens`"),
            (json!({"stopSequences": "x"}), "`stopSequences`"),
            (json!({"stopSequences": [""]}), "`stopSequences`"),
            (json!({"toolChoice": {"type": "any"}}), "`toolChoice`"),
            (json!({"reasoning": "very"}), "`reasoning`"),
            (
                json!({"responseFormat": {"type": "xml"}}),
                "`responseFormat`",
            ),
            (json!({"temperature": 1, "options": 7}), "`options`"),
            (json!({"topK": "many"}), "`topK`"),
            (json!({"parallelToolCalls": "no"}), "`parallelToolCalls`"),
            (
                json!({"topK": 1, "options": {"providerFields": 7}}),
                "`options.providerFields`",
            ),
        ] {
            let refusal = read(&body).unwrap_err();
            assert_eq!(refusal.problem, Problem::WrongShape, "{body}");
            assert!(refusal.detail.contains(word), "{}", refusal.detail);
        }
    }
}
