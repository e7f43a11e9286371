//! Names that ask something of a model, where nothing reads them.

use serde_json::{Map, Value};

use super::{Problem, Refusal};

/// What a name asks for, in the vocabulary of any client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A field of the native protocol, by another name or in another place.
    Field(&'static str),
    /// A field that some servers of models have.
    OfServer,
    /// Something that only the application can read.
    OfApplication,
}

/// The names, in snake case, of fields of the native protocol.
const FIELDS: &[(&str, &[&str])] = &[
    ("model", &["model"]),
    (
        "systemPrompt",
        &["system", "system_prompt", "system_prompts", "instructions"],
    ),
    ("isomorphicTools", &["tools", "functions"]),
    ("options.temperature", &["temperature"]),
    ("options.topP", &["top_p"]),
    (
        "options.maxOutputTokens",
        &[
            "max_output_tokens",
            "max_tokens",
            "max_completion_tokens",
            "max_new_tokens",
            "num_predict",
        ],
    ),
    ("options.stop", &["stop", "stop_sequences"]),
    ("options.seed", &["seed"]),
    ("options.toolChoice", &["tool_choice", "function_call"]),
    ("options.parallelToolCalls", &["parallel_tool_calls"]),
    (
        "options.reasoning",
        &["reasoning", "reasoning_effort", "thinking", "think"],
    ),
    ("options.responseFormat", &["response_format"]),
];

/// The names, in snake case, of fields that some servers of models have.
const OF_SERVERS: &[&str] = &[
    "best_of",
    "chat_template_kwargs",
    "enable_thinking",
    "frequency_penalty",
    "grammar",
    "guided_json",
    "ignore_eos",
    "logit_bias",
    "logprobs",
    "max_tool_calls",
    "min_p",
    "min_tokens",
    "mirostat",
    "modalities",
    "n",
    "num_ctx",
    "prediction",
    "presence_penalty",
    "repeat_penalty",
    "repetition_penalty",
    "safety_settings",
    "service_tier",
    "tfs_z",
    "thinking_budget",
    "top_a",
    "top_k",
    "top_logprobs",
    "truncation",
    "typical_p",
    "verbosity",
    "web_search_options",
];

/// The names, in snake case, of what only the application can read. AG-UI's `state` is none of them: it is the
/// client's own, and goes with every request.
const OF_APPLICATIONS: &[&str] = &[
    "active_tools",
    "call_settings",
    "context",
    "extra_body",
    "mcp_servers",
    "model_options",
    "provider_options",
    "resume",
];

/// The options, by their names in the native protocol.
const OPTIONS: &[&str] = &[
    "temperature",
    "topP",
    "maxOutputTokens",
    "stop",
    "seed",
    "toolChoice",
    "parallelToolCalls",
    "reasoning",
    "responseFormat",
    "providerFields",
];

/// Returns what a name in snake case asks for, if it is known.
pub(crate) fn meaning(name: &str) -> Option<Meaning> {
    let field = FIELDS.iter().find(|(_, names)| names.contains(&name));
    if let Some((field, _)) = field {
        return Some(Meaning::Field(field));
    }
    if OF_SERVERS.contains(&name) {
        return Some(Meaning::OfServer);
    }
    let is_of_application = OF_APPLICATIONS.contains(&name);
    is_of_application.then_some(Meaning::OfApplication)
}

/// Returns a name in snake case.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Returns true if a value of a setting, whose name is in snake case, is what every protocol has without it.
pub(crate) fn asks_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(word) => word.is_empty() || (name == "tool_choice" && word == "auto"),
        Value::Bool(is_on) => match name {
            "parallel_tool_calls" => *is_on,
            "logprobs" => !is_on,
            _ => false,
        },
        Value::Number(number) => match name {
            "n" | "best_of" => number.as_u64() == Some(1),
            "top_logprobs" => number.as_u64() == Some(0),
            _ => false,
        },
    }
}

/// Refuses members of `options` that no option has, and such members of the options themselves.
pub(super) fn check_options(options: &Value) -> Result<(), Refusal> {
    let Value::Object(options) = options else {
        return Ok(());
    };
    for (name, value) in options {
        if OPTIONS.contains(&&**name) {
            check_option(&format!("options.{name}"), name, value)?;
        } else if !asks_nothing("", value) {
            let snake = snake_case(name);
            let advice = match meaning(&snake) {
                Some(Meaning::Field(field)) => format!("send `{field}`"),
                Some(Meaning::OfServer) => format!("send `options.providerFields.{snake}`"),
                Some(Meaning::OfApplication) | None => {
                    format!("leave it out; there are `{}`", OPTIONS.join("`, `"))
                }
            };
            let place = place(&format!("options.{name}"));
            return Err(unread(format!("`{place}` isn't read here; {advice}")));
        }
    }
    Ok(())
}

/// Refuses members of a value that its option doesn't have. `place` is the client's name for the option, `option`
/// ours.
pub(super) fn check_option(place: &str, option: &str, value: &Value) -> Result<(), Refusal> {
    let Value::Object(members) = value else {
        return Ok(());
    };
    check_members(
        place,
        members,
        match option {
            "reasoning" => &["effort"],
            "toolChoice" => &["name"],
            "responseFormat" if members.get("type").is_some_and(|it| it != "json_schema") => {
                &["type"]
            }
            "responseFormat" => &["type", "name", "description", "schema", "strict"],
            _ => return Ok(()),
        },
    )
}

/// Refuses members of an object that are none of the known ones.
pub(super) fn check_members(
    of: &str,
    members: &Map<String, Value>,
    known: &[&str],
) -> Result<(), Refusal> {
    let mut unknown = members
        .iter()
        .filter(|(name, value)| !(known.contains(&&***name) || asks_nothing("", value)));
    match unknown.next() {
        None => Ok(()),
        Some((name, _)) => Err(unread(format!(
            "`{}` isn't read here; leave it out (`{of}` has `{}`)",
            place(&format!("{of}.{name}")),
            known.join("`, `")
        ))),
    }
}

/// Returns the name of a field as a refusal shows it.
pub(crate) fn place(name: &str) -> String {
    let name: String = name.chars().take(128).collect();
    name.escape_debug().to_string()
}

fn unread(detail: String) -> Refusal {
    Refusal::new(Problem::NotOpen, detail)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_that_no_option_has_is_refused_by_its_place() {
        for (options, words) in [
            (
                json!({"maxTokens": 5}),
                ["`options.maxTokens`", "`options.maxOutputTokens`"],
            ),
            (
                json!({"topK": 5}),
                ["`options.topK`", "`options.providerFields.top_k`"],
            ),
            (
                json!({"temprature": 1}),
                ["`options.temprature`", "`temperature`"],
            ),
            (
                json!({"reasoning": {"effort": "low", "summary": "auto"}}),
                ["`options.reasoning.summary`", "`effort`"],
            ),
            (
                json!({"toolChoice": {"name": "now", "mode": "any"}}),
                ["`options.toolChoice.mode`", "`name`"],
            ),
            (
                json!({"responseFormat": {"type": "json_object", "schema": true}}),
                ["`options.responseFormat.schema`", "`type`"],
            ),
            (
                json!({"responseFormat": {"type": "json_schema", "jsonSchema": {"a": 1}}}),
                ["`options.responseFormat.jsonSchema`", "`schema`"],
            ),
        ] {
            let refusal = check_options(&options).unwrap_err();
            assert_eq!(refusal.problem.status(), 422);
            for word in words {
                assert!(refusal.detail.contains(word), "{}", refusal.detail);
            }
        }
        let known = json!({
            "temperature": 1, "stop": ["."], "toolChoice": {"name": "now"}, "reasoning": {"effort": "low"},
            "responseFormat": {"type": "json_schema", "name": "a", "schema": {"any": 1}, "strict": true},
            "providerFields": {"min_p": 1}, "maxTokens": null, "reasoningSummary": {},
        });
        assert_eq!(check_options(&known), Ok(()));
    }

    #[test]
    fn names_are_known_in_both_spellings() {
        for (name, known) in [
            ("maxTokens", Some(Meaning::Field("options.maxOutputTokens"))),
            (
                "max_tokens",
                Some(Meaning::Field("options.maxOutputTokens")),
            ),
            ("minP", Some(Meaning::OfServer)),
            ("providerOptions", Some(Meaning::OfApplication)),
            ("trigger", None),
            ("state", None),
        ] {
            assert_eq!(meaning(&snake_case(name)), known, "{name}");
        }
    }
}
