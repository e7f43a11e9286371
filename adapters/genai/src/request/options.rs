use genai::chat::{
    ChatOptions as GenAiOptions, ChatResponseFormat, JsonSpec, ReasoningEffort as GenAiEffort,
    ToolChoice as GenAiChoice,
};
use serde_json::{Map, Value, json};
use unbroken::chat::{ChatOptions, ProviderError, ReasoningEffort, ResponseFormat, ToolChoice};

use super::{Scene, generation_config};
use crate::wire_format::WireFormat;

/// The fields that no client sets through `providerFields`: genai writes them, and would let them be replaced.
const OWN: [&str; 14] = [
    "model",
    "messages",
    "contents",
    "input",
    "system",
    "systemInstruction",
    "instructions",
    "stream",
    "stream_options",
    "store",
    "tools",
    "toolConfig",
    "functions",
    "max_tokens",
];

/// Returns the options in genai's form.
///
/// # Errors
///
/// If there is no form for one.
pub(super) fn of(
    scene: &Scene<'_>,
    options: &ChatOptions,
    has_tools: bool,
) -> Result<GenAiOptions, ProviderError> {
    let mut out = GenAiOptions::default()
        .with_capture_usage(true)
        // genai adds the pieces of arguments up only if it keeps the calls. Of Chat Completions it makes room for
        // as many as the server's number of a call says.
        .with_capture_tool_calls(!scene.wire.is_read_from_frames());
    if matches!(scene.wire, WireFormat::Responses | WireFormat::Other) {
        // Signatures come with it. Of Claude and Gemini it asks for thoughts.
        out = out.with_capture_reasoning_content(true);
    }
    let mut fields = provider_fields(scene, options)?;
    let refuse = |name: &str, why: &str| scene.unsupported.option(name, why);

    out.temperature = options.temperature;
    out.top_p = options.top_p;
    out.max_tokens = options.max_output_tokens;
    out.stop_sequences.clone_from(&options.stop);
    if options.stop.len() > 4 && matches!(scene.wire, WireFormat::Chat | WireFormat::Responses) {
        refuse("stop", "4 texts are the most")?;
        out.stop_sequences.clear();
    }
    if let Some(seed) = options.seed {
        match u64::try_from(seed) {
            Ok(seed) if matches!(scene.wire, WireFormat::Chat | WireFormat::Gemini) => {
                out.seed = Some(seed);
            }
            Ok(_) => refuse("seed", "it takes none")?,
            Err(_) => refuse("seed", "it must not be negative")?,
        }
    }
    choice(scene, options, has_tools, &mut out, &mut fields)?;
    reasoning(scene, options, &mut out)?;
    format(scene, options, &mut out)?;
    if scene.wire == WireFormat::Gemini {
        sampling_of_gemini(scene, &out, &mut fields)?;
    }
    if !fields.is_empty() {
        out.extra_body = Some(Value::Object(fields));
    }
    Ok(out)
}

fn provider_fields(
    scene: &Scene<'_>,
    options: &ChatOptions,
) -> Result<Map<String, Value>, ProviderError> {
    let mut fields = Map::new();
    for (name, value) in &options.provider_fields {
        let refuse = |why| {
            let name = format!("providerFields.{name}");
            scene.unsupported.option(&name, why)
        };
        if OWN.contains(&name.as_str()) {
            refuse("it is the provider's own")?;
        } else if matches!(scene.wire, WireFormat::Other | WireFormat::VertexClaude) {
            refuse("genai has no form for it")?;
        } else if let Some(why) = lacks_sampling(scene.wire, name) {
            refuse(why)?;
        } else if is_typed(name, options) {
            refuse("an option of the request sets it")?;
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    Ok(fields)
}

/// Returns why a server doesn't take a field of sampling that dialects read.
fn lacks_sampling(wire: WireFormat, field: &str) -> Option<&'static str> {
    match (wire, field) {
        (WireFormat::Anthropic, "presence_penalty" | "frequency_penalty")
        | (WireFormat::Responses, "top_k" | "presence_penalty" | "frequency_penalty") => {
            Some("the model's server has no form for it")
        }
        _ => None,
    }
}

/// Moves the fields of sampling to where Gemini reads them.
///
/// # Errors
///
/// If the request has a `generationConfig` that is no object.
fn sampling_of_gemini(
    scene: &Scene<'_>,
    out: &GenAiOptions,
    fields: &mut Map<String, Value>,
) -> Result<(), ProviderError> {
    let names = [
        ("top_k", "topK"),
        ("presence_penalty", "presencePenalty"),
        ("frequency_penalty", "frequencyPenalty"),
    ];
    let sampling = names.map(|(field, name)| Some((name.to_owned(), fields.remove(field)?)));
    if sampling.iter().all(Option::is_none) {
        return Ok(());
    }
    let mut config = match fields.remove("generationConfig") {
        None => generation_config::of(&scene.model.model_name, out),
        Some(Value::Object(config)) => config,
        Some(_) => {
            let name = "providerFields.generationConfig";
            scene.unsupported.option(name, "it must be an object")?;
            generation_config::of(&scene.model.model_name, out)
        }
    };
    config.extend(sampling.into_iter().flatten());
    fields.insert("generationConfig".into(), config.into());
    Ok(())
}

// genai writes an option first, and a field of the same name over it.
fn is_typed(field: &str, options: &ChatOptions) -> bool {
    let sets = |is_set: bool, fields: &[&str]| is_set && fields.contains(&field);
    let in_config = options.temperature.is_some()
        || options.top_p.is_some()
        || options.max_output_tokens.is_some()
        || !options.stop.is_empty()
        || options.seed.is_some()
        || options.reasoning.is_some()
        || options.response_format.is_some();
    sets(in_config, &["generationConfig"])
        || sets(options.temperature.is_some(), &["temperature"])
        || sets(options.top_p.is_some(), &["top_p"])
        || sets(
            options.max_output_tokens.is_some(),
            &["max_completion_tokens", "max_output_tokens"],
        )
        || sets(!options.stop.is_empty(), &["stop", "stop_sequences"])
        || sets(options.seed.is_some(), &["seed", "random_seed"])
        || sets(
            options.reasoning.is_some(),
            &["reasoning_effort", "reasoning", "thinking", "output_config"],
        )
        || sets(
            options.response_format.is_some(),
            &["response_format", "text", "output_config"],
        )
        || sets(
            options.tool_choice.is_some() || options.parallel_tool_calls.is_some(),
            &["tool_choice", "parallel_tool_calls"],
        )
}

fn choice(
    scene: &Scene<'_>,
    options: &ChatOptions,
    has_tools: bool,
    out: &mut GenAiOptions,
    fields: &mut Map<String, Value>,
) -> Result<(), ProviderError> {
    let refuse = |name: &str, why: &str| scene.unsupported.option(name, why);
    let choice = match &options.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Tool(_)) if !has_tools => {
            refuse("toolChoice", "the request offers no tool")?;
            None
        }
        Some(choice) if has_tools => Some(choice),
        _ => None,
    };
    let choice = match choice {
        None => None,
        Some(ToolChoice::Auto) => Some(GenAiChoice::Auto),
        Some(ToolChoice::None) => Some(GenAiChoice::None),
        Some(ToolChoice::Required) => Some(GenAiChoice::Required),
        Some(ToolChoice::Tool(name)) => Some(GenAiChoice::tool(name)),
        Some(_) => {
            refuse("toolChoice", "genai has no form for it")?;
            None
        }
    };
    let can_choose = !matches!(scene.wire, WireFormat::Other | WireFormat::VertexClaude);
    if choice.is_some() && !can_choose {
        refuse("toolChoice", "genai has no form for it")?;
    } else {
        out.tool_choice.clone_from(&choice);
    }
    let Some(parallel) = options.parallel_tool_calls.filter(|_| has_tools) else {
        return Ok(());
    };
    match scene.wire {
        WireFormat::Chat | WireFormat::Responses => {
            fields.insert("parallel_tool_calls".into(), parallel.into());
        }
        // Several calls are what they do by themselves.
        _ if parallel => {}
        WireFormat::Anthropic if choice != Some(GenAiChoice::None) => {
            let mut one = match choice {
                Some(GenAiChoice::Required) => json!({"type": "any"}),
                Some(GenAiChoice::Tool { name }) => json!({"type": "tool", "name": name}),
                _ => json!({"type": "auto"}),
            };
            one["disable_parallel_tool_use"] = true.into();
            fields.insert("tool_choice".into(), one);
        }
        WireFormat::Anthropic => {}
        _ => refuse("parallelToolCalls", "it may always ask for several")?,
    }
    Ok(())
}

fn reasoning(
    scene: &Scene<'_>,
    options: &ChatOptions,
    out: &mut GenAiOptions,
) -> Result<(), ProviderError> {
    let Some(effort) = options.reasoning.and_then(|reasoning| reasoning.effort) else {
        return Ok(());
    };
    let is_gemini = scene.wire == WireFormat::Gemini;
    let has_levels = is_gemini && generation_config::has_levels(&scene.model.model_name);
    let word = match effort {
        ReasoningEffort::None if has_levels => Err("this model always reasons"),
        ReasoningEffort::None if is_gemini => Ok(GenAiEffort::Budget(0)),
        ReasoningEffort::None => Ok(GenAiEffort::Zero),
        ReasoningEffort::Minimal if scene.wire == WireFormat::Anthropic => {
            Err("`low` is the least that it takes")
        }
        ReasoningEffort::Minimal if is_gemini && !has_levels => {
            Err("`low` is the least that it takes")
        }
        ReasoningEffort::Minimal => Ok(GenAiEffort::Minimal),
        ReasoningEffort::Low => Ok(GenAiEffort::Low),
        ReasoningEffort::Medium => Ok(GenAiEffort::Medium),
        ReasoningEffort::High => Ok(GenAiEffort::High),
        ReasoningEffort::Xhigh if is_gemini => Err("`high` is the most that it takes"),
        ReasoningEffort::Xhigh => Ok(GenAiEffort::XHigh),
        _ => Err("genai has no form for it"),
    };
    let word = match word {
        Ok(_) if matches!(scene.wire, WireFormat::Other | WireFormat::VertexClaude) => {
            Err("genai has no form for it")
        }
        word => word,
    };
    match word {
        Ok(word) => {
            out.reasoning_effort = Some(word);
            if effort != ReasoningEffort::None {
                // Shows the thoughts.
                out.capture_reasoning_content = Some(true);
            }
            Ok(())
        }
        Err(why) => scene.unsupported.option("reasoning.effort", why),
    }
}

fn format(
    scene: &Scene<'_>,
    options: &ChatOptions,
    out: &mut GenAiOptions,
) -> Result<(), ProviderError> {
    let refuse = |name: &str, why: &str| scene.unsupported.option(name, why);
    let knows_schemas = matches!(
        scene.wire,
        WireFormat::Anthropic | WireFormat::Gemini | WireFormat::Chat | WireFormat::Responses
    );
    match &options.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) if scene.wire == WireFormat::Chat => {
            out.response_format = Some(ChatResponseFormat::JsonMode);
        }
        Some(ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
            ..
        }) if knows_schemas => {
            if *strict == Some(false) {
                refuse("responseFormat.strict", "genai always enforces the schema")?;
            }
            let mut schema = schema.clone();
            // genai leaves the description out.
            if let (Some(description), Some(members)) = (description, schema.as_object_mut()) {
                let own = members.entry("description");
                own.or_insert_with(|| description.as_str().into());
            }
            let spec = JsonSpec::new(name, schema);
            out.response_format = Some(ChatResponseFormat::JsonSpec(spec));
        }
        Some(_) => refuse("responseFormat", "genai has no form for it")?,
    }
    Ok(())
}
