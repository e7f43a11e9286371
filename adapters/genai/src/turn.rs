use std::collections::VecDeque;

use serde_json::Value;
use unbroken::{
    chat::{
        ChatEvent, Complete, FinishReason, Message, ProviderError, ProviderState, ToolCall,
        ToolInput, TurnEnd, Usage,
    },
    log::ErrorCode,
};

use crate::{call_ids::UsedIds, failure};

// Models ask for a few tools at once.
const MAX_CALLS: usize = 256;

/// A turn of the model while it is read.
#[derive(Debug)]
pub(crate) struct TurnSoFar {
    pub(crate) ids: UsedIds,
    pub(crate) finish: Option<FinishReason>,
    pub(crate) usage: Option<Usage>,
    pub(crate) model: Option<String>,
    calls: Vec<CallSoFar>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct CallSoFar {
    id: String,
    // The server's number of it, of servers that number their calls.
    index: Option<u64>,
    // The id that the server gave.
    named: String,
    tool: String,
    arguments: ArgumentsSoFar,
    state: Option<ProviderState>,
}

#[derive(Debug)]
enum ArgumentsSoFar {
    Text(String),
    Whole(Value),
}

impl TurnSoFar {
    pub(crate) fn new(messages: &[Message], max_bytes: usize) -> Self {
        Self {
            ids: UsedIds::after(messages),
            finish: None,
            usage: None,
            model: None,
            calls: Vec::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Counts bytes that are held until the turn or a block ends.
    ///
    /// # Errors
    ///
    /// If the turn has too many.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), ProviderError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= self.max_bytes {
            return Ok(());
        }
        let max = self.max_bytes;
        let message = format!(
            "the model's calls and signatures take more than {max} bytes, which is the limit"
        );
        Err(ProviderError::new(message).with_code(ErrorCode::Limit))
    }

    fn allow_call(&self) -> Result<(), ProviderError> {
        if self.calls.len() < MAX_CALLS {
            return Ok(());
        }
        let message =
            format!("the model asked for more than {MAX_CALLS} tools at once, which is the limit");
        Err(ProviderError::new(message).with_code(ErrorCode::Limit))
    }

    /// Begins a call whose arguments follow. Returns its event.
    pub(crate) fn begin_call(
        &mut self,
        named: &str,
        tool: String,
    ) -> Result<ChatEvent, ProviderError> {
        self.hold(64 + named.len() + tool.len())?;
        self.allow_call()?;
        let id = self.ids.next(named);
        let event = ToolInput::new(&id, "").name(&tool).into();
        self.calls.push(CallSoFar {
            id,
            index: None,
            named: named.to_owned(),
            tool,
            arguments: ArgumentsSoFar::Text(String::new()),
            state: None,
        });
        Ok(event)
    }

    /// Adds a piece of the arguments of the last call. Returns its event.
    pub(crate) fn add_to_last_call(
        &mut self,
        piece: &str,
    ) -> Result<Option<ChatEvent>, ProviderError> {
        let at = self.calls.len().checked_sub(1);
        at.map_or(Ok(None), |at| self.add_to_call(at, piece))
    }

    fn add_to_call(&mut self, at: usize, piece: &str) -> Result<Option<ChatEvent>, ProviderError> {
        self.hold(piece.len())?;
        let call = &mut self.calls[at];
        let ArgumentsSoFar::Text(text) = &mut call.arguments else {
            return Ok(None);
        };
        text.push_str(piece);
        Ok((!piece.is_empty()).then(|| ToolInput::new(&call.id, piece).into()))
    }

    /// Returns true if the last call has arguments.
    pub(crate) fn last_call_has_arguments(&self) -> bool {
        let last = self.calls.last();
        last.is_some_and(
            |call| !matches!(&call.arguments, ArgumentsSoFar::Text(text) if text.is_empty()),
        )
    }

    /// Sets the arguments of the last call.
    pub(crate) fn set_last_arguments(&mut self, arguments: Value) {
        if let Some(call) = self.calls.last_mut() {
            call.arguments = ArgumentsSoFar::Whole(arguments);
        }
    }

    /// Adds a call that comes in one piece.
    pub(crate) fn whole_call(
        &mut self,
        id: String,
        tool: String,
        arguments: Value,
        state: Option<ProviderState>,
    ) -> Result<(), ProviderError> {
        let text = arguments.to_string().len();
        let kept = state
            .as_ref()
            .map_or(0, |state| state.data.to_string().len());
        self.hold(64 + id.len() + tool.len() + text + kept)?;
        self.allow_call()?;
        self.calls.push(CallSoFar {
            named: id.clone(),
            id,
            index: None,
            tool,
            arguments: ArgumentsSoFar::Whole(arguments),
            state,
        });
        Ok(())
    }

    /// Adds a call that comes in one piece, by the id that the server gave.
    pub(crate) fn named_call(
        &mut self,
        named: String,
        tool: String,
        arguments: Value,
    ) -> Result<(), ProviderError> {
        let id = self.ids.next(&named);
        self.whole_call(id, tool, arguments, None)?;
        if let Some(call) = self.calls.last_mut() {
            call.named = named;
        }
        Ok(())
    }

    /// Returns true if there is a call with this id of the server.
    pub(crate) fn knows_call(&self, named: &str) -> bool {
        self.calls.iter().any(|call| call.named == named)
    }

    /// Sets the arguments of the call with this id of the server.
    pub(crate) fn set_arguments(&mut self, named: &str, arguments: Value) {
        if let Some(call) = self.calls.iter_mut().rfind(|call| call.named == named) {
            call.arguments = ArgumentsSoFar::Whole(arguments);
        }
    }

    /// Takes a piece of a call, of a server that numbers its calls.
    ///
    /// A piece continues the last call of its number, unless it has another id and a name: some servers give
    /// all of their calls one number.
    pub(crate) fn piece_of_call(
        &mut self,
        index: u64,
        named: &str,
        tool: &str,
        piece: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let goes_on = |call: &CallSoFar| {
            let has_another_id = !named.is_empty() && !call.named.is_empty() && call.named != named;
            !has_another_id || tool.is_empty()
        };
        let last = (self.calls.iter()).rposition(|call| call.index == Some(index));
        let at = match last.filter(|at| goes_on(&self.calls[*at])) {
            Some(at) => at,
            None if tool.is_empty() && named.is_empty() && piece.is_empty() => return Ok(()),
            None if tool.is_empty() => {
                return Err(failure::unreadable("a call without the name of its tool"));
            }
            None => {
                out.push_back(self.begin_call(named, tool.to_owned())?);
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        call.index = Some(index);
        if call.named.is_empty() {
            named.clone_into(&mut call.named);
        }
        out.extend(self.add_to_call(at, piece)?);
        Ok(())
    }

    /// Takes the arguments of a call as far as they are, of a server whose pieces genai adds up.
    pub(crate) fn call_so_far(
        &mut self,
        named: &str,
        tool: &str,
        so_far: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let known = self.calls.iter().rposition(|call| call.named == named);
        let at = if let Some(at) = known {
            at
        } else {
            out.push_back(self.begin_call(named, tool.to_owned())?);
            self.calls.len() - 1
        };
        let ArgumentsSoFar::Text(text) = &self.calls[at].arguments else {
            return Ok(());
        };
        let piece = match so_far.strip_prefix(text.as_str()) {
            Some(piece) => piece.to_owned(),
            None => return Err(failure::unreadable("arguments that change")),
        };
        out.extend(self.add_to_call(at, &piece)?);
        Ok(())
    }

    /// Ends the turn, and the answer.
    pub(crate) fn end(&mut self, out: &mut VecDeque<ChatEvent>) {
        let mut reason = self.finish.take().unwrap_or_default();
        if !self.calls.is_empty() {
            if reason.is_whole() {
                // Gemini says `STOP`.
                reason = FinishReason::ToolCalls;
                out.push_back(ChatEvent::tool_calls(
                    self.calls.drain(..).map(CallSoFar::into_call),
                ));
            } else {
                tracing::warn!(%reason, "the model's calls are dropped: its turn isn't whole");
            }
        }
        let mut turn = TurnEnd::new(reason.clone());
        turn.usage.clone_from(&self.usage);
        turn.model = self.model.take();
        out.push_back(turn.into());
        let mut complete = Complete::new().finish_reason(reason);
        complete.usage = self.usage.take();
        out.push_back(complete.into());
    }
}

impl CallSoFar {
    fn into_call(self) -> ToolCall {
        let mut call = match self.arguments {
            ArgumentsSoFar::Text(text) => ToolCall::from_text(self.id, self.tool, &text),
            // By way of its text: it may be nested too deep.
            ArgumentsSoFar::Whole(Value::Null) => ToolCall::from_text(self.id, self.tool, ""),
            ArgumentsSoFar::Whole(value) => {
                ToolCall::from_text(self.id, self.tool, &value.to_string())
            }
        };
        call.provider_state = self.state;
        call
    }
}
