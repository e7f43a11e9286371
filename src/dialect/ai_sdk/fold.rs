use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    approvals::Approvals,
    chunk::{ChunkSink, UiChunk, UiData},
    notes::MessageNotes,
    replay,
};
use crate::{
    chat::{
        ChatEvent, Complete, Custom, ErrorEvent, FinishReason, InputId, InputKind, InputRequest,
        IsomorphicHandoff, SessionInfo, TextKind, ToolCall, ToolProgress, text_content,
    },
    log::Record,
};

/// Folds the events of a log into the chunks of a UI message stream.
///
/// The chunks of a record depend on that record and those before it only.
#[derive(Debug)]
pub(super) struct UiMessageFold {
    message_id: String,
    stage: MessageStage,
    open: Option<OpenPart>,
    /// True if tools have given outputs in this step. The next output of the model begins a new step.
    has_outputs: bool,
    /// The calls that the client has received. It treats an output of another call as an error.
    calls: HashSet<String>,
    has_text: bool,
    approvals: Approvals,
    /// True if the parts that the message had before this session are written too.
    previous_parts: bool,
}

/// The progress of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageStage {
    /// No chunk is written.
    New,
    /// The message is started, and has no step.
    Started,
    /// A step is open.
    Running,
    /// The client waits for an approval; a `finish` chunk is written.
    Paused,
}

/// A part that may get more deltas.
#[derive(Debug)]
struct OpenPart {
    kind: TextKind,
    id: String,
}

impl UiMessageFold {
    /// Creates a fold. The id of the message is that of the session, unless the first record has
    /// another one.
    pub(super) fn new() -> Self {
        Self {
            message_id: String::new(),
            stage: MessageStage::New,
            open: None,
            has_outputs: false,
            calls: HashSet::new(),
            has_text: false,
            approvals: Approvals::default(),
            previous_parts: false,
        }
    }

    /// Writes the parts that the message had before this session, for a client that has nothing of it.
    pub(super) fn with_previous_parts(mut self) -> Self {
        self.previous_parts = true;
        self
    }

    /// Sets the questions that the client has answered.
    pub(super) fn answered(&mut self, inputs: impl IntoIterator<Item = InputId>) {
        self.approvals.answered(inputs);
    }

    /// Begins another stream, for a client that has the message up to here. Returns false if no chunk
    /// was written yet: the client then has answered nothing of this session.
    pub(super) fn restart(&mut self) -> bool {
        match self.stage {
            MessageStage::New => self.approvals.forget_answers(),
            MessageStage::Running => self.stage = MessageStage::Paused,
            MessageStage::Started | MessageStage::Paused => {}
        }
        self.stage != MessageStage::New
    }

    /// Returns true if the client waits for an approval.
    pub(super) fn is_paused(&self) -> bool {
        self.stage == MessageStage::Paused
    }

    /// Sets the id of the message.
    pub(super) fn name(&mut self, message_id: &str) {
        message_id.clone_into(&mut self.message_id);
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &Record<'_>, sink: &mut impl ChunkSink) {
        self.add(record, sink);
        self.pause(sink);
    }

    fn add(&mut self, record: &Record<'_>, sink: &mut impl ChunkSink) {
        if let Some((kind, json)) = text_content(record.bytes) {
            self.begin(sink);
            self.open_part(kind, record, sink);
            if let Some(open) = &self.open {
                sink.delta(delta(kind), &open.id, json);
            }
            return;
        }
        let Ok(event) = serde_json::from_slice::<ChatEvent>(record.bytes) else {
            return;
        };
        if let ChatEvent::SessionInfo(info) = &event {
            self.take_note(info, sink);
        }
        self.begin(sink);
        match &event {
            ChatEvent::Text(text) => self.piece(TextKind::Text, &text.content, record, sink),
            ChatEvent::Thinking(it) => self.piece(TextKind::Thinking, &it.content, record, sink),
            ChatEvent::ToolCalls(asked) => self.calls(&asked.calls, sink),
            ChatEvent::ToolResult(result) => self.result(&result.id, &result.content, sink),
            ChatEvent::ToolError(error) => self.failed(&error.id, &error.message, sink),
            ChatEvent::ToolProgress(progress) => tool_progress(progress, sink),
            ChatEvent::InputRequest(request) => self.ask(request, sink),
            // The call has the outcome of its approval.
            ChatEvent::InputResolved(resolved) if self.approvals.resolve(resolved) => {}
            ChatEvent::InputResolved(resolved) => {
                let data = json!({ "action": resolved.action });
                let data = UiData::new("input-resolved", &data);
                sink.chunk(&UiChunk::Data(data.id(Some(resolved.input_id.as_str()))));
            }
            ChatEvent::IsomorphicHandoff(handoff) => self.handoff(handoff, sink),
            ChatEvent::Restarted(restarted) => {
                self.close(sink);
                self.approvals.clear();
                let data = json!({ "reason": restarted.reason });
                sink.chunk(&UiChunk::Data(UiData::new("restarted", &data)));
                self.has_outputs = true;
                self.has_text = false;
            }
            ChatEvent::Custom(event) => custom(event, sink),
            ChatEvent::Complete(complete) => self.complete(complete, record, sink),
            ChatEvent::Aborted(aborted) => {
                self.end(sink);
                sink.chunk(&UiChunk::FinishStep);
                let reason = aborted.reason.as_deref();
                sink.chunk(&UiChunk::Abort { reason });
                finish("other", sink);
            }
            ChatEvent::Error(error) => self.error(error, sink),
            _ => {}
        }
    }

    fn take_note(&mut self, info: &SessionInfo, sink: &mut impl ChunkSink) {
        let notes = MessageNotes::of(info);
        if let Some(message_id) = notes.message_id {
            self.message_id = message_id;
        }
        self.calls.extend(notes.calls);
        if self.previous_parts && self.stage == MessageStage::New {
            self.start(sink);
            replay::replay(&notes.parts, sink);
        }
    }

    fn start(&mut self, sink: &mut impl ChunkSink) {
        sink.chunk(&UiChunk::Start {
            message_id: &self.message_id,
        });
        self.stage = MessageStage::Started;
    }

    fn begin(&mut self, sink: &mut impl ChunkSink) {
        match self.stage {
            MessageStage::Running => return,
            MessageStage::New => {
                self.start(sink);
                sink.chunk(&UiChunk::StartStep);
            }
            MessageStage::Started => sink.chunk(&UiChunk::StartStep),
            // In the step of the approval, to which the outputs of its calls belong.
            MessageStage::Paused => self.start(sink),
        }
        self.stage = MessageStage::Running;
    }

    fn ask(&mut self, request: &InputRequest, sink: &mut impl ChunkSink) {
        let call = request.call_id.as_deref();
        let known = call.filter(|call| self.calls.contains(*call));
        match (&request.kind, known) {
            (InputKind::Approval, Some(tool_call_id)) => {
                self.close(sink);
                let approval_id = request.input_id.as_str();
                sink.chunk(&UiChunk::ToolApprovalRequest {
                    approval_id,
                    tool_call_id,
                });
                self.approvals.ask(approval_id, tool_call_id);
            }
            _ => input_request(request, sink),
        }
    }

    /// Ends the message for the client if an approval is open, because the client sends its response
    /// only then. Called after every record.
    fn pause(&mut self, sink: &mut impl ChunkSink) {
        if self.stage == MessageStage::Running && self.approvals.is_waiting() {
            self.close(sink);
            sink.chunk(&UiChunk::FinishStep);
            finish("tool-calls", sink);
            self.stage = MessageStage::Paused;
        }
    }

    /// Begins a new step if tools have given outputs. Not while an approval is open, because the client
    /// looks for it in the last step.
    fn step(&mut self, sink: &mut impl ChunkSink) {
        if self.has_outputs && !self.approvals.is_open() {
            self.has_outputs = false;
            self.close(sink);
            sink.chunk(&UiChunk::FinishStep);
            sink.chunk(&UiChunk::StartStep);
        }
    }

    /// Opens a part of this kind, unless one is open.
    fn open_part(&mut self, kind: TextKind, record: &Record<'_>, sink: &mut impl ChunkSink) {
        self.has_text |= kind == TextKind::Text;
        self.step(sink);
        if self.open.as_ref().is_some_and(|open| open.kind == kind) {
            return;
        }
        self.close(sink);
        let id = match kind {
            TextKind::Text => format!("t{}", record.lsn),
            TextKind::Thinking => format!("r{}", record.lsn),
        };
        sink.chunk(&match kind {
            TextKind::Text => UiChunk::TextStart { id: &id },
            TextKind::Thinking => UiChunk::ReasoningStart { id: &id },
        });
        self.open = Some(OpenPart { kind, id });
    }

    fn close(&mut self, sink: &mut impl ChunkSink) {
        if let Some(OpenPart { kind, id }) = self.open.take() {
            sink.chunk(&match kind {
                TextKind::Text => UiChunk::TextEnd { id: &id },
                TextKind::Thinking => UiChunk::ReasoningEnd { id: &id },
            });
        }
    }

    /// Closes the open part and all approvals.
    fn end(&mut self, sink: &mut impl ChunkSink) {
        self.close(sink);
        self.approvals.clear();
    }

    fn piece(
        &mut self,
        kind: TextKind,
        delta: &str,
        record: &Record<'_>,
        sink: &mut impl ChunkSink,
    ) {
        self.open_part(kind, record, sink);
        if let Some(OpenPart { id, .. }) = &self.open {
            sink.chunk(&match kind {
                TextKind::Text => UiChunk::TextDelta { id, delta },
                TextKind::Thinking => UiChunk::ReasoningDelta { id, delta },
            });
        }
    }

    fn calls(&mut self, calls: &[ToolCall], sink: &mut impl ChunkSink) {
        self.step(sink);
        self.close(sink);
        for call in calls {
            self.approvals.call(&call.id);
            self.call(&call.id, &call.name, &call.arguments, sink);
        }
    }

    fn call(&mut self, id: &str, name: &str, input: &Value, sink: &mut impl ChunkSink) {
        // A client would run a call twice.
        if self.calls.insert(id.to_owned()) {
            sink.chunk(&UiChunk::ToolInputAvailable {
                tool_call_id: id,
                tool_name: name,
                input,
            });
        }
    }

    fn handoff(&mut self, handoff: &IsomorphicHandoff, sink: &mut impl ChunkSink) {
        self.close(sink);
        let (id, name) = (&*handoff.call_id, &*handoff.tool_name);
        if handoff.uses_handoff || !handoff.server_output.is_null() {
            // Before the call, because the client runs the tool as soon as it gets the call.
            let data = json!({
                "toolName": name,
                "serverOutput": handoff.server_output,
                "usesHandoff": handoff.uses_handoff,
            });
            sink.chunk(&UiChunk::Data(UiData::new("handoff", &data).id(Some(id))));
        }
        self.call(id, name, &handoff.params, sink);
        self.approvals.settle(id);
    }

    fn result(&mut self, id: &str, content: &str, sink: &mut impl ChunkSink) {
        if self.end_call(id, sink) {
            let output = output(content);
            sink.chunk(&UiChunk::ToolOutputAvailable {
                tool_call_id: id,
                output: &output,
            });
        }
    }

    fn failed(&mut self, id: &str, error_text: &str, sink: &mut impl ChunkSink) {
        if self.end_call(id, sink) {
            sink.chunk(&UiChunk::ToolOutputError {
                tool_call_id: id,
                error_text,
            });
        }
    }

    fn end_call(&mut self, id: &str, sink: &mut impl ChunkSink) -> bool {
        self.close(sink);
        self.approvals.settle(id);
        self.has_outputs = true;
        self.calls.contains(id)
    }

    fn complete(&mut self, complete: &Complete, record: &Record<'_>, sink: &mut impl ChunkSink) {
        // A provider that doesn't stream gives the text at the end.
        if let (false, Some(text)) = (self.has_text, &complete.text) {
            self.piece(TextKind::Text, text, record, sink);
        }
        self.end(sink);
        sink.chunk(&UiChunk::FinishStep);
        finish(
            match complete.finish_reason {
                FinishReason::Stop => "stop",
                FinishReason::Length => "length",
                FinishReason::ToolCalls => "tool-calls",
                FinishReason::ContentFilter => "content-filter",
                FinishReason::Other(_) => "other",
            },
            sink,
        );
    }

    fn error(&mut self, error: &ErrorEvent, sink: &mut impl ChunkSink) {
        self.end(sink);
        sink.chunk(&UiChunk::FinishStep);
        sink.chunk(&UiChunk::Error {
            error_text: &error.message,
        });
        // The Workflow transport treats no other chunk as the end.
        finish("error", sink);
    }
}

fn delta(kind: TextKind) -> &'static str {
    match kind {
        TextKind::Text => "text-delta",
        TextKind::Thinking => "reasoning-delta",
    }
}

fn finish(finish_reason: &'static str, sink: &mut impl ChunkSink) {
    sink.chunk(&UiChunk::Finish { finish_reason });
}

/// Returns the output of a tool: an object or list if the string holds one, else the string.
pub(super) fn output(content: &str) -> Value {
    match serde_json::from_str(content) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
        _ => Value::from(content),
    }
}

fn tool_progress(progress: &ToolProgress, sink: &mut impl ChunkSink) {
    let data = json!({
        "toolName": progress.name,
        "message": progress.message,
        "progress": progress.progress,
        "total": progress.total,
    });
    let data = UiData::new("tool-progress", &data).id(Some(&progress.id));
    sink.chunk(&UiChunk::Data(data.transient(true)));
}

fn input_request(request: &InputRequest, sink: &mut impl ChunkSink) {
    let Ok(mut data) = serde_json::to_value(request) else {
        return;
    };
    if let Some(data) = data.as_object_mut() {
        data.remove("inputId");
    }
    let data = UiData::new("input-request", &data).id(Some(request.input_id.as_str()));
    sink.chunk(&UiChunk::Data(data));
}

fn custom(event: &Custom, sink: &mut impl ChunkSink) {
    let id = event.extra.get("id").and_then(Value::as_str);
    let transient = event.extra.get("transient").and_then(Value::as_bool);
    let data = UiData::new(&event.name, &event.data).id(id);
    sink.chunk(&UiChunk::Data(data.transient(transient.unwrap_or(false))));
}
