//! Requests, in genai's form.

mod generation_config;
mod media;
mod messages;
mod options;
mod sent_ids;
mod unsendable;

use genai::{
    ModelIden,
    chat::{ChatOptions as GenAiOptions, ChatRequest as GenAiRequest, Tool},
};
use unbroken::chat::{ChatRequest, ProviderError};

pub(crate) use self::unsendable::Unsendable;
use crate::wire_format::WireFormat;

/// The model that a request goes to, and the handling of what it can't be sent.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) wire: WireFormat,
    pub(crate) state_name: &'static str,
    pub(crate) model: &'a ModelIden,
    pub(crate) unsupported: Unsendable,
}

/// Returns a request and its options.
///
/// # Errors
///
/// If genai or the model's server has no form for a part or an option.
pub(crate) fn of(
    scene: &Scene<'_>,
    chat: &ChatRequest,
) -> Result<(GenAiRequest, GenAiOptions), ProviderError> {
    let mut request = GenAiRequest::from_messages(messages::of(scene, &chat.messages)?);
    if let Some(prompt) = &chat.system_prompt {
        request = request.with_system(prompt);
    }
    let tools = tools(scene, chat)?;
    let has_tools = !tools.is_empty();
    if has_tools {
        request = request.with_tools(tools);
    }
    if scene.wire == WireFormat::Responses {
        // Nothing is kept at the server: what belongs to a turn is in the log.
        request = request.with_store(false);
    }
    Ok((request, options::of(scene, &chat.options, has_tools)?))
}

fn tools(scene: &Scene<'_>, chat: &ChatRequest) -> Result<Vec<Tool>, ProviderError> {
    // genai takes tools of these names for those that the model's server runs itself.
    let taken: &[&str] = match scene.wire {
        WireFormat::Anthropic | WireFormat::VertexClaude => &["web_search"],
        WireFormat::Gemini => &[
            "googleSearch",
            "googleSearchRetrieval",
            "codeExecution",
            "urlContext",
        ],
        _ => &[],
    };
    let mut tools = Vec::new();
    for definition in chat.tool_definitions() {
        if taken.contains(&definition.name.as_str()) {
            let name = definition.name;
            let message = format!(
                "a tool can't be called `{name}` here: the model's server has one of its own"
            );
            return Err(ProviderError::new(message));
        }
        let mut tool = Tool::new(definition.name);
        if !definition.description.is_empty() {
            tool = tool.with_description(definition.description);
        }
        let schema = match definition.parameters {
            // Claude refuses a tool without one.
            serde_json::Value::Null => serde_json::json!({"type": "object", "properties": {}}),
            schema => schema,
        };
        tools.push(tool.with_schema(schema));
    }
    Ok(tools)
}
