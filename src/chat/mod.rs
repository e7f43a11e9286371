//! What is said in a chat: requests, events, and the contract of a provider.

mod error;
mod event;
mod message;
mod request;
mod tool;
mod usage;
mod words;

pub use self::{
    error::{ErrorCode, ProviderError},
    event::{
        Aborted, Capabilities, ChatEvent, Complete, ConversationState, ConversationStateEvent,
        Custom, ErrorEvent, IsomorphicHandoff, Restarted, SessionInfo, Text, Thinking, ToolCalls,
        ToolError, ToolResult, Unknown,
    },
    message::{Message, Role},
    request::ChatRequest,
    tool::{EnabledTools, IsomorphicClientOutput, IsomorphicTool, ToolCall},
    usage::Usage,
    words::{Authority, FinishReason},
};
