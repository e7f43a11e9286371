use serde_json::{Map, Value, json};

use crate::{
    chat::{ChatOptions, ChatRequest, ProviderError, ResponseFormat, ToolChoice},
    provider::openai::config::OpenAiConfig,
};

/// The most texts at which the model stops, by OpenAI's rule.
const MAX_STOPS: usize = 4;
/// The fields that no client sets through `providerFields`.
const OWN: [&str; 6] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "functions",
];

/// Adds the fields that go to the server as they are. Typed options take precedence.
///
/// # Errors
///
/// If one is a field that the provider writes itself.
pub(super) fn add_provider_fields(
    config: &OpenAiConfig,
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
    config: &OpenAiConfig,
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
    set(config.max_tokens_field, tokens);
    set("seed", options.seed.map(Value::from));
    let effort = options.reasoning.and_then(|reasoning| reasoning.effort);
    set("reasoning_effort", effort.map(|it| it.as_str().into()));
    let format = options.response_format.as_ref();
    set("response_format", format.map(response_format));
    let stops = options.stop.len();
    if stops > MAX_STOPS {
        let most = format!("{MAX_STOPS} texts are the most");
        config.unsupported.option("stop", &most)?;
    } else if stops > 0 {
        set("stop", Some(options.stop.as_slice().into()));
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

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Tool(name) => json!({"type": "function", "function": {"name": name}}),
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
            let mut format = json!({"name": name, "schema": schema});
            if let Some(description) = description {
                format["description"] = description.as_str().into();
            }
            if let Some(strict) = strict {
                format["strict"] = (*strict).into();
            }
            json!({"type": "json_schema", "json_schema": format})
        }
    }
}
