use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    approvals::Approvals,
    chunk::{UiChunk, UiData},
    replay,
    request::MessageNotes,
};
use crate::{
    chat::{
        ChatEvent, Complete, Custom, ErrorEvent, FinishReason, InputId, InputKind, InputRequest,
        IsomorphicHandoff, SessionInfo, TextKind, ToolCall, ToolProgress, text_content,
    },
    log::Record,
};

/// What chunks are written into.
pub(super) trait ChunkSink {
    /// One chunk.
    fn chunk(&mut self, chunk: &UiChunk<'_>);

    /// A chunk that ends in a piece of text, which is JSON already, quotes included.
    fn delta(&mut self, kind: &'static str, id: &str, json: &[u8]);
}

/// The events of a log as the chunks of a UI message stream.
///
/// Which chunks a record comes to depends on the records before it only.
#[derive(Debug)]
pub(super) struct UiMessageFold {
    message_id: String,
    stage: MessageStage,
    open: Option<OpenPart>,
    /// Tools have given something in this step: what the model says next is another one.
    answered: bool,
    /// The calls that the client knows of; what comes of any other is an error there.
    calls: HashSet<String>,
    said: bool,
    approvals: Approvals,
    /// Whether what the message held before this session is said too.
    earlier: bool,
}

/// How far the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageStage {
    /// Nothing of it is said.
    New,
    /// It has its name, and no step.
    Started,
    /// A step is open.
    Running,
    /// The client waits for a person: it was told that this is an end.
    Paused,
}

/// A part that more may be added to.
#[derive(Debug)]
struct OpenPart {
    kind: TextKind,
    id: String,
}

impl UiMessageFold {
    /// Of a session whose message is called by the session's own id, unless its first record has
    /// another name for it.
    pub(super) fn new() -> Self {
        Self {
            message_id: String::new(),
            stage: MessageStage::New,
            open: None,
            answered: false,
            calls: HashSet::new(),
            said: false,
            approvals: Approvals::default(),
            earlier: false,
        }
    }

    /// The same, for a client that has nothing of the message, not even what it held before.
    pub(super) fn with_previous_parts(mut self) -> Self {
        self.earlier = true;
        self
    }

    /// The same, for a client that has answered these questions.
    pub(super) fn answered(&mut self, inputs: impl IntoIterator<Item = InputId>) {
        self.approvals.answered(inputs);
    }

    /// A stream of its own begins, for a client that has the message up to here. False if there is
    /// nothing up to here: then it has answered nothing of this session.
    pub(super) fn restart(&mut self) -> bool {
        match self.stage {
            MessageStage::New => self.approvals.forget_answers(),
            MessageStage::Running => self.stage = MessageStage::Paused,
            MessageStage::Started | MessageStage::Paused => {}
        }
        self.stage != MessageStage::New
    }

    /// Whether the client waits for a person.
    pub(super) fn is_paused(&self) -> bool {
        self.stage == MessageStage::Paused
    }

    /// Names the message.
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
            self.say(kind, record, sink);
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
            // What came of an approval, the call itself says.
            ChatEvent::InputResolved(resolved) if self.approvals.resolve(resolved) => {}
            ChatEvent::InputResolved(resolved) => {
                let data = json!({ "action": resolved.action });
                let data = UiData::new("input-resolved", &data);
                sink.chunk(&UiChunk::Data(data.under(Some(resolved.input_id.as_str()))));
            }
            ChatEvent::IsomorphicHandoff(handoff) => self.handoff(handoff, sink),
            ChatEvent::Restarted(restarted) => {
                self.close(sink);
                self.approvals.clear();
                let data = json!({ "reason": restarted.reason });
                sink.chunk(&UiChunk::Data(UiData::new("restarted", &data)));
                self.answered = true;
                self.said = false;
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
        if self.earlier && self.stage == MessageStage::New {
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
            // In the step that asked: what comes of its calls belongs there.
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

    /// The client sends what the person says once it believes the answer to be over. Whatever comes
    /// while an approval is open, each time it is over again.
    fn pause(&mut self, sink: &mut impl ChunkSink) {
        if self.stage == MessageStage::Running && self.approvals.waits() {
            self.close(sink);
            sink.chunk(&UiChunk::FinishStep);
            finish("tool-calls", sink);
            self.stage = MessageStage::Paused;
        }
    }

    /// The model goes on: another step, if tools have answered it. Not while an approval is open: the
    /// client looks for it in the last step.
    fn step(&mut self, sink: &mut impl ChunkSink) {
        if self.answered && !self.approvals.is_open() {
            self.answered = false;
            self.close(sink);
            sink.chunk(&UiChunk::FinishStep);
            sink.chunk(&UiChunk::StartStep);
        }
    }

    /// Makes the open part one of this kind.
    fn say(&mut self, kind: TextKind, record: &Record<'_>, sink: &mut impl ChunkSink) {
        self.said |= kind == TextKind::Text;
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

    /// Nothing more comes, and nobody is asked any longer.
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
        self.say(kind, record, sink);
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
        // The client would run it twice.
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
            // Before the call: the client runs the tool as soon as it hears of it.
            let data = json!({
                "toolName": name,
                "serverOutput": handoff.server_output,
                "usesHandoff": handoff.uses_handoff,
            });
            sink.chunk(&UiChunk::Data(
                UiData::new("handoff", &data).under(Some(id)),
            ));
        }
        self.call(id, name, &handoff.params, sink);
        self.approvals.settle(id);
    }

    fn result(&mut self, id: &str, content: &str, sink: &mut impl ChunkSink) {
        if self.known(id, sink) {
            let output = output(content);
            sink.chunk(&UiChunk::ToolOutputAvailable {
                tool_call_id: id,
                output: &output,
            });
        }
    }

    fn failed(&mut self, id: &str, error_text: &str, sink: &mut impl ChunkSink) {
        if self.known(id, sink) {
            sink.chunk(&UiChunk::ToolOutputError {
                tool_call_id: id,
                error_text,
            });
        }
    }

    fn known(&mut self, id: &str, sink: &mut impl ChunkSink) -> bool {
        self.close(sink);
        self.approvals.settle(id);
        self.answered = true;
        self.calls.contains(id)
    }

    fn complete(&mut self, complete: &Complete, record: &Record<'_>, sink: &mut impl ChunkSink) {
        // A provider that doesn't stream says everything at the end.
        if let (false, Some(text)) = (self.said, &complete.text) {
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
        // The Workflow transport takes nothing else for an end.
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

/// What a tool gave: a string, or the object or list that was put into one.
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
    let data = UiData::new("tool-progress", &data).under(Some(&progress.id));
    sink.chunk(&UiChunk::Data(data.transient(true)));
}

fn input_request(request: &InputRequest, sink: &mut impl ChunkSink) {
    let Ok(mut data) = serde_json::to_value(request) else {
        return;
    };
    if let Some(data) = data.as_object_mut() {
        data.remove("inputId");
    }
    let data = UiData::new("input-request", &data).under(Some(request.input_id.as_str()));
    sink.chunk(&UiChunk::Data(data));
}

fn custom(event: &Custom, sink: &mut impl ChunkSink) {
    let id = event.extra.get("id").and_then(Value::as_str);
    let transient = event.extra.get("transient").and_then(Value::as_bool);
    let data = UiData::new(&event.name, &event.data).under(id);
    sink.chunk(&UiChunk::Data(data.transient(transient.unwrap_or(false))));
}
