use serde_json::Value;

use super::{
    Aborted, Capabilities, Citation, Complete, ConversationState, ConversationStateEvent, Custom,
    ErrorEvent, InputRequest, InputResolved, IsomorphicHandoff, Media, ProviderStateEvent,
    Restarted, SessionInfo, Text, Thinking, ToolCalls, ToolError, ToolInput, ToolProgress,
    ToolResult, TurnEnd, Unknown,
};
use crate::{
    chat::{Content, ToolCall},
    log::ErrorCode,
};

/// One event of an answer, as a provider produces it, a log stores it and a client reads it.
///
/// Its JSON is an object with a `type`, the same in the store and on the wire. Fields that this
/// version doesn't know are kept in the event's `extra`; events of unknown types are kept whole, in
/// [`ChatEvent::Unknown`]. Both are written as they were read. Don't put one of the event's own
/// field names into `extra`: it would stand twice in the JSON.
///
/// Variants that are rare and large are boxed, so that text, which passes through every layer,
/// stays small.
///
/// ```
/// use unbroken::chat::{ChatEvent, Complete, Usage};
///
/// let event = ChatEvent::text("Hel");
/// assert_eq!(serde_json::to_string(&event)?, r#"{"type":"text","content":"Hel"}"#);
///
/// let end = ChatEvent::from(Complete::new().usage(Usage::new(3, 14)));
/// assert!(end.is_terminal());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ChatEvent {
    /// `session_info`: the capabilities of the session; always the first event.
    SessionInfo(Box<SessionInfo>),
    /// `text`: a piece of the answer.
    Text(Text),
    /// `thinking`: a piece of the model's thinking.
    Thinking(Thinking),
    /// `source`: a source that the answer rests on.
    Source(Box<Citation>),
    /// `media`: a picture, sound or file that the model made.
    Media(Box<Media>),
    /// `tool_input`: a piece of the arguments of a call that comes.
    ToolInput(Box<ToolInput>),
    /// `tool_calls`: the model asks for tools.
    ToolCalls(Box<ToolCalls>),
    /// `tool_result`: the result of a tool.
    ToolResult(Box<ToolResult>),
    /// `tool_error`: a tool failed; not terminal.
    ToolError(Box<ToolError>),
    /// `tool_progress`: the progress of a tool.
    ToolProgress(Box<ToolProgress>),
    /// `input_request`: a question to the user.
    InputRequest(Box<InputRequest>),
    /// `input_resolved`: a question is no longer open.
    InputResolved(InputResolved),
    /// `turn`: a turn of the model is over.
    Turn(Box<TurnEnd>),
    /// `provider_state`: data that the provider must be handed back.
    ProviderState(Box<ProviderStateEvent>),
    /// `isomorphic_handoff`: a call that the client has to run.
    IsomorphicHandoff(Box<IsomorphicHandoff>),
    /// `conversation_state`: the state of a conversation that waits for client tools.
    ConversationState(Box<ConversationStateEvent>),
    /// `restarted`: drops everything before it.
    Restarted(Restarted),
    /// `custom`: an event of the application.
    Custom(Box<Custom>),
    /// `complete`: the answer is complete; terminal.
    Complete(Box<Complete>),
    /// `aborted`: the answer was stopped; terminal.
    Aborted(Box<Aborted>),
    /// `error`: the answer failed; terminal.
    Error(Box<ErrorEvent>),
    /// A type that this version doesn't know; clients ignore it.
    Unknown(Unknown),
}

impl ChatEvent {
    /// The maximum nesting of a record: 96 levels, of which the event itself is one.
    ///
    /// Parsers of JSON have limits (128 levels in `serde_json`). A record below this one can be read
    /// inside of a page or any other document that encloses it.
    pub const MAX_DEPTH: usize = 96;

    /// Creates a `session_info` event. [`SessionInfo`] has further fields.
    pub fn session_info(capabilities: Capabilities) -> Self {
        SessionInfo::new(capabilities).into()
    }

    /// Creates a `text` event.
    pub fn text(content: impl Into<String>) -> Self {
        Text::new(content).into()
    }

    /// Creates a `thinking` event.
    pub fn thinking(content: impl Into<String>) -> Self {
        Thinking::new(content).into()
    }

    /// Creates a `tool_calls` event.
    pub fn tool_calls(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        ToolCalls::new(calls).into()
    }

    /// Creates the event of a result of the tool `name` for the call `id`.
    pub fn tool_result(
        id: impl Into<String>,
        name: impl Into<String>,
        content: impl Into<Content>,
    ) -> Self {
        ToolResult::new(id, name, content).into()
    }

    /// Creates the event of a failure of the tool `name` at the call `id`.
    pub fn tool_error(
        id: impl Into<String>,
        name: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        ToolError::new(id, name, message).into()
    }

    /// Creates the event that hands a call to the client. [`IsomorphicHandoff`] has further fields.
    pub fn isomorphic_handoff(
        call_id: impl Into<String>,
        tool_name: impl Into<String>,
        params: Value,
    ) -> Self {
        IsomorphicHandoff::new(call_id, tool_name, params).into()
    }

    /// Creates a `conversation_state` event.
    pub fn conversation_state(state: ConversationState) -> Self {
        ConversationStateEvent::new(state).into()
    }

    /// Creates a `restarted` event.
    pub fn restarted(reason: impl Into<String>) -> Self {
        Restarted::new(reason).into()
    }

    /// Creates an event of the application.
    pub fn custom(name: impl Into<String>, data: Value) -> Self {
        Custom::new(name, data).into()
    }

    /// Creates a `complete` event. [`Complete`] has further fields.
    pub fn complete() -> Self {
        Complete::new().into()
    }

    /// Creates an `aborted` event. [`Aborted`] has further fields.
    pub fn aborted() -> Self {
        Aborted::new().into()
    }

    /// Creates an `error` event that is not recoverable. [`ErrorEvent`] has further fields.
    pub fn error(code: ErrorCode, public_message: impl Into<String>) -> Self {
        ErrorEvent::new(code, public_message).into()
    }

    /// Returns true if effects beyond the log follow from the event.
    ///
    /// A tool runs once its call is stored, once the user has allowed it, or once another tool
    /// frees its slot, by ending or by waiting for the user. The model is called again once the
    /// results of the tools are stored. No such effect may begin before the event is stored: a
    /// server that takes the session over would not know of it. Nor may it begin if the event can't
    /// be stored, since another server may own the session by then.
    ///
    /// Barriers are `tool_calls`, `input_request`, `input_resolved`, `tool_result`, `tool_error`,
    /// `isomorphic_handoff`, and a `tool_progress` without message and number, which marks the
    /// begin of a tool.
    ///
    /// ```
    /// use unbroken::chat::{ChatEvent, InputId, InputRequest};
    ///
    /// let asks = InputRequest::question(InputId::random(), "Which seat?");
    /// assert!(ChatEvent::from(asks).is_barrier());
    /// assert!(!ChatEvent::text("12A").is_barrier());
    /// ```
    pub const fn is_barrier(&self) -> bool {
        match self {
            Self::ToolCalls(_)
            | Self::InputRequest(_)
            | Self::InputResolved(_)
            | Self::ToolResult(_)
            | Self::ToolError(_)
            | Self::IsomorphicHandoff(_) => true,
            Self::ToolProgress(progress) => {
                progress.message.is_none() && progress.progress.is_none()
            }
            _ => false,
        }
    }

    /// Returns true if nothing may follow the event.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Complete(_) | Self::Aborted(_) | Self::Error(_))
    }
}
