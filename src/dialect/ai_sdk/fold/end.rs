use serde_json::Value;

use super::{TextKind, UiMessageFold};
use crate::{
    chat::{Aborted, Complete, ErrorEvent, FinishReason, Usage},
    dialect::ai_sdk::{
        chunk::{ChunkSink, UiChunk},
        metadata,
    },
};

impl UiMessageFold {
    pub(super) fn complete(&mut self, complete: &Complete, sink: &mut impl ChunkSink) {
        // A provider that doesn't stream gives the text at the end.
        if let (false, Some(text)) = (self.has_text, &complete.text) {
            self.piece(TextKind::Text, text, sink);
        }
        self.end(sink);
        sink.chunk(&UiChunk::FinishStep);
        let finish_reason = match complete.finish_reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool-calls",
            FinishReason::ContentFilter => "content-filter",
            FinishReason::Unknown | FinishReason::Other(_) => "other",
        };
        self.finish(finish_reason, complete.usage.as_ref(), Some(complete), sink);
    }

    pub(super) fn aborted(&mut self, aborted: &Aborted, sink: &mut impl ChunkSink) {
        self.end(sink);
        sink.chunk(&UiChunk::FinishStep);
        let reason = aborted.reason.as_deref();
        sink.chunk(&UiChunk::Abort { reason });
        self.finish("other", aborted.usage.as_ref(), None, sink);
    }

    pub(super) fn error(&mut self, error: &ErrorEvent, sink: &mut impl ChunkSink) {
        self.end(sink);
        sink.chunk(&UiChunk::FinishStep);
        sink.chunk(&UiChunk::Error {
            error_text: &error.message,
        });
        // The Workflow transport treats no other chunk as the end.
        self.finish("error", error.usage.as_ref(), None, sink);
    }

    /// Finishes the message, with the usage of the whole answer, or of the turns that are over.
    fn finish(
        &self,
        reason: &'static str,
        usage: Option<&Usage>,
        complete: Option<&Complete>,
        sink: &mut impl ChunkSink,
    ) {
        let usage = usage.or(self.usage.as_ref());
        let metadata = metadata::of_answer(usage, self.model.as_deref(), complete);
        finish(reason, metadata.as_ref(), sink);
    }
}

pub(super) fn finish(
    finish_reason: &'static str,
    message_metadata: Option<&Value>,
    sink: &mut impl ChunkSink,
) {
    sink.chunk(&UiChunk::Finish {
        finish_reason,
        message_metadata,
    });
}
