use serde_json::{Map, Value, json};

use crate::{
    chat::{ChatOptions, ChatRequest, ProviderError, ResponseFormat, ToolChoice},
    provider::openai_responses::config::ResponsesConfig,
};

/// The fields that no client sets through `providerFields`. Some would show it what other people said.
const OWN: [&str; 12] = [
    "model",
    "input",
    "instructions",
    "stream",
    "stream_options",
    "store",
    "background",
    "include",
    "tools",
    "previous_response_id",
    "conversation",
    "prompt",
];

/// Adds the fields that go to the server as they are. Typed options take precedence.
///
/// # Errors
///
/// If one is a field that the provider writes itself.
pub(super) fn add_provider_fields(
    config: &ResponsesConfig,
    request: &ChatRequest,
    body: &mut Map<String, Value>,
) -> Result<(), ProviderError> {
    for (name, value) in &request.options.provider_fields {
        if OWN.contains(&name.as_str()) {
            let name = format!("providerFields.{name}");
            config
                .unsupported
                .option(&name, "it is the provider's own")?;
        } else {
            body.insert(name.clone(), value.clone());
        }
    }
    Ok(())
}

/// Adds the typed options.
///
/// # Errors
///
/// If the server has no form for one.
pub(super) fn add(
    config: &ResponsesConfig,
    options: &ChatOptions,
    body: &mut Map<String, Value>,
) -> Result<(), ProviderError> {
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    set("temperature", options.temperature.map(Value::from));
    set("top_p", options.top_p.map(Value::from));
    let tokens = options.max_output_tokens.map(Value::from);
    set("max_output_tokens", tokens);
    if !options.stop.is_empty() {
        let instead = "the Responses API has no texts to stop at";
        config.unsupported.option("stop", instead)?;
    }
    if options.seed.is_some() {
        let instead = "the Responses API has no seed";
        config.unsupported.option("seed", instead)?;
    }
    if let Some(effort) = options.reasoning.and_then(|reasoning| reasoning.effort) {
        put(body, "reasoning", "effort", effort.as_str().into());
    }
    if let Some(format) = &options.response_format {
        put(body, "text", "format", response_format(format));
    }
    // Servers refuse both without tools.
    let has_tools = matches!(body.get("tools"), Some(Value::Array(tools)) if !tools.is_empty());
    match &options.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Tool(_)) if !has_tools => {
            let instead = "the request offers no tool";
            config.unsupported.option("toolChoice", instead)?;
        }
        Some(choice) if has_tools => {
            body.insert("tool_choice".into(), tool_choice(choice));
        }
        _ => {}
    }
    if let Some(parallel) = options.parallel_tool_calls
        && has_tools
    {
        body.insert("parallel_tool_calls".into(), parallel.into());
    }
    Ok(())
}

/// Sets a member of an object in the body, beside those that it has.
fn put(body: &mut Map<String, Value>, object: &str, name: &str, value: Value) {
    match body.entry(object).or_insert_with(|| json!({})) {
        Value::Object(members) => {
            members.insert(name.into(), value);
        }
        other => *other = json!({ name: value }),
    }
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Tool(name) => json!({"type": "function", "name": name}),
    }
}

fn response_format(format: &ResponseFormat) -> Value {
    match format {
        ResponseFormat::Text => json!({"type": "text"}),
        ResponseFormat::JsonObject => json!({"type": "json_object"}),
        ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut format = json!({"type": "json_schema", "name": name, "schema": schema});
            if let Some(description) = description {
                format["description"] = description.as_str().into();
            }
            // The default of this API is true, which servers take only some schemas with.
            format["strict"] = strict.unwrap_or(false).into();
            format
        }
    }
}
