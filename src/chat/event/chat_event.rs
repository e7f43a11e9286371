use serde_json::Value;

use super::{
    Aborted, Capabilities, Complete, ConversationState, ConversationStateEvent, Custom, ErrorEvent,
    InputRequest, InputResolved, IsomorphicHandoff, Restarted, SessionInfo, Text, Thinking,
    ToolCalls, ToolError, ToolProgress, ToolResult, Unknown,
};
use crate::{chat::ToolCall, log::ErrorCode};

/// One event of an answer: what a provider says, what a log keeps, what a client reads.
///
/// Its JSON is an object with its `type`, the same in the store and on the wire. Fields that this
/// version doesn't know are kept in the event's `extra`, and events of unknown types whole, in
/// [`ChatEvent::Unknown`]: what came in goes out again. A name of the event's own must not be put
/// into its `extra`: it would stand twice in the JSON.
///
/// What is rare and large is boxed: text goes through every layer, and is as small as it can be.
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
    /// `session_info`: what a client may expect; always the first.
    SessionInfo(Box<SessionInfo>),
    /// `text`: a piece of the answer.
    Text(Text),
    /// `thinking`: a piece of the model's thinking.
    Thinking(Thinking),
    /// `tool_calls`: the model asks for tools.
    ToolCalls(ToolCalls),
    /// `tool_result`: a tool gave something.
    ToolResult(Box<ToolResult>),
    /// `tool_error`: a tool failed; not terminal.
    ToolError(Box<ToolError>),
    /// `tool_progress`: a tool runs.
    ToolProgress(Box<ToolProgress>),
    /// `input_request`: somebody is asked.
    InputRequest(Box<InputRequest>),
    /// `input_resolved`: a question is no longer open.
    InputResolved(InputResolved),
    /// `isomorphic_handoff`: a tool that the client has to run.
    IsomorphicHandoff(Box<IsomorphicHandoff>),
    /// `conversation_state`: where a conversation stands that waits for client tools.
    ConversationState(Box<ConversationStateEvent>),
    /// `restarted`: drop everything before it.
    Restarted(Restarted),
    /// `custom`: the application's own.
    Custom(Box<Custom>),
    /// `complete`: the answer is whole; terminal.
    Complete(Box<Complete>),
    /// `aborted`: somebody stopped it; terminal.
    Aborted(Aborted),
    /// `error`: it failed; terminal.
    Error(ErrorEvent),
    /// A type that this version doesn't know; clients ignore it.
    Unknown(Unknown),
}

impl ChatEvent {
    /// What a session can do; [`SessionInfo`] has the rest.
    pub fn session_info(capabilities: Capabilities) -> Self {
        SessionInfo::new(capabilities).into()
    }

    /// A piece of the answer.
    pub fn text(content: impl Into<String>) -> Self {
        Text::new(content).into()
    }

    /// A piece of the model's thinking.
    pub fn thinking(content: impl Into<String>) -> Self {
        Thinking::new(content).into()
    }

    /// The model asks for tools.
    pub fn tool_calls(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        ToolCalls::new(calls).into()
    }

    /// The tool `name` gave `content` for the call `id`.
    pub fn tool_result(
        id: impl Into<String>,
        name: impl Into<String>,
        content: impl Into<String>,
    ) -> Self {
        ToolResult::new(id, name, content).into()
    }

    /// The tool `name` failed at the call `id`.
    pub fn tool_error(
        id: impl Into<String>,
        name: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        ToolError::new(id, name, message).into()
    }

    /// The client is to run a tool; [`IsomorphicHandoff`] has the rest.
    pub fn isomorphic_handoff(
        call_id: impl Into<String>,
        tool_name: impl Into<String>,
        params: Value,
    ) -> Self {
        IsomorphicHandoff::new(call_id, tool_name, params).into()
    }

    /// Where a conversation stands that waits for client tools.
    pub fn conversation_state(state: ConversationState) -> Self {
        ConversationStateEvent::new(state).into()
    }

    /// Drop everything before it.
    pub fn restarted(reason: impl Into<String>) -> Self {
        Restarted::new(reason).into()
    }

    /// Something of the application's own.
    pub fn custom(name: impl Into<String>, data: Value) -> Self {
        Custom::new(name, data).into()
    }

    /// The answer is whole; [`Complete`] has the rest.
    pub fn complete() -> Self {
        Complete::new().into()
    }

    /// Somebody stopped it; [`Aborted`] has the rest.
    pub fn aborted() -> Self {
        Aborted::new().into()
    }

    /// It failed in a way that trying again doesn't mend; [`ErrorEvent`] has the rest.
    pub fn error(code: ErrorCode, public_message: impl Into<String>) -> Self {
        ErrorEvent::new(code, public_message).into()
    }

    /// Whether what follows from it has effects beyond the log: a tool runs once its call is there,
    /// once somebody has allowed it, or once another has made room for it, because it is done or waits
    /// for a person; the model is asked again once it can be told what the tools gave. Nothing of the
    /// kind may begin before the event is stored, or a server that takes the session over doesn't know
    /// of it; nor where it can't be stored, since another server may have the session by then.
    ///
    /// That is `tool_calls`, `input_request`, `input_resolved`, `tool_result`, `tool_error`,
    /// `isomorphic_handoff`, and the `tool_progress` that says nothing but that a tool has begun.
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

    /// Whether nothing may follow it.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Complete(_) | Self::Aborted(_) | Self::Error(_))
    }
}
