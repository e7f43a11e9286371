//! Decides for each call: its outcome is known, it can't run, the client runs it, or the server
//! does.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Call,
    call::CallInfo,
    conversation::Conversation,
    follow_up::FollowUpPosition,
    job::{CallOutcome, JobPart, ToolJob},
    offer::Offer,
    running_calls::RunningCalls,
    tools::ToolEntry,
};
use crate::{
    chat::{IsomorphicClientOutput, IsomorphicHandoff, ToolCall, ToolOutcome, Transcript},
    log::SessionId,
};

/// The message for the model about arguments that are nested deeper than [`ToolCall::MAX_DEPTH`].
const TOO_DEEP: &str = "the arguments are nested deeper than 64 levels; nest them less";
const _: () = assert!(ToolCall::MAX_DEPTH == 64, "the message names the limit");

/// The message for the model about a client's output for a tool of the server that no log confirms.
const UNCONFIRMED: &str = "this server has no record that it handed this call to the client";

impl CallOutcome {
    /// Marks a result that only the client claims.
    fn claimed(self, claimed: bool) -> Self {
        match self {
            Self::Given(content) if claimed => Self::Claimed(content),
            other => other,
        }
    }
}

impl Conversation {
    /// Plans the tools of this turn. `before` is the log of a turn that was interrupted.
    pub(super) fn tools(&mut self, before: Option<&Transcript>) -> RunningCalls {
        let mut running = self.running(before);
        for call in std::mem::take(&mut self.calls) {
            let in_log = before.is_some_and(|before| before.has_outcome(&call.id));
            self.plan(&call, in_log, &mut running);
            self.calls.push(call);
        }
        running
    }

    fn running(&self, before: Option<&Transcript>) -> RunningCalls {
        let mut running = RunningCalls::new(self.config.parallel, self.config.result_bytes);
        for open in before.iter().flat_map(|before| before.open_inputs()) {
            running.add_open_question(open);
        }
        running
    }

    fn plan(&mut self, call: &ToolCall, in_log: bool, running: &mut RunningCalls) {
        let at = self.runs.ask(call);
        let run = &self.runs.as_slice()[at];
        let outcome = match (&run.outcome, self.offers.get(&call.name)) {
            (Some(outcome), _) => known_outcome(outcome, &call.id),
            (None, None) => CallOutcome::Failed(self.offers.unknown(&call.name)),
            (None, Some(_)) if call.is_too_deep() => CallOutcome::Failed(TOO_DEEP.into()),
            (None, Some(Offer::Client(authority))) => CallOutcome::HandedOver(
                IsomorphicHandoff::new(&call.id, &call.name, call.arguments.clone())
                    .authority(authority.clone()),
            ),
            (None, Some(Offer::Server(entry))) => {
                let Err(mismatch) = entry.schema.check(&call.arguments) else {
                    let approved = run.approved;
                    let job = self.job(entry, call, at, JobPart::Call { approved }, running);
                    return running.add(job);
                };
                CallOutcome::Failed(format!("the arguments don't fit: {mismatch}"))
            }
        };
        running.add_known(&call.id, &call.name, outcome, in_log);
    }

    fn job(
        &self,
        entry: &Arc<ToolEntry>,
        call: &ToolCall,
        run: usize,
        part: JobPart,
        running: &RunningCalls,
    ) -> ToolJob {
        let session = self
            .request
            .session_id
            .as_ref()
            .map_or("", SessionId::as_str);
        let key = match part {
            JobPart::Call { .. } => format!("{session}/{run}"),
            // The log has no run number for these, only the id of the call.
            JobPart::Conclusion(_) => format!("{session}/{}", call.id),
        };
        let info = CallInfo {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            key,
            scope: Arc::clone(&self.scope),
        };
        let asked = self.before.iter().flat_map(|before| before.inputs());
        let of_this = asked.filter(|input| input.request.call_id.as_ref() == Some(&call.id));
        let timeout = entry.options.timeout.unwrap_or(self.config.timeout);
        let events = running.events();
        ToolJob {
            entry: Arc::clone(entry),
            call: Call::new(
                info,
                events,
                running.slot(),
                timeout,
                of_this.cloned().collect(),
            ),
            timeout,
            interrupted: run < self.known,
            part,
        }
    }

    /// The calls that the client's outputs are for.
    pub(super) fn follow_up(
        &mut self,
        outputs: Vec<IsomorphicClientOutput>,
        position: &FollowUpPosition,
    ) -> RunningCalls {
        let before = self.before.clone();
        let before = before.as_deref();
        let mut running = self.running(before);
        for output in outputs {
            let (id, name) = (output.call_id.clone(), output.tool_name.clone());
            let in_log = before.is_some_and(|before| before.has_outcome(&id));
            let at = self.runs.begin(&id, &name);
            let run = &self.runs.as_slice()[at];
            let concludes = match self.offers.get(&name) {
                Some(Offer::Server(entry)) if entry.options.concludes => Some(entry),
                _ => None,
            };
            let outcome = match (&run.outcome, concludes) {
                (Some(outcome), _) => known_outcome(outcome, &id).claimed(output.claimed),
                (None, _) if output.claimed && self.tools.runs_here(&name) => {
                    CallOutcome::Failed(UNCONFIRMED.into())
                }
                (None, None) => CallOutcome::Given(match output.client_output {
                    Value::String(text) => text,
                    other => other.to_string(),
                })
                .claimed(output.claimed),
                (None, Some(entry)) => {
                    let Err(mismatch) = entry.schema.check(&output.params) else {
                        let call = ToolCall::new(id, name, output.params.clone());
                        let part = JobPart::Conclusion(output);
                        let job = self.job(entry, &call, at, part, &running);
                        running.add(job);
                        continue;
                    };
                    CallOutcome::Failed(format!("the params don't fit: {mismatch}"))
                }
            };
            running.add_known(&id, &name, outcome, in_log);
        }
        for call in &position.unanswered {
            let at = self.runs.begin(&call.id, &call.name);
            let in_log = self.runs.as_slice()[at].outcome.is_some()
                && before.is_some_and(|before| before.has_outcome(&call.id));
            let nothing = CallOutcome::Failed("the client gave nothing for this call".into());
            running.add_known(&call.id, &call.name, nothing, in_log);
        }
        running
    }
}

// Translates the outcome in the log to the id of the call that stands for it now.
fn known_outcome(outcome: &ToolOutcome, id: &str) -> CallOutcome {
    match outcome {
        ToolOutcome::Result(content) => CallOutcome::Given(content.clone()),
        ToolOutcome::Error(message) => CallOutcome::Failed(message.clone()),
        ToolOutcome::HandedOver(handoff) => {
            let mut handoff = handoff.clone();
            id.clone_into(&mut handoff.call_id);
            CallOutcome::HandedOver(handoff)
        }
    }
}
