use std::{collections::HashSet, fmt, sync::Arc};

use http::Extensions;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Capabilities, ChatOptions, Content, EnabledTools, Inputs, IsomorphicClientOutput,
    IsomorphicTool, Liveness, Message, ProviderError, Role, ToolDefinition, ToolRuns, Transcript,
    TurnUsage, as_json::null_is_default,
};
use crate::log::{ChatId, Owner, SessionId};

/// A request of a client to a provider.
///
/// Its JSON is the native wire format, and the form in which a store keeps it. The fields from
/// [`tools`](Self::tools) on are set by the layers above, never read from JSON.
///
/// `Debug` shows counts instead of contents: conversations are private, and logs are not.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChatRequest {
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// Instructions for the model, before all messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// The model that is to answer; the provider's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Settings of the model: a temperature, a format of the answer. A provider that can't honour one
    /// refuses the request.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "ChatOptions::is_empty"
    )]
    pub options: ChatOptions,
    /// The conversation that the request belongs to, for the application.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "super::as_json::chat_id"
    )]
    pub chat_id: Option<ChatId>,
    /// The server's tools that may be used. The durable layer fills an absent value in with the
    /// application's default; without that layer, absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_tools: Option<EnabledTools>,
    /// Tools that the client brings along and runs itself.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub isomorphic_tools: Vec<IsomorphicTool>,
    /// Results of the client's tools, for the calls that were handed to the client.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub isomorphic_client_outputs: Vec<IsomorphicClientOutput>,
    /// Further fields. The durable layer drops those that the application didn't open.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// The tools that the layers offer to the model: those that the server runs, and with those the
    /// client's. A provider offers [`tool_definitions`](Self::tool_definitions).
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub tools: Vec<ToolDefinition>,
    /// The capabilities that the session declared when it began, with all tools of the server; `None` if
    /// the layers above don't know them all. Of two tools of one name, that of the side for which the name
    /// was declared counts, also if the server's tools have changed since.
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub declared: Option<Arc<Capabilities>>,
    /// The source of answers to questions that are asked in the middle of the answer.
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub inputs: Inputs,
    /// The clock on which a provider records that its model's server is alive, apart from events.
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub liveness: Liveness,
    /// The place to which a provider reports the usage of its turn before the turn ends.
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub turn_usage: TurnUsage,
    /// The tools that ran for this answer before it was interrupted, over all its restarts. They
    /// must not run a second time.
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub runs: Arc<ToolRuns>,
    /// The answer so far, if the provider is to continue it: new events are added to it.
    ///
    /// Unless it is to [read on](Self::reattach), the text also stands at the end of the messages
    /// ([`RecoveryWay::Resume`](crate::durable::RecoveryWay::Resume)). A provider whose model can't go on from a
    /// part of an answer returns [`ProviderError::cannot_continue`](super::ProviderError::cannot_continue).
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub so_far: Option<Arc<Transcript>>,
    /// True if the provider is to read the rest of the very answer that the model's server still makes or keeps
    /// ([`RecoveryWay::Reattach`](crate::durable::RecoveryWay::Reattach)), from the
    /// [state of its stream](Transcript::stream_state) in [`so_far`](Self::so_far). It must not call the model
    /// again: where it can't read on, it returns
    /// [`ProviderError::cannot_continue`](super::ProviderError::cannot_continue).
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub reattach: bool,
    /// True if the text is checked that is added to that of [`so_far`](Self::so_far) in the middle of a turn.
    #[serde(skip)]
    pub(crate) check_seam: bool,
    /// True if a tool layer runs the calls of the answer.
    #[cfg(feature = "unbroken-upstream")]
    #[serde(skip)]
    pub(crate) runs_calls: bool,
    /// The session that the answer is for.
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub session_id: Option<SessionId>,
    /// The owner of the session, as the application's access policy names it.
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub owner: Option<Owner>,
    /// Extensions that HTTP layers left on the request. Empty after a restart from the store.
    ///
    /// Set by the layers above, never read from JSON.
    #[serde(skip)]
    pub extensions: Extensions,
}

impl ChatRequest {
    /// Creates a request with these messages and nothing else.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Creates a request with one message, from the user.
    pub fn from_user(content: impl Into<Content>) -> Self {
        Self::new([Message::user(content)])
    }

    /// Returns the tools that a provider offers to the model: those that a layer added, and those
    /// that the client brought. If both have a tool of the same name, the layer's counts.
    pub fn tool_definitions(&self) -> Vec<ToolDefinition> {
        let mut names: HashSet<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
        let mut offered = self.tools.clone();
        for tool in &self.isomorphic_tools {
            if names.insert(&tool.name) {
                offered.push(tool.into());
            }
        }
        offered
    }

    /// Returns true if the provider is to go on in the middle of a turn: [`so_far`](Self::so_far) ends with text or media of
    /// the model. Where it ends with the tools of a turn, or with thinking alone, a model can begin the turn.
    pub fn continues_turn(&self) -> bool {
        let turn = self.so_far.as_ref().map(|so_far| so_far.last_turn());
        turn.is_some_and(|turn| !turn.text().is_empty() || !turn.media().is_empty())
    }

    /// Returns true if the provider is to read on, and the turn that was cut left a state to read on from.
    pub(crate) fn reads_on(&self) -> bool {
        let so_far = self.so_far.as_ref();
        self.reattach && so_far.is_some_and(|so_far| so_far.stream_state().is_some())
    }

    /// Refuses the rest of an interrupted answer that a provider can't give: one that keeps no stream of its model's
    /// server can't [read on](field@Self::reattach), and one that doesn't `continue` a partial answer can only begin a
    /// turn.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use unbroken::chat::{ChatEvent, ChatRequest, Transcript};
    ///
    /// let mut request = ChatRequest::from_user("Hi");
    /// assert!(request.check_continuation(false).is_ok());
    /// request.so_far = Some(Arc::new([ChatEvent::text("Hel")].iter().collect::<Transcript>()));
    /// assert!(request.check_continuation(true).is_ok());
    /// assert!(request.check_continuation(false).unwrap_err().is_cannot_continue());
    /// ```
    ///
    /// # Errors
    ///
    /// [`ProviderError::cannot_continue`], for the provider to return before its first event.
    pub fn check_continuation(&self, continues: bool) -> Result<(), ProviderError> {
        let so_far = self.so_far.as_ref();
        let reason = if so_far.is_some_and(|so_far| !so_far.tool_calls().is_empty()) {
            "calls of tools were lost with the server, and nothing runs them here"
        } else if self.reattach {
            "the model's server keeps no answer to read on"
        } else if self.continues_turn() && !continues {
            "the model can't go on from a part of an answer"
        } else {
            return Ok(());
        };
        Err(ProviderError::cannot_continue(reason))
    }

    /// Returns the last message of the user, if there is one.
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
            .field("options", &self.options)
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
        assert_eq!(request.chat_id, Some(ChatId::new("c")));
        assert_eq!(request.enabled_tools, Some(EnabledTools::All));
        assert!(request.isomorphic_client_outputs[0].uses_handoff);
        assert_eq!(request.extra["script"]["text"], "Hello");
        assert_eq!(serde_json::to_value(&request).unwrap(), wire);
    }

    #[test]
    fn the_session_and_its_owner_are_not_part_of_the_wire() {
        let mut request = ChatRequest::from_user("Hi");
        request.session_id = Some(SessionId::random());
        request.owner = Some(Owner::new("o"));
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
    fn debug_does_not_show_content() {
        let mut request = ChatRequest::from_user("a private matter");
        request.system_prompt = Some("another secret".into());
        let shown = format!("{request:?}");
        assert!(!shown.contains("private"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
