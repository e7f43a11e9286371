//! The events of an answer.

mod chat_event;
mod citation;
mod content;
mod end;
mod info;
mod input;
mod text_record;
mod tools;
mod turn;
mod wire;

#[cfg(test)]
pub(crate) use self::tools::CallFollowers;
pub use self::{
    chat_event::ChatEvent,
    citation::{Citation, TextSpan},
    content::{Custom, Text, Thinking, Unknown},
    end::{Aborted, Complete, ErrorEvent},
    info::{Capabilities, Restarted, SessionInfo},
    input::{InputRequest, InputResolved},
    tools::{
        ConversationState, ConversationStateEvent, IsomorphicHandoff, ToolCalls, ToolError,
        ToolInput, ToolProgress, ToolResult,
    },
    turn::{ProviderStateEvent, StateOf, TurnEnd},
};
use super::Media;

pub(crate) use self::text_record::{TEXT_END, TextKind, has_kind, text_content};
