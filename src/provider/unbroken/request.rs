use serde_json::{Map, Value, json};

use super::{config::UnbrokenConfig, inner_id::inner_chat};
use crate::chat::{ChatRequest, ProviderError};

/// The fields that no other field replaces. Those of a follow-up name sessions of this server.
const OWN: [&str; 9] = [
    "messages",
    "systemPrompt",
    "model",
    "options",
    "chatId",
    "enabledTools",
    "isomorphicTools",
    "isomorphicClientOutputs",
    "continues",
];

/// The message of a call with a tool layer around the provider.
pub(super) const TOOLS_OF_OURS: &str =
    "tools of this server can't be offered to the model of another one; give that one the tools";

/// Writes the body of a request. Equal requests have equal bytes.
///
/// # Errors
///
/// If it has something that isn't carried.
pub(super) fn body(config: &UnbrokenConfig, chat: &ChatRequest) -> Result<Vec<u8>, ProviderError> {
    if chat.runs_calls || !chat.tools.is_empty() {
        return Err(ProviderError::new(TOOLS_OF_OURS));
    }
    let mut body = Map::new();
    let extra = config.fields.iter().chain(&chat.extra);
    let extra = extra.filter(|(name, _)| !OWN.contains(&name.as_str()));
    body.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
    let mut set = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    set("messages", json!(chat.messages));
    if let Some(name) = inner_chat(chat) {
        set("chatId", json!(name));
    }
    if let Some(prompt) = &chat.system_prompt {
        set("systemPrompt", json!(prompt));
    }
    if let Some(model) = chat.model.as_ref().or(config.model.as_ref()) {
        set("model", json!(model));
    }
    if !chat.options.is_empty() {
        set("options", json!(chat.options));
    }
    if let Some(enabled) = &chat.enabled_tools {
        set("enabledTools", json!(enabled));
    }
    if !chat.isomorphic_tools.is_empty() {
        set("isomorphicTools", json!(chat.isomorphic_tools));
    }
    if !chat.isomorphic_client_outputs.is_empty() {
        let outputs = json!(chat.isomorphic_client_outputs);
        set("isomorphicClientOutputs", outputs);
    }
    serde_json::to_vec(&body).map_err(|error| {
        ProviderError::new("the request can't be written for the model's server").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{
        ChatOptions, EnabledTools, IsomorphicClientOutput, IsomorphicTool, Media, Message,
        ToolCall, ToolDefinition,
    };

    fn config() -> UnbrokenConfig {
        UnbrokenConfig {
            model: Some("default".into()),
            fields: json!({"tenant": "t", "messages": "mine"})
                .as_object()
                .unwrap()
                .clone(),
            max_event_bytes: 1,
        }
    }

    fn sent(chat: &ChatRequest) -> Value {
        serde_json::from_slice(&body(&config(), chat).unwrap()).unwrap()
    }

    #[test]
    fn all_that_the_model_gets_is_sent_in_the_native_form() {
        let picture = Media::new("image/png", "data:image/png;base64,AAAA");
        let call = ToolCall::new("1", "now", json!({}));
        let mut chat = ChatRequest::new([
            Message::user(crate::chat::Content::new()),
            Message::assistant("Let me see.").tool_calls([call]),
            Message::tool("1", "noon"),
        ]);
        chat.messages[0].content.push_text("Look: ");
        chat.messages[0].content.push(picture);
        chat.system_prompt = Some("Be brief.".into());
        chat.options = ChatOptions::new().temperature(0.5).stop("x");
        chat.enabled_tools = Some(EnabledTools::All);
        chat.chat_id = Some(crate::log::ChatId::new("short"));
        chat.extra = json!({"mood": "good", "continues": "x", "tenant": "u"})
            .as_object()
            .unwrap()
            .clone();
        chat.isomorphic_tools = vec![IsomorphicTool::new("map", "Shows.", json!({}))];
        chat.isomorphic_client_outputs = vec![IsomorphicClientOutput::new("1", "map", json!(1))];
        let sent = sent(&chat);
        assert_eq!(sent["isomorphicTools"][0]["name"], "map");
        assert_eq!(sent["isomorphicClientOutputs"][0]["clientOutput"], 1);
        let read: ChatRequest = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!(read.messages, chat.messages);
        assert_eq!(read.options, chat.options);
        assert_eq!(read.enabled_tools, chat.enabled_tools);
        assert_eq!(sent["systemPrompt"], "Be brief.");
        assert_eq!(sent["model"], "default");
        assert_eq!(
            (&sent["mood"], &sent["tenant"]),
            (&json!("good"), &json!("u"))
        );
        assert!(sent.get("continues").is_none() && sent.get("chatId").is_none());
        chat.model = Some("another".into());
        assert_eq!(super::tests::sent(&chat)["model"], "another");
    }

    #[test]
    fn tools_of_this_server_are_refused() {
        let mut offered = ChatRequest::from_user("Hi");
        offered.tools = vec![ToolDefinition::new("pay", "Pays.", json!({}))];
        let mut runs_calls = ChatRequest::from_user("Hi");
        runs_calls.runs_calls = true;
        for chat in [offered, runs_calls] {
            let error = body(&config(), &chat).unwrap_err();
            assert!(error.message().contains("tools of this server"), "{error}");
            assert!(!error.is_recoverable());
        }
    }
}
