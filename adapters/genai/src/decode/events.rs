use std::{borrow::Cow, collections::VecDeque, mem};

use genai::chat::{ChatStreamEvent, StreamEnd, Usage as GenAiUsage};
use serde_json::{Value, json};
use unbroken::chat::{ChatEvent, FinishReason, ProviderError, Usage};

use super::{
    chat_extras::{ChatExtras, REASONING_DETAILS},
    finish_reason, json, reported, state_event, text,
};
use crate::{failure, frames::ServerFrame, turn::TurnSoFar, wire_format::WireFormat};

/// A decoder of genai's own events.
///
/// Of OpenAI's protocols it also reads the frames, for what genai leaves out.
#[derive(Debug)]
pub(crate) struct EventsDecoder {
    pub(super) turn: TurnSoFar,
    pub(super) done: bool,
    wire: WireFormat,
    state_name: &'static str,
    has_signatures: bool,
    has_left_out: bool,
    // Pieces of calls, which wait for the text of their frame.
    pieces: VecDeque<ChatEvent>,
    extras: ChatExtras,
}

impl EventsDecoder {
    pub(super) fn new(turn: TurnSoFar, wire: WireFormat, state_name: &'static str) -> Self {
        Self {
            turn,
            done: false,
            wire,
            state_name,
            has_signatures: false,
            has_left_out: false,
            pieces: VecDeque::new(),
            extras: ChatExtras::default(),
        }
    }

    pub(super) fn frame(
        &mut self,
        frame: &ServerFrame,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match self.wire {
            WireFormat::Chat => self.chunk(frame, out),
            WireFormat::Responses => self.response(frame, out),
            _ => Ok(()),
        }
    }

    /// Returns true if each frame is read here, also one that genai doesn't understand.
    pub(super) fn reads_every_frame(&self) -> bool {
        self.wire == WireFormat::Chat
    }

    fn chunk(
        &mut self,
        frame: &ServerFrame,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let data = frame.data.trim();
        if frame.name.as_deref() == Some("error") {
            return Err(failure::reported(data));
        }
        if data.starts_with("[DONE]") {
            // genai knows the exact word only, and ends the answer then.
            if frame.data != "[DONE]" {
                self.turn.finish.get_or_insert(FinishReason::Unknown);
                self.done = true;
            }
            return Ok(());
        }
        if reported::is_ping(data) {
            return Ok(());
        }
        let data = json(frame)?;
        let choice = data.pointer("/choices/0").filter(|it| it.is_object());
        if let Some(error) = reported::reported(&data, choice.is_some()) {
            return Err(error);
        }
        if !data.is_object() && !data.is_null() {
            return Err(failure::unreadable("a frame that is no object"));
        }
        if let Some(model) = text(&data, "/model").filter(|model| !model.is_empty()) {
            self.turn.model = Some(model.to_owned());
        }
        // Of Groq and of the others. genai's counts replace them at `[DONE]`.
        let counts = data.pointer("/x_groq/usage").or_else(|| data.get("usage"));
        if let Some(counts) =
            counts.and_then(|it| serde_json::from_value::<GenAiUsage>(it.clone()).ok())
        {
            self.turn.usage = usage(&counts).or(self.turn.usage.take());
        }
        if let Some(citations) = data.get("citations")
            && !self.extras.addresses(citations, out)
        {
            self.leave_out("citations");
        }
        match choice {
            // genai reads no frame that has this member, whatever its value.
            Some(choice) => self.choice(choice, data.get("error").is_none(), out),
            None => Ok(()),
        }
    }

    fn choice(
        &mut self,
        choice: &Value,
        genai_reads_it: bool,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let present = |name: &str| choice.get(name).filter(|it| !it.is_null());
        let word = text(choice, "/finish_reason").filter(|word| !word.is_empty());
        let finish = word.map(reason).transpose();
        // Servers that don't stream send a message, which genai leaves out too.
        let (delta, is_left_out) = match (present("delta"), present("message")) {
            (None, Some(message)) => (message, true),
            (delta, _) => (delta.unwrap_or(&Value::Null), !genai_reads_it),
        };
        // After an error genai's events of the frame aren't read.
        let read = if is_left_out || finish.is_err() {
            said(delta, out)
        } else {
            Ok(())
        };
        if let Some(finish) = finish? {
            self.turn.finish = Some(finish);
        }
        read?;
        if let Some(said) = text(delta, "/refusal").filter(|said| !said.is_empty()) {
            out.push_back(ChatEvent::text(said));
        }
        if let Some(annotations) = delta.get("annotations")
            && !self.extras.annotations(annotations, out)
        {
            self.leave_out("annotations");
        }
        if let Some(details) = delta.get(REASONING_DETAILS) {
            self.turn.hold(details.to_string().len())?;
            if !self.extras.details(details) {
                self.leave_out(REASONING_DETAILS);
            }
        }
        match delta.get("tool_calls") {
            None | Some(Value::Null) => {}
            Some(Value::Array(calls)) => {
                for call in calls {
                    self.piece(call)?;
                }
            }
            // One call without its list.
            Some(call) => self.piece(call)?,
        }
        if is_left_out {
            out.append(&mut self.pieces);
        }
        let unknown = ["function_call", "images", "audio"]
            .into_iter()
            .find(|name| delta.get(*name).is_some_and(says_something));
        unknown.map_or(Ok(()), |name| Err(failure::unknown_part(name)))
    }

    // genai would make room for as many calls as the server's number says, and copy all arguments so far at each
    // piece.
    fn piece(&mut self, call: &Value) -> Result<(), ProviderError> {
        if !call.is_object() {
            self.leave_out("tool_calls");
            return Ok(());
        }
        if call.get("extra_content").is_some_and(says_something) {
            return Err(failure::not_handed_back("extra_content"));
        }
        let word = |pointer: &str| text(call, pointer).unwrap_or_default();
        let arguments = match call.pointer("/function/arguments") {
            Some(Value::String(piece)) => Cow::Borrowed(piece.as_str()),
            None | Some(Value::Null) => Cow::Borrowed(""),
            // Some servers send the object itself.
            Some(whole) => Cow::Owned(whole.to_string()),
        };
        let (id, tool) = (word("/id"), word("/function/name"));
        if id.is_empty() && tool.is_empty() && arguments.is_empty() {
            return Ok(());
        }
        let Some(index) = call["index"].as_u64() else {
            return Err(failure::unreadable("a call without an index"));
        };
        (self.turn).piece_of_call(index, id, tool, &arguments, &mut self.pieces)
    }

    // Only the first field of an answer is traced.
    fn leave_out(&mut self, field: &str) {
        if !mem::replace(&mut self.has_left_out, true) {
            tracing::warn!(
                field,
                "the model's server sent something that is dropped; the answer goes on"
            );
        }
    }

    fn response(
        &mut self,
        frame: &ServerFrame,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let data = json(frame)?;
        match text(&data, "/type").unwrap_or_default() {
            "response.refusal.delta" => {
                let said = text(&data, "/delta").filter(|said| !said.is_empty());
                out.extend(said.map(ChatEvent::text));
            }
            "response.created" => {
                self.turn.model = text(&data, "/response/model").map(str::to_owned);
            }
            "response.failed" => {
                let error = data.pointer("/response/error").unwrap_or(&Value::Null);
                return Err(failure::reported(&error.to_string()));
            }
            "response.incomplete" => {
                let reason = text(&data, "/response/incomplete_details/reason");
                self.turn.finish = reason.map(finish_reason);
            }
            // genai skips what it doesn't know, and takes the end of the stream for the end.
            "response.completed" => self.turn.finish = Some(finish_reason("completed")),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn event(
        &mut self,
        event: ChatStreamEvent,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match event {
            ChatStreamEvent::Start | ChatStreamEvent::Heartbeat => {}
            ChatStreamEvent::Chunk(piece) => {
                let said = piece.content;
                out.extend((!said.is_empty()).then(|| ChatEvent::text(said)));
            }
            ChatStreamEvent::ReasoningChunk(piece) => {
                let thought = piece.content;
                out.extend((!thought.is_empty()).then(|| ChatEvent::thinking(thought)));
            }
            ChatStreamEvent::ThoughtSignatureChunk(piece) => {
                self.has_signatures = true;
                self.signature(&piece.content, out)?;
            }
            ChatStreamEvent::ToolCallChunk(_) if self.wire == WireFormat::Chat => {
                out.append(&mut self.pieces);
            }
            ChatStreamEvent::ToolCallChunk(piece) => {
                let call = piece.tool_call;
                match call.fn_arguments {
                    Value::String(so_far) => {
                        self.turn
                            .call_so_far(&call.call_id, &call.fn_name, &so_far, out)?;
                    }
                    whole => {
                        let named = call.call_id;
                        self.turn.named_call(named, call.fn_name, whole)?;
                    }
                }
            }
            ChatStreamEvent::End(end) => self.take_end(end, out)?,
        }
        Ok(())
    }

    fn take_end(
        &mut self,
        end: StreamEnd,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.done = true;
        match end.captured_stop_reason {
            // The frames know more.
            _ if self.turn.finish.is_some() => {}
            Some(stop) => self.turn.finish = Some(reason(stop.raw())?),
            // It said `[DONE]`, and not why.
            None if self.wire == WireFormat::Chat => {
                self.turn.finish = Some(FinishReason::Unknown);
            }
            None => {}
        }
        let counts = end.captured_usage.as_ref().and_then(usage);
        self.turn.usage = counts.or(self.turn.usage.take());
        let Some(content) = end.captured_content else {
            return Ok(());
        };
        for part in content.parts() {
            if let Some(signature) = part.as_thought_signature()
                && !self.has_signatures
            {
                self.signature(signature, out)?;
            }
            let Some(call) = part.as_tool_call() else {
                continue;
            };
            let arguments = call.fn_arguments.clone();
            if !self.turn.knows_call(&call.call_id) {
                // A call without arguments may have had no piece.
                let (named, tool) = (call.call_id.clone(), call.fn_name.clone());
                self.turn.named_call(named, tool, arguments)?;
            } else if self.wire == WireFormat::Responses && !arguments.is_string() {
                // The whole ones count, whatever the pieces were.
                self.turn.set_arguments(&call.call_id, arguments);
            }
        }
        Ok(())
    }

    /// Returns true if the server said why it stopped, so that the end of its stream is no cut.
    pub(super) fn is_finished(&self) -> bool {
        self.turn.finish.is_some()
    }

    pub(super) fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        // genai makes an end of a cut for some protocols, which all have a reason otherwise.
        if !self.is_finished() {
            return Err(ProviderError::cut());
        }
        out.append(&mut self.pieces);
        out.extend(self.extras.finish(self.state_name));
        self.turn.end(out);
        Ok(())
    }

    fn signature(
        &mut self,
        signature: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.turn.hold(signature.len())?;
        let data = json!({"signature": signature});
        out.push_back(state_event(self.state_name, data));
        Ok(())
    }
}

// Servers that have no other way to report an error.
fn reason(word: &str) -> Result<FinishReason, ProviderError> {
    let word = word.trim();
    if ["error", "network_error"]
        .iter()
        .any(|it| word.eq_ignore_ascii_case(it))
    {
        return Err(failure::reported("null"));
    }
    Ok(finish_reason(word))
}

fn said(delta: &Value, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
    let piece = |pointer: &str| text(delta, pointer).filter(|said| !said.is_empty());
    let thought = piece("/reasoning_content").or_else(|| piece("/reasoning"));
    out.extend(thought.map(ChatEvent::thinking));
    out.extend(piece("/content").map(ChatEvent::text));
    match delta.get("content") {
        Some(list @ Value::Array(_)) if says_something(list) => {
            Err(failure::unknown_part("content"))
        }
        _ => Ok(()),
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        value => reported::is_truthy(value),
    }
}

fn usage(counts: &GenAiUsage) -> Option<Usage> {
    let of = |count: Option<i32>| count.and_then(|count| u64::try_from(count).ok());
    let (input, output) = (of(counts.prompt_tokens), of(counts.completion_tokens));
    if input.is_none() && output.is_none() {
        return None;
    }
    let mut usage = Usage::new(input.unwrap_or(0), output.unwrap_or(0));
    let read = counts.prompt_tokens_details.as_ref();
    usage.cached_input_tokens = read.and_then(|details| of(details.cached_tokens));
    let written = counts.completion_tokens_details.as_ref();
    usage.reasoning_tokens = written.and_then(|details| of(details.reasoning_tokens));
    Some(usage)
}
