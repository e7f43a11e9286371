use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::input::wrong;
use crate::{
    chat::{
        ChatOptions, InvalidOption, ReasoningEffort, ReasoningOptions, ResponseFormat, ToolChoice,
    },
    dialect::{Problem, Refusal, sampling, unread},
};

/// The metadata of a request, which its response has too.
pub(super) type ResponseMetadata = BTreeMap<String, String>;

const MAX_PAIRS: usize = 16;
const MAX_KEY: usize = 64;
const MAX_VALUE: usize = 512;

/// The options of the API by their names there, and ours.
const NAMES: &[(&str, &str)] = &[
    ("topP", "top_p"),
    ("maxOutputTokens", "max_output_tokens"),
    ("toolChoice", "tool_choice"),
    ("responseFormat", "text.format"),
];

/// Fields whose effect no provider here has. `null`, an empty list and the named values ask for nothing.
const NOT_CARRIED: &[(&str, &[&str])] = &[
    ("access_programs", &[]),
    ("context_management", &[]),
    ("max_tool_calls", &[]),
    ("moderation", &[]),
    ("service_tier", &["auto", "default"]),
    ("top_logprobs", &[]),
    ("truncation", &["disabled"]),
];

/// Values of members that are what the API does without them.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("image", "context_compression", "auto"),
    ("reasoning", "context", "auto"),
];

#[derive(Deserialize)]
struct TextSettings {
    #[serde(default)]
    format: Option<ResponseFormat>,
    #[serde(default)]
    verbosity: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct ReasoningSettings {
    #[serde(default)]
    effort: Option<ReasoningEffort>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    generate_summary: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Takes the options out of the fields of a request.
pub(super) fn options(fields: &mut Map<String, Value>) -> Result<ChatOptions, Refusal> {
    refuse_what_is_not_carried(fields)?;
    let mut options = ChatOptions::new();
    options.temperature = take(fields, "temperature")?;
    options.top_p = take(fields, "top_p")?;
    options.max_output_tokens = take(fields, "max_output_tokens")?;
    options.parallel_tool_calls = take(fields, "parallel_tool_calls")?;
    options.provider_fields =
        sampling::take(fields).map_err(|name| wrong(&format!("`{name}` must be a number")))?;
    if let Some(Value::Object(choice)) = fields.get("tool_choice") {
        unread::check_members("tool_choice", choice, &["type", "name", "mode", "tools"])?;
    }
    if let Some(format) = fields.get("text").and_then(|text| text.get("format")) {
        unread::check_option("text.format", "responseFormat", format)?;
    }
    options.tool_choice = take(fields, "tool_choice")?
        .as_ref()
        .map(choice)
        .transpose()?;
    if let Some(text) = take::<TextSettings>(fields, "text")? {
        check_word("text.verbosity", text.verbosity.as_deref(), &["medium"])?;
        check_others("text", &text.others)?;
        options.response_format = text.format.filter(|it| *it != ResponseFormat::Text);
    }
    if let Some(reasoning) = take::<ReasoningSettings>(fields, "reasoning")? {
        let summaries = [
            ("reasoning.summary", reasoning.summary),
            ("reasoning.generate_summary", reasoning.generate_summary),
        ];
        for (name, summary) in summaries {
            // The reasoning is in the response as far as the provider gives it.
            check_word(name, summary.as_deref(), &["auto"])?;
        }
        check_others("reasoning", &reasoning.others)?;
        options.reasoning = reasoning.effort.map(ReasoningOptions::new);
    }
    options.check().map_err(|error| out_of_range(&error))?;
    Ok(options)
}

/// Takes the metadata out of the fields of a request.
pub(super) fn metadata(fields: &mut Map<String, Value>) -> Result<ResponseMetadata, Refusal> {
    let metadata: ResponseMetadata = take(fields, "metadata")?.unwrap_or_default();
    let fits = |text: &String, max: usize| text.chars().count() <= max;
    let pairs = metadata.iter();
    let fit = pairs
        .clone()
        .all(|(key, value)| fits(key, MAX_KEY) && fits(value, MAX_VALUE));
    if fit && metadata.len() <= MAX_PAIRS {
        return Ok(metadata);
    }
    Err(wrong(&format!(
        "`metadata` has at most {MAX_PAIRS} pairs, with keys of at most {MAX_KEY} characters and values of \
         at most {MAX_VALUE}"
    )))
}

fn refuse_what_is_not_carried(fields: &mut Map<String, Value>) -> Result<(), Refusal> {
    for (name, asks_nothing) in NOT_CARRIED {
        match fields.remove(*name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) if list.is_empty() => {}
            Some(Value::String(word)) if asks_nothing.contains(&&*word) => {}
            Some(Value::Number(number))
                if *name == "top_logprobs" && number.as_u64() == Some(0) => {}
            Some(_) => return Err(not_carried(name)),
        }
    }
    let image: Map<String, Value> = take(fields, "image")?.unwrap_or_default();
    check_others("image", &image)?;
    // Reasoning that has to be handed back is always in the response.
    let include: Vec<String> = take(fields, "include")?.unwrap_or_default();
    let other = |name: &&String| *name != "reasoning.encrypted_content";
    if let Some(name) = include.iter().find(other) {
        let name = format!("include: {}", name.escape_debug());
        return Err(not_carried(&name));
    }
    if let Some(options) = take::<Map<String, Value>>(fields, "stream_options")? {
        let asks = options
            .iter()
            .find(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)));
        if let Some((name, _)) = asks {
            return Err(not_carried(&format!(
                "stream_options.{}",
                name.escape_debug()
            )));
        }
    }
    // Responses are kept for the retention of their sessions in any case.
    fields.remove("store");
    Ok(())
}

/// Takes a field; `null` is none.
fn take<T>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<T>, Refusal>
where
    T: DeserializeOwned,
{
    let value = fields.remove(name).unwrap_or_default();
    let read: Result<Option<T>, _> = serde_json::from_value(value);
    read.map_err(|error| wrong(&format!("`{name}`: {error}")))
}

fn choice(choice: &Value) -> Result<ToolChoice, Refusal> {
    let kind = match choice {
        Value::String(word) => word,
        other => other["type"].as_str().unwrap_or_default(),
    };
    match (kind, choice["name"].as_str()) {
        ("auto", _) => Ok(ToolChoice::Auto),
        ("none", _) => Ok(ToolChoice::None),
        ("required", _) => Ok(ToolChoice::Required),
        ("function", Some(name)) => Ok(ToolChoice::Tool(name.to_owned())),
        _ => Err(wrong(
            "`tool_choice` is `auto`, `none`, `required` or `{\"type\":\"function\",\"name\":…}` here",
        )),
    }
}

fn check_word(name: &str, word: Option<&str>, asks_nothing: &[&str]) -> Result<(), Refusal> {
    match word {
        Some(word) if !asks_nothing.contains(&word) => Err(not_carried(name)),
        _ => Ok(()),
    }
}

fn check_others(of: &str, others: &Map<String, Value>) -> Result<(), Refusal> {
    let asks = |(name, value): &(&String, &Value)| {
        let default = DEFAULTS.contains(&(of, name, value.as_str().unwrap_or_default()));
        !(default || value.is_null())
    };
    let asked = others.iter().find(asks);
    asked.map_or(Ok(()), |(name, _)| {
        Err(not_carried(&format!("{of}.{}", name.escape_debug())))
    })
}

fn not_carried(name: &str) -> Refusal {
    Refusal::new(
        Problem::NotOpen,
        format!("`{name}` has no effect on this server's model; leave it out"),
    )
}

/// Tells the error in the words of the API.
fn out_of_range(error: &InvalidOption) -> Refusal {
    let ours = error.name();
    let (head, tail) = ours
        .split_once('.')
        .map_or((ours, ""), |(head, _)| (head, &ours[head.len()..]));
    let name = NAMES.iter().find(|(name, _)| *name == head);
    let name = name.map_or(head, |(_, name)| name);
    let told = error.to_string();
    let told = told.replacen(&format!("`options.{ours}`"), &format!("`{name}{tail}`"), 1);
    wrong(&told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: Value) -> Result<ChatOptions, Refusal> {
        let Value::Object(mut fields) = fields else {
            panic!("{fields} is no object");
        };
        let options = options(&mut fields)?;
        assert!(fields.is_empty(), "{fields:?}");
        Ok(options)
    }

    #[test]
    fn the_options_of_the_api_become_ours() {
        let format = json!({"type": "json_schema", "name": "answer", "schema": {}, "strict": true});
        let options = read(json!({
            "temperature": 1, "top_p": 0.5, "max_output_tokens": 20, "parallel_tool_calls": false,
            "tool_choice": {"type": "function", "name": "map"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": format, "verbosity": "medium"},
        }))
        .unwrap();
        let wire = json!({
            "temperature": 1.0, "topP": 0.5, "maxOutputTokens": 20, "parallelToolCalls": false,
            "toolChoice": {"name": "map"}, "reasoning": {"effort": "low"}, "responseFormat": format,
        });
        assert_eq!(serde_json::to_value(&options).unwrap(), wire);
    }

    #[test]
    fn fields_that_ask_for_nothing_are_accepted() {
        let options = read(json!({
            "temperature": null, "text": {"format": {"type": "text"}}, "reasoning": null,
            "include": ["reasoning.encrypted_content"], "max_tool_calls": null, "top_logprobs": 0,
            "truncation": "disabled", "service_tier": "auto", "store": false,
            "context_management": [], "image": {"context_compression": "auto"},
            "stream_options": {"include_obfuscation": false},
        }));
        assert!(options.unwrap().is_empty());
    }

    #[test]
    fn a_field_that_can_not_be_carried_is_refused_by_its_name() {
        for (name, field) in [
            ("max_tool_calls", json!({"max_tool_calls": 3})),
            ("access_programs", json!({"access_programs": {"a": 1}})),
            (
                "text.format.schema",
                json!({"text": {"format": {"type": "json_object", "schema": {"a": 1}}}}),
            ),
            (
                "tool_choice.style",
                json!({"tool_choice": {"type": "function", "name": "a", "style": "x"}}),
            ),
            ("top_logprobs", json!({"top_logprobs": 2})),
            ("truncation", json!({"truncation": "auto"})),
            ("service_tier", json!({"service_tier": "flex"})),
            (
                "message.output_text.logprobs",
                json!({"include": ["message.output_text.logprobs"]}),
            ),
            (
                "stream_options.include_obfuscation",
                json!({"stream_options": {"include_obfuscation": true}}),
            ),
            ("text.verbosity", json!({"text": {"verbosity": "low"}})),
            ("text.style", json!({"text": {"style": "x"}})),
            (
                "reasoning.summary",
                json!({"reasoning": {"summary": "detailed"}}),
            ),
            ("reasoning.mode", json!({"reasoning": {"mode": "x"}})),
            (
                "reasoning.context",
                json!({"reasoning": {"context": "all_turns"}}),
            ),
            (
                "image.context_compression",
                json!({"image": {"context_compression": "enabled"}}),
            ),
            (
                "context_management",
                json!({"context_management": [{"type": "compaction"}]}),
            ),
            (
                "tool_choice",
                json!({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}),
            ),
            ("`temperature`", json!({"temperature": 2.5})),
            ("`top_p`", json!({"top_p": 0})),
            ("`max_output_tokens`", json!({"max_output_tokens": 0})),
            ("`max_output_tokens`", json!({"max_output_tokens": "many"})),
            (
                "`text.format.name`",
                json!({"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}}),
            ),
        ] {
            let refusal = read(field).unwrap_err();
            assert_eq!(refusal.problem.status(), 422);
            assert!(refusal.detail.contains(name), "{}", refusal.detail);
        }
    }

    #[test]
    fn metadata_is_bounded() {
        let read = |value: Value| {
            let mut fields = Map::from_iter([("metadata".to_owned(), value)]);
            metadata(&mut fields)
        };
        let pairs = |count: usize| -> Value {
            let pair = |at| (format!("k{at}"), Value::from("v"));
            Value::Object((0..count).map(pair).collect())
        };
        let pair = |key: usize, value: usize| json!({"\u{e9}".repeat(key): "\u{e9}".repeat(value)});
        assert_eq!(read(pairs(16)).unwrap().len(), 16);
        assert_eq!(read(pair(64, 512)).unwrap().len(), 1);
        assert!(read(Value::Null).unwrap().is_empty());
        for beyond in [pairs(17), pair(65, 1), pair(1, 513), json!({"a": 1})] {
            assert!(read(beyond).unwrap_err().detail.contains("metadata"));
        }
    }
}
