use serde_json::Value;

use super::{
    event::{Event, Metadata, Outcome, Tanstack, TokenUsage, Unbroken},
    fold::{Fold, Stage, json},
};
use crate::{
    chat::{Aborted, Complete, ErrorEvent},
    dialect::frames::Frames,
};

impl Fold {
    pub(super) fn complete(&mut self, complete: &Complete, out: &mut Frames) {
        // A provider that doesn't stream says everything at the end.
        if let (false, Some(text)) = (self.has_text, &complete.text) {
            self.text(&json(text), out);
        }
        self.close(out);
        // Nobody ran these, and nobody handed them over: there is no layer for tools.
        for call in std::mem::take(&mut self.calls) {
            self.hand_over(&call, &Value::Null, out);
        }
        self.stage = Stage::Over;
        let tanstack = Tanstack {
            finish_reason: Some(complete.finish_reason.as_str()),
            ..Tanstack::default()
        };
        let pending = Outcome::Success {
            pending_tool_call_ids: &self.pending,
        };
        out.push(&Event::RunFinished {
            thread_id: &self.thread,
            run_id: &self.run,
            outcome: (!self.pending.is_empty()).then_some(pending),
            usage: complete.usage.as_ref().map(|it| [TokenUsage::from(it)]),
            metadata: Some(Metadata {
                tanstack: Some(tanstack),
                unbroken: None,
            }),
        });
    }

    pub(super) fn aborted(&mut self, aborted: &Aborted, out: &mut Frames) {
        self.close(out);
        self.stage = Stage::Over;
        let reason = aborted.reason.as_deref();
        out.push(&Event::RunFinished {
            thread_id: &self.thread,
            run_id: &self.run,
            outcome: Some(Outcome::Cancelled),
            usage: None,
            metadata: reason.map(|_| Metadata {
                tanstack: None,
                unbroken: Some(Unbroken {
                    reason,
                    recoverable: None,
                }),
            }),
        });
    }

    pub(super) fn error(&mut self, error: &ErrorEvent, out: &mut Frames) {
        self.close(out);
        self.stage = Stage::Over;
        out.push(&Event::RunError {
            message: &error.message,
            code: error.code.as_str(),
            metadata: Metadata {
                // Without it TanStack's client takes the error for one of all its runs.
                tanstack: Some(Tanstack {
                    run_id: Some(&self.run),
                    thread_id: Some(&self.thread),
                    ..Tanstack::default()
                }),
                unbroken: Some(Unbroken {
                    reason: None,
                    recoverable: Some(error.recoverable),
                }),
            },
        });
    }
}
