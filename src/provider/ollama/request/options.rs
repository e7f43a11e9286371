use serde_json::{Map, Value};

use crate::{
    chat::{ChatOptions, ProviderError, ReasoningEffort, ResponseFormat, ToolChoice},
    provider::ollama::config::OllamaConfig,
};

/// The fields that no client sets through `providerFields`.
const OWN: [&str; 5] = ["model", "messages", "stream", "tools", "options"];

/// The other fields of a request. All else belongs into its `options`; at the top Ollama drops it.
const OF_REQUEST: [&str; 8] = [
    "format",
    "keep_alive",
    "think",
    "logprobs",
    "top_logprobs",
    "truncate",
    "shift",
    "_debug_render_only",
];

/// Adds the fields that go to the server as they are. Typed options take precedence.
///
/// # Errors
///
/// If one is a field that the provider writes itself.
pub(super) fn add_provider_fields(
    config: &OllamaConfig,
    options: &ChatOptions,
    body: &mut Map<String, Value>,
) -> Result<(), ProviderError> {
    for (name, value) in &options.provider_fields {
        if OWN.contains(&name.as_str()) {
            let name = format!("providerFields.{name}");
            config
                .unsupported
                .option(&name, "it is the provider's own")?;
        } else if OF_REQUEST.contains(&name.as_str()) {
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
    config: &OllamaConfig,
    options: &ChatOptions,
    body: &mut Map<String, Value>,
) -> Result<(), ProviderError> {
    let mut of_model = config.options.clone();
    let fields = options.provider_fields.iter();
    let fields = fields.filter(|(name, _)| {
        let name = name.as_str();
        !OWN.contains(&name) && !OF_REQUEST.contains(&name)
    });
    of_model.extend(fields.map(|(name, value)| (name.clone(), value.clone())));
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            of_model.insert(name.to_owned(), value);
        }
    };
    set("temperature", options.temperature.map(Value::from));
    set("top_p", options.top_p.map(Value::from));
    set("num_predict", options.max_output_tokens.map(Value::from));
    set("seed", options.seed.map(Value::from));
    let stop = (!options.stop.is_empty()).then(|| options.stop.as_slice().into());
    set("stop", stop);
    if !of_model.is_empty() {
        body.insert("options".into(), Value::Object(of_model));
    }
    match &options.response_format {
        Some(ResponseFormat::JsonObject) => {
            body.insert("format".into(), "json".into());
        }
        Some(ResponseFormat::JsonSchema { schema, .. }) => {
            body.insert("format".into(), schema.clone());
        }
        Some(ResponseFormat::Text) => {
            body.remove("format");
        }
        None => {}
    }
    match options.reasoning.and_then(|reasoning| reasoning.effort) {
        None => {}
        Some(ReasoningEffort::None) => {
            body.insert("think".into(), false.into());
        }
        Some(effort @ (ReasoningEffort::Low | ReasoningEffort::Medium | ReasoningEffort::High)) => {
            body.insert("think".into(), effort.as_str().into());
        }
        Some(ReasoningEffort::Minimal | ReasoningEffort::Xhigh) => {
            let instead = "it knows the efforts `none`, `low`, `medium` and `high`";
            config.unsupported.option("reasoning", instead)?;
        }
    }
    match &options.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        // It can't be told, but what isn't offered isn't called.
        Some(ToolChoice::None) => {
            body.remove("tools");
        }
        Some(ToolChoice::Required | ToolChoice::Tool(_)) => {
            let instead = "it knows `auto` and `none`";
            config.unsupported.option("toolChoice", instead)?;
        }
    }
    if options.parallel_tool_calls == Some(false) {
        let instead = "its models may always call several tools";
        config.unsupported.option("parallelToolCalls", instead)?;
    }
    Ok(())
}
