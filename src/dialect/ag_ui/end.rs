use serde_json::Value;

use super::{
    event::{AgUiEvent, Metadata, RunOutcome, TanstackMetadata, TokenUsage, UnbrokenMetadata},
    fold::{AgUiFold, RunStage, json},
};
use crate::{
    chat::{Aborted, Complete, ErrorEvent, Usage},
    dialect::frames::JsonFrames,
};

impl AgUiFold {
    /// Returns the usage of the run: that of its end, else that of its turns.
    fn usage_of(&self, end: Option<&Usage>) -> Option<[TokenUsage<'_>; 1]> {
        let usage = end.or(self.usage.as_ref())?;
        Some([TokenUsage::new(usage, self.model.as_deref())])
    }

    pub(super) fn complete(&mut self, complete: &Complete, out: &mut JsonFrames) {
        // A provider that doesn't stream gives the text at the end.
        if let (false, Some(text)) = (self.has_text, &complete.text) {
            self.text(&json(text), out);
        }
        self.close(out);
        self.cut_inputs(out);
        // Without a tool layer, calls are neither run nor handed over before the end.
        for call in std::mem::take(&mut self.calls) {
            self.hand_over(&call, &Value::Null, out);
        }
        self.stage = RunStage::Over;
        let tanstack = TanstackMetadata {
            finish_reason: Some(complete.finish_reason.as_str()),
            ..TanstackMetadata::default()
        };
        let (mismatch, unchecked) = (complete.mismatch.as_deref(), complete.unchecked.as_deref());
        let pending = RunOutcome::Success {
            pending_tool_call_ids: &self.pending,
        };
        out.push(&AgUiEvent::RunFinished {
            thread_id: &self.thread,
            run_id: &self.run,
            outcome: (!self.pending.is_empty()).then_some(pending),
            usage: self.usage_of(complete.usage.as_ref()),
            metadata: Some(Metadata {
                tanstack: Some(tanstack),
                unbroken: mismatch.or(unchecked).map(|_| UnbrokenMetadata {
                    mismatch,
                    unchecked,
                    ..UnbrokenMetadata::default()
                }),
            }),
        });
    }

    pub(super) fn aborted(&mut self, aborted: &Aborted, out: &mut JsonFrames) {
        self.close(out);
        self.cut_inputs(out);
        self.stage = RunStage::Over;
        let reason = aborted.reason.as_deref();
        out.push(&AgUiEvent::RunFinished {
            thread_id: &self.thread,
            run_id: &self.run,
            outcome: Some(RunOutcome::Cancelled),
            usage: self.usage_of(aborted.usage.as_ref()),
            metadata: reason.map(|_| Metadata {
                tanstack: None,
                unbroken: Some(UnbrokenMetadata {
                    reason,
                    ..UnbrokenMetadata::default()
                }),
            }),
        });
    }

    pub(super) fn error(&mut self, error: &ErrorEvent, out: &mut JsonFrames) {
        self.close(out);
        self.cut_inputs(out);
        self.stage = RunStage::Over;
        out.push(&AgUiEvent::RunError {
            message: &error.message,
            code: error.code.as_str(),
            usage: self.usage_of(error.usage.as_ref()),
            metadata: Metadata {
                // Without the run, TanStack's client applies the error to all its runs.
                tanstack: Some(TanstackMetadata {
                    run_id: Some(&self.run),
                    thread_id: Some(&self.thread),
                    ..TanstackMetadata::default()
                }),
                unbroken: Some(UnbrokenMetadata {
                    recoverable: Some(error.recoverable),
                    ..UnbrokenMetadata::default()
                }),
            },
        });
    }
}
