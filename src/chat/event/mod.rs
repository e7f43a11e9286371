//! What happens in a session, event by event.

mod chat_event;
mod end;
mod info;
mod said;
mod tools;
mod wire;

pub use self::{
    chat_event::ChatEvent,
    end::{Aborted, Complete, ErrorEvent},
    info::{Capabilities, Restarted, SessionInfo},
    said::{Custom, Text, Thinking, Unknown},
    tools::{
        ConversationState, ConversationStateEvent, IsomorphicHandoff, ToolCalls, ToolError,
        ToolResult,
    },
};
