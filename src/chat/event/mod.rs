//! What happens in a session, event by event.

mod chat_event;
mod end;
mod info;
mod input;
mod said;
mod tools;
mod wire;

pub use self::{
    chat_event::ChatEvent,
    end::{Aborted, Complete, ErrorEvent},
    info::{Capabilities, Restarted, SessionInfo},
    input::{InputRequest, InputResolved},
    said::{Custom, Text, Thinking, Unknown},
    tools::{
        ConversationState, ConversationStateEvent, IsomorphicHandoff, ToolCalls, ToolError,
        ToolProgress, ToolResult,
    },
};
