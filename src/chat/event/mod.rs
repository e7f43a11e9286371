//! The events of an answer.

mod chat_event;
mod content;
mod end;
mod info;
mod input;
mod text_record;
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

pub(crate) use self::text_record::{TEXT_END, TextKind, has_kind, text_content};
