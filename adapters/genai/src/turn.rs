use std::collections::VecDeque;

use serde_json::Value;
use unbroken::{
    chat::{
        ChatEvent, Complete, FinishReason, Message, ProviderError, ProviderState, ToolCall,
        ToolInput, TurnEnd, Usage,
    },
    log::ErrorCode,
};

use crate::{call_ids::UsedIds, failure, nesting::JsonNesting};

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

/// A piece of a call, of a server that sends calls in pieces beside each other.
#[derive(Debug, Default)]
pub(crate) struct CallPiece<'a> {
    /// The server's number of the call, if it gives one.
    pub(crate) index: Option<i128>,
    /// The server's id of the call, or nothing.
    pub(crate) named: &'a str,
    /// The name of the tool, or nothing.
    pub(crate) tool: &'a str,
    pub(crate) arguments: &'a str,
    /// The number of the frame that holds it.
    pub(crate) frame: u64,
    /// True if no other call has this index.
    pub(crate) is_alone: bool,
}

#[derive(Debug)]
struct CallSoFar {
    id: String,
    // The server's number of it, of servers that number their calls.
    index: Option<i128>,
    // The id that the server gave.
    named: String,
    // Empty until the server names it.
    tool: String,
    arguments: ArgumentsSoFar,
    nesting: JsonNesting,
    // The number of the last frame with a piece of it.
    frame: u64,
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

    /// Sets why the model stopped. A turn that isn't whole doesn't become so.
    pub(crate) fn stop(&mut self, reason: FinishReason) {
        if self.finish.as_ref().is_none_or(FinishReason::is_whole) {
            self.finish = Some(reason);
        }
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
        let at = self.open_call(named, tool)?;
        Ok(self.calls[at].announcement())
    }

    fn open_call(&mut self, named: &str, tool: String) -> Result<usize, ProviderError> {
        self.hold(64 + named.len() + tool.len())?;
        self.allow_call()?;
        self.calls.push(CallSoFar {
            id: self.ids.next(named),
            index: None,
            named: named.to_owned(),
            tool,
            arguments: ArgumentsSoFar::Text(String::new()),
            nesting: JsonNesting::default(),
            frame: 0,
            state: None,
        });
        Ok(self.calls.len() - 1)
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
        call.nesting.pass(piece);
        let is_shown = !piece.is_empty() && !call.tool.is_empty();
        Ok(is_shown.then(|| ToolInput::new(&call.id, piece).into()))
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
            nesting: JsonNesting::default(),
            frame: 0,
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

    /// Returns true if there is a call whose tool the server has not named.
    pub(crate) fn has_nameless_call(&self) -> bool {
        self.calls.iter().any(|call| call.tool.is_empty())
    }

    /// Takes a piece of a call, of a server that sends calls in pieces beside each other.
    ///
    /// A piece continues the last call of its number, or the last call of all if it has no number. It begins a
    /// call if it has another id and a name: some servers give all of their calls one number. Without ids it
    /// begins one if it repeats a name, and either the call's arguments are whole and the piece has more, or it
    /// stands beside another piece of that call in one frame.
    pub(crate) fn piece_of_call(
        &mut self,
        piece: &CallPiece<'_>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let CallPiece {
            index,
            named,
            tool,
            arguments,
            frame,
            is_alone,
        } = *piece;
        if named.is_empty() && tool.is_empty() && arguments.is_empty() {
            return Ok(());
        }
        let last = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None => self.calls.len().checked_sub(1),
        };
        let goes_on = |call: &CallSoFar| {
            if is_alone {
                return true;
            }
            if !named.is_empty() && !call.named.is_empty() {
                return call.named == named || tool.is_empty();
            }
            let is_named_again = !tool.is_empty() && !call.tool.is_empty();
            let has_ended = call.nesting.is_whole() && !arguments.is_empty();
            let is_beside = call.frame == frame && !call.nesting.is_open();
            !(is_named_again && (has_ended || is_beside))
        };
        let at = if let Some(at) = last.filter(|at| goes_on(&self.calls[*at])) {
            at
        } else {
            let at = self.open_call(named, tool.to_owned())?;
            if !tool.is_empty() {
                out.push_back(self.calls[at].announcement());
            }
            at
        };
        let call = &mut self.calls[at];
        call.index = index.or(call.index);
        call.frame = frame;
        if call.named.is_empty() && !named.is_empty() {
            named.clone_into(&mut call.named);
            if call.tool.is_empty() {
                // Nothing was told of it.
                call.id = self.ids.next(named);
            }
        }
        if call.tool.is_empty() && !tool.is_empty() {
            tool.clone_into(&mut call.tool);
            out.push_back(call.announcement());
            self.hold(tool.len())?;
        }
        out.extend(self.add_to_call(at, arguments)?);
        Ok(())
    }

    /// Sets the whole arguments of the call with this number. Appends the event of what wasn't shown of them.
    pub(crate) fn finish_call(
        &mut self,
        index: i128,
        arguments: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let at = (self.calls.iter()).rposition(|call| call.index == Some(index));
        let Some(at) = at.filter(|_| !arguments.is_empty()) else {
            return Ok(());
        };
        let ArgumentsSoFar::Text(text) = &self.calls[at].arguments else {
            return Ok(());
        };
        if let Some(rest) = arguments.strip_prefix(text.as_str()) {
            out.extend(self.add_to_call(at, rest)?);
        } else {
            // They count, whatever the pieces were.
            self.hold(arguments.len())?;
            self.calls[at].arguments = ArgumentsSoFar::Text(arguments.to_owned());
        }
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
    // The event that names the call, with the arguments so far.
    fn announcement(&self) -> ChatEvent {
        let so_far = match &self.arguments {
            ArgumentsSoFar::Text(text) => text.as_str(),
            ArgumentsSoFar::Whole(_) => "",
        };
        ToolInput::new(&self.id, so_far).name(&self.tool).into()
    }

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
