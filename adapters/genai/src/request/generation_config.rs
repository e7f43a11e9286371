//! Gemini's `generationConfig`, for fields that genai has no option for.

use genai::chat::{ChatOptions, ChatResponseFormat, ReasoningEffort};
use serde_json::{Map, Value, json};

/// Returns true if a model takes levels of thinking. Those always think; genai sends no budget to them.
pub(super) fn has_levels(model: &str) -> bool {
    ["gemini-3", "gemma-4"]
        .iter()
        .any(|name| model.contains(name))
}

/// Returns what genai makes of the options: a field of the body replaces all of it.
pub(super) fn of(model: &str, options: &ChatOptions) -> Map<String, Value> {
    let mut config = Map::new();
    let thinking = thinking(model, options);
    if !thinking.is_empty() {
        config.insert("thinkingConfig".into(), thinking.into());
    }
    if let Some(ChatResponseFormat::JsonSpec(spec)) = &options.response_format {
        config.insert("responseMimeType".into(), "application/json".into());
        config.insert("responseJsonSchema".into(), spec.schema.clone());
    }
    let stop = &options.stop_sequences;
    for (name, value) in [
        ("temperature", options.temperature.map(Value::from)),
        ("stopSequences", (!stop.is_empty()).then(|| json!(stop))),
        ("maxOutputTokens", options.max_tokens.map(Value::from)),
        ("topP", options.top_p.map(Value::from)),
        ("seed", options.seed.map(Value::from)),
    ] {
        config.extend(value.map(|value| (name.to_owned(), value)));
    }
    config
}

fn thinking(model: &str, options: &ChatOptions) -> Map<String, Value> {
    use ReasoningEffort as Effort;
    let effort = options.reasoning_effort.clone();
    let effort = effort.or_else(|| of_name(model));
    let field = if has_levels(model) {
        let level = match effort {
            Some(Effort::Minimal) => Some("MINIMAL"),
            Some(Effort::Low) => Some("LOW"),
            Some(Effort::Medium) => Some("MEDIUM"),
            Some(Effort::High | Effort::XHigh | Effort::Max) => Some("HIGH"),
            Some(Effort::Zero | Effort::Budget(_)) | None => None,
        };
        level.map(|level| ("thinkingLevel", Value::from(level)))
    } else {
        let budget = match effort {
            Some(Effort::Minimal | Effort::Low) => Some(1000),
            Some(Effort::Medium) => Some(8000),
            Some(Effort::High | Effort::XHigh | Effort::Max) => Some(24000),
            Some(Effort::Budget(budget)) => Some(budget),
            Some(Effort::Zero) | None => None,
        };
        budget.map(|budget| ("thinkingBudget", Value::from(budget)))
    };
    let mut thinking = Map::new();
    thinking.extend(field.map(|(name, value)| (name.to_owned(), value)));
    if options.capture_reasoning_content == Some(true) {
        thinking.insert("includeThoughts".into(), true.into());
    }
    thinking
}

/// Returns the effort that genai reads at the end of a model's name.
fn of_name(model: &str) -> Option<ReasoningEffort> {
    let (_, last) = model.rsplit_once('-')?;
    match last {
        "none" | "zero" => Some(ReasoningEffort::Budget(0)),
        "low" | "minimal" => Some(ReasoningEffort::Low),
        "medium" => Some(ReasoningEffort::Medium),
        "high" => Some(ReasoningEffort::High),
        "xhigh" => Some(ReasoningEffort::XHigh),
        "max" => Some(ReasoningEffort::Max),
        _ => None,
    }
}
