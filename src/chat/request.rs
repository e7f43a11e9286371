use std::{fmt, sync::Arc};

use http::Extensions;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    EnabledTools, Inputs, IsomorphicClientOutput, IsomorphicTool, Message, Role, ToolDefinition,
    ToolRuns, Transcript,
};
use crate::log::{ChatId, Owner, SessionId};

/// What a client asks of a provider.
///
/// On the wire and in the store it is the JSON of a chat request; whom it serves
/// ([`session_id`](Self::session_id), [`owner`](Self::owner), [`extensions`](Self::extensions)) is
/// added by the layer above and is never part of that.
///
/// Its `Debug` shows counts, not what was said: conversations are private, and logs are not.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChatRequest {
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// Tells the model how to behave, before all messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Which model is to answer; the provider's own choice if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The conversation's name, for the application.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "super::as_json::chat_id"
    )]
    pub chat_id: Option<ChatId>,
    /// Which of the server's tools may be used; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_tools: Option<EnabledTools>,
    /// Tools that the client brings along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isomorphic_tools: Vec<IsomorphicTool>,
    /// What the client's tools gave for the calls that were handed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isomorphic_client_outputs: Vec<IsomorphicClientOutput>,
    /// Further fields. The durable layer drops those that the application didn't open.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// What the layers above offer the model: the tools that the server runs, and with those the ones
    /// that the client brought. [`tool_definitions`](Self::tool_definitions) has what a provider is
    /// to offer.
    #[serde(skip)]
    pub tools: Vec<ToolDefinition>,
    /// Where answers to questions come from that are asked in the middle of the answer.
    #[serde(skip)]
    pub inputs: Inputs,
    /// The tools that ran for this answer before it was interrupted, over all the times that it was
    /// begun anew: to be run no second time.
    #[serde(skip)]
    pub runs: Arc<ToolRuns>,
    /// The answer so far, where the provider is to go on with it
    /// ([`Policy::Resume`](crate::durable::Policy::Resume)): what it says is added. Its text stands
    /// at the end of the messages, too.
    #[serde(skip)]
    pub so_far: Option<Arc<Transcript>>,
    /// The session that the answer is for.
    #[serde(skip)]
    pub session_id: Option<SessionId>,
    /// Whom the session belongs to, as the application's access policy names them.
    #[serde(skip)]
    pub owner: Option<Owner>,
    /// What the layers above left on the HTTP request. Absent after a restart from the store.
    #[serde(skip)]
    pub extensions: Extensions,
}

impl ChatRequest {
    /// A request with these messages and nothing else.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            ..Self::default()
        }
    }

    /// A request with one message, from the user.
    pub fn from_user(content: impl Into<String>) -> Self {
        Self::new([Message::user(content)])
    }

    /// The tools that a provider offers the model: the ones that a layer put there, and those that
    /// the client brought, unless a layer has one of that name.
    pub fn tool_definitions(&self) -> Vec<ToolDefinition> {
        let mut offered = self.tools.clone();
        for tool in &self.isomorphic_tools {
            if offered.iter().all(|other| other.name != tool.name) {
                offered.push(tool.into());
            }
        }
        offered
    }

    /// The last message of the user, if there is one.
    pub fn last_user_message(&self) -> Option<&Message> {
        self.messages
            .iter()
            .rfind(|message| message.role == Role::User)
    }
}

impl fmt::Debug for ChatRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatRequest")
            .field("messages", &self.messages.len())
            .field("system_prompt", &self.system_prompt.is_some())
            .field("model", &self.model)
            .field("chat_id", &self.chat_id)
            .field("enabled_tools", &self.enabled_tools)
            .field("isomorphic_tools", &self.isomorphic_tools.len())
            .field(
                "isomorphic_client_outputs",
                &self.isomorphic_client_outputs.len(),
            )
            .field("extra", &self.extra.len())
            .field("tools", &self.tools.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_reads_and_writes_the_names_of_the_protocol() {
        let wire = json!({
            "messages": [{"role": "user", "content": "Hi"}],
            "systemPrompt": "Be brief.",
            "model": "m",
            "chatId": "c",
            "enabledTools": true,
            "isomorphicTools": [
                {"name": "map", "description": "Shows a map", "parameters": {}, "authority": "client"}
            ],
            "isomorphicClientOutputs": [{
                "callId": "1", "toolName": "map", "params": {}, "clientOutput": "ok",
                "cachedHandoff": [1], "usesHandoff": true
            }],
            "script": {"text": "Hello"}
        });
        let request: ChatRequest = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(request.chat_id, Some("c".into()));
        assert_eq!(request.enabled_tools, Some(EnabledTools::All));
        assert!(request.isomorphic_client_outputs[0].uses_handoff);
        assert_eq!(request.extra["script"]["text"], "Hello");
        assert_eq!(serde_json::to_value(&request).unwrap(), wire);
    }

    #[test]
    fn whom_it_serves_is_not_part_of_the_wire() {
        let mut request = ChatRequest::from_user("Hi");
        request.session_id = Some(SessionId::random());
        request.owner = Some("o".into());
        request.extensions.insert(7_u8);
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"messages":[{"role":"user","content":"Hi"}]}"#
        );
        let read: ChatRequest =
            serde_json::from_str(r#"{"messages":[],"owner":"me","session_id":"x"}"#).unwrap();
        assert_eq!((read.owner, read.session_id), (None, None));
    }

    #[test]
    fn a_tool_is_offered_once_and_the_layers_one_counts() {
        let mut request = ChatRequest::from_user("Hi");
        request.tools = vec![ToolDefinition::new("map", "ours", json!({}))];
        request.isomorphic_tools = vec![
            IsomorphicTool::new("map", "theirs", json!({})),
            IsomorphicTool::new("time", "theirs", json!({})),
        ];
        let offered = request.tool_definitions();
        let offered: Vec<_> = offered
            .iter()
            .map(|tool| (tool.name.as_str(), tool.description.as_str()))
            .collect();
        assert_eq!(offered, [("map", "ours"), ("time", "theirs")]);
    }

    #[test]
    fn debug_does_not_show_what_was_said() {
        let mut request = ChatRequest::from_user("a private matter");
        request.system_prompt = Some("another secret".into());
        let shown = format!("{request:?}");
        assert!(!shown.contains("private"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
