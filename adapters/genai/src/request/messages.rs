use genai::{
    adapter::AdapterKind,
    chat::{ChatMessage, ContentPart, MessageContent, ToolCall as GenAiCall, ToolResponse},
};
use serde_json::{Value, json};
use unbroken::chat::{Message, Part, ProviderError, Reasoning, Role, ToolCall};

use super::{Scene, media, sent_ids::SentIds};
use crate::{decode::REASONING_DETAILS, wire_format::WireFormat};

/// Returns the messages in genai's form.
///
/// # Errors
///
/// If there is no form for a part.
pub(super) fn of(
    scene: &Scene<'_>,
    messages: &[Message],
) -> Result<Vec<ChatMessage>, ProviderError> {
    let ids = SentIds::of(scene, messages);
    let mut out: Vec<ChatMessage> = Vec::with_capacity(messages.len());
    let mut of_tools: Vec<ContentPart> = Vec::new();
    for message in messages {
        if message.role == Role::Tool {
            of_tools.push(result(scene, &ids, message)?);
            // Claude wants the results of a turn in one message.
            if scene.wire.is_claude() {
                continue;
            }
        }
        if !of_tools.is_empty() {
            out.push(ChatMessage::tool(parts(std::mem::take(&mut of_tools))));
        }
        match message.role {
            Role::System => {
                for found in message.content.all_media() {
                    let why = "instructions are text";
                    scene.unsupported.media(found, message.role, why)?;
                }
                out.push(ChatMessage::system(message.text().into_owned()));
            }
            Role::User => out.push(user(scene, message)?),
            Role::Assistant => assistant(scene, &ids, message, &mut out)?,
            _ => {}
        }
    }
    if !of_tools.is_empty() {
        out.push(ChatMessage::tool(parts(of_tools)));
    }
    Ok(out)
}

fn parts(parts: Vec<ContentPart>) -> MessageContent {
    MessageContent::from_parts(parts)
}

fn user(scene: &Scene<'_>, message: &Message) -> Result<ChatMessage, ProviderError> {
    let mut out = Vec::new();
    for part in message.content.parts() {
        match part {
            Part::Text { text } => out.push(ContentPart::from_text(text)),
            Part::Media(found) => out.extend(media::of_user(scene, found)?),
            _ => {}
        }
    }
    if out.is_empty() {
        out.push(ContentPart::from_text(""));
    }
    Ok(ChatMessage::user(parts(out)))
}

fn result(
    scene: &Scene<'_>,
    ids: &SentIds,
    message: &Message,
) -> Result<ContentPart, ProviderError> {
    let id = ids.get(message.tool_call_id.as_deref().unwrap_or_default());
    let mut blocks = Vec::new();
    for part in message.content.parts() {
        match part {
            Part::Text { text } => blocks.push(json!({"type": "text", "text": text})),
            Part::Media(found) if scene.wire.is_claude() => {
                blocks.extend(media::claude_block(scene, found, Role::Tool)?);
            }
            Part::Media(found) => {
                let why = "results of tools are text";
                scene.unsupported.media(found, Role::Tool, why)?;
            }
            _ => {}
        }
    }
    if blocks.iter().all(|block| block["type"] == "text") {
        let text = message.text().into_owned();
        return Ok(ContentPart::ToolResponse(ToolResponse::new(id, text)));
    }
    let block = json!({"type": "tool_result", "tool_use_id": id, "content": blocks});
    Ok(ContentPart::from_custom(block, None))
}

fn assistant(
    scene: &Scene<'_>,
    ids: &SentIds,
    message: &Message,
    out: &mut Vec<ChatMessage>,
) -> Result<(), ProviderError> {
    let mut said: Vec<ContentPart> = Vec::new();
    for part in message.content.parts() {
        match part {
            Part::Text { text } => said.push(ContentPart::from_text(text)),
            Part::Reasoning(reasoning) => {
                let back = reasoned(scene, reasoning);
                // genai puts all thoughts of a message before its text. Claude takes two messages of the
                // model for one.
                if scene.wire.is_claude()
                    && back.iter().any(is_thought)
                    && said.last().is_some_and(|last| !is_thought(last))
                {
                    out.push(ChatMessage::assistant(parts(std::mem::take(&mut said))));
                }
                said.extend(back);
            }
            Part::Media(found) => {
                let why = "it isn't sent what a model made";
                scene.unsupported.media(found, Role::Assistant, why)?;
            }
            _ => {}
        }
    }
    said.extend(
        message
            .tool_calls
            .iter()
            .map(|call| called(scene, ids, call)),
    );
    if scene.wire == WireFormat::Gemini
        && let Some(ContentPart::ThoughtSignature(_)) = said.last()
    {
        // A signature goes back in a part of its own, as it came.
        said.push(ContentPart::from_text(""));
    }
    if !said.is_empty() {
        out.push(ChatMessage::assistant(parts(said)));
    }
    Ok(())
}

fn is_thought(part: &ContentPart) -> bool {
    let ContentPart::Custom(block) = part else {
        return false;
    };
    matches!(block.typ(), Some("thinking" | "redacted_thinking"))
}

/// Returns the parts by which reasoning goes back.
fn reasoned(scene: &Scene<'_>, reasoning: &Reasoning) -> Vec<ContentPart> {
    let state = reasoning.provider_state.as_ref();
    let data = state.and_then(|state| state.of(scene.state_name));
    let word = |name: &str| data.and_then(|data| data.get(name)?.as_str());
    let text = &reasoning.text;
    match scene.wire {
        WireFormat::Anthropic | WireFormat::VertexClaude => {
            let kept = data.and_then(|data| data.get("block")).cloned();
            let thought = || {
                let signature = word("signature")?;
                Some(json!({"type": "thinking", "thinking": text, "signature": signature}))
            };
            let block = kept.or_else(thought);
            block
                .map(|it| ContentPart::from_custom(it, None))
                .into_iter()
                .collect()
        }
        WireFormat::Gemini => word("thoughtSignature")
            .map(|signature| ContentPart::ThoughtSignature(signature.to_owned()))
            .into_iter()
            .collect(),
        WireFormat::Chat => {
            // Others refuse the field, or count the text as input for nothing.
            use AdapterKind::{DeepSeek, Kimi, Moonshot};
            let wants = matches!(scene.model.adapter_kind, DeepSeek | Kimi | Moonshot);
            let said = Some(text).filter(|text| wants && !text.is_empty());
            let said = said.map(|text| ContentPart::ReasoningContent(text.clone()));
            let details = data.and_then(|data| data.get(REASONING_DETAILS)?.as_array());
            let details = details.into_iter().flatten().cloned();
            let details = details.map(|detail| ContentPart::from_custom(detail, None));
            said.into_iter().chain(details).collect()
        }
        WireFormat::Responses | WireFormat::Other => {
            let Some(signature) = word("signature") else {
                return Vec::new();
            };
            let mut back = vec![ContentPart::ThoughtSignature(signature.to_owned())];
            if !text.is_empty() {
                back.push(ContentPart::ReasoningContent(text.clone()));
            }
            back
        }
    }
}

fn called(scene: &Scene<'_>, ids: &SentIds, call: &ToolCall) -> ContentPart {
    let state = call.provider_state.as_ref();
    let data = state.and_then(|state| state.of(scene.state_name));
    let signature = data.and_then(|data| data.get("thoughtSignature")?.as_str());
    ContentPart::ToolCall(GenAiCall {
        call_id: ids.get(&call.id),
        fn_name: call.name.clone(),
        fn_arguments: object(&call.arguments),
        thought_signatures: signature.map(|it| vec![it.to_owned()]),
    })
}

// Servers refuse anything else, such as the incomplete JSON of a small model.
fn object(arguments: &Value) -> Value {
    match arguments {
        Value::Object(_) => arguments.clone(),
        Value::Null => json!({}),
        other => json!({"arguments": other}),
    }
}
