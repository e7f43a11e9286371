//! Answers that begin anew, for clients that drop the parts of a step.

use serde_json::json;

use super::UiMessageFold;
use crate::{
    chat::Restarted,
    dialect::{
        ai_sdk::chunk::{ChunkSink, UiChunk, UiData},
        handed_over::HANDED_OVER,
    },
};

/// The part of an answer that decides whether a client can drop it. `ai` 7 drops the parts after the last
/// `start-step`.
#[derive(Debug, Default)]
pub(super) struct AnswerSoFar {
    /// True if the client drops the parts of a step at `reset-step`.
    drops_steps: bool,
    /// The number of steps that the client has of this answer.
    pub(super) steps: u64,
    /// True if the client was asked for an approval: it may send its response at any time.
    pub(super) asked: bool,
    /// True if a call was handed over: the client may have run it.
    pub(super) handed_over: bool,
    /// The calls that the message had before this session.
    earlier_calls: Vec<String>,
}

impl AnswerSoFar {
    pub(super) fn begins_with(&mut self, calls: &[String]) {
        self.earlier_calls.extend_from_slice(calls);
    }
}

impl UiMessageFold {
    /// Sets whether the client reads `reset-step`.
    pub(in crate::dialect::ai_sdk) fn reset_steps(mut self, reads: bool) -> Self {
        self.answer.drops_steps = reads;
        self
    }

    /// Returns true if the client reads `reset-step`.
    pub(in crate::dialect::ai_sdk) fn resets_steps(&self) -> bool {
        self.answer.drops_steps
    }

    /// Returns the reason why a client that reads `reset-step` can't drop the answer so far.
    pub(in crate::dialect::ai_sdk) fn restart_obstacle(&self) -> Option<&'static str> {
        let answer = &self.answer;
        if answer.handed_over {
            Some(HANDED_OVER)
        } else if answer.asked {
            Some("the client was asked for an approval")
        } else if answer.steps > 1 {
            Some("the AI SDK's clients drop one step of an answer, and it has several")
        } else {
            None
        }
    }

    /// Tells the client to drop what it has of this answer. One that can't is told where the new one begins.
    pub(super) fn restarted(&mut self, restarted: &Restarted, sink: &mut impl ChunkSink) {
        (self.usage, self.model, self.has_text) = (None, None, false);
        if !self.answer.drops_steps {
            self.end(sink);
            tell_restarted(restarted, sink);
            self.step_is_over = true;
            return;
        }
        self.close(sink);
        // The transport for workflows forgets the ids of parts here, which come again.
        sink.chunk(&UiChunk::FinishStep);
        sink.chunk(&UiChunk::ResetStep);
        if self.answer.steps > 1 {
            tell_restarted(restarted, sink);
        } else {
            self.parts = 0;
        }
        self.step_is_over = false;
        self.approvals.clear();
        self.announced.clear();
        self.states.clear();
        self.questions.clear();
        self.calls.clear();
        self.calls.extend(self.answer.earlier_calls.iter().cloned());
        (self.answer.asked, self.answer.handed_over) = (false, false);
    }
}

fn tell_restarted(restarted: &Restarted, sink: &mut impl ChunkSink) {
    let data = json!({ "reason": restarted.reason });
    sink.chunk(&UiChunk::Data(UiData::new("restarted", &data)));
}
