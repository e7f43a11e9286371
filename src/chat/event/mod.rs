//! The events of an answer.

mod chat_event;
mod content;
mod end;
mod info;
mod input;
mod tools;
mod wire;

pub use self::{
    chat_event::ChatEvent,
    content::{Custom, Text, Thinking, Unknown},
    end::{Aborted, Complete, ErrorEvent},
    info::{Capabilities, Restarted, SessionInfo},
    input::{InputRequest, InputResolved},
    tools::{
        ConversationState, ConversationStateEvent, IsomorphicHandoff, ToolCalls, ToolError,
        ToolProgress, ToolResult,
    },
};
