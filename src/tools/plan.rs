//! Decides for each call: its outcome is known, it can't run, the client runs it, or the server
//! does.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Call,
    call::{AskedBefore, CallInfo},
    conversation::Conversation,
    follow_up::FollowUpPosition,
    job::{CallOutcome, JobPart, ToolJob},
    offer::Offer,
    running_calls::RunningCalls,
    tools::ToolEntry,
};
use crate::{
    chat::{
        Input, IsomorphicClientOutput, IsomorphicHandoff, ToolAuthority, ToolCall, ToolCalls,
        ToolOutcome, ToolRun, Transcript,
    },
    log::SessionId,
};

/// The message for the model about arguments that are nested deeper than [`ToolCall::MAX_DEPTH`].
const TOO_DEEP: &str = "the arguments are nested deeper than 64 levels; nest them less";
const _: () = assert!(ToolCall::MAX_DEPTH == 64, "the message names the limit");

/// The message for the model about a call that may have begun on a server that died, and that can't be
/// repeated.
const UNKNOWN: &str = "the server stopped while this ran: whether it took effect is unknown. It was \
    not run again; find out before you ask for it once more";

/// The message for the model about a call whose tool on a server that died was another.
const CHANGED: &str = "the tool that this call was for is not there any more";

/// The message for the model about a client's output for a tool of the server that no log confirms.
const UNCONFIRMED: &str = "this server has no record that it handed this call to the client";

/// The handling of a call by the tools that there are now.
enum CallPlan<'a> {
    /// It can't run, and the model gets this message.
    Fail(String),
    /// The client runs it.
    HandOver(&'a ToolAuthority),
    /// The server runs it.
    Run(&'a Arc<ToolEntry>),
}

impl CallPlan<'_> {
    /// Returns true if the call may be repeated.
    fn is_repeatable(&self) -> bool {
        match self {
            Self::Fail(_) => false,
            Self::HandOver(_) => true,
            Self::Run(entry) => entry.options.idempotent,
        }
    }
}

impl CallOutcome {
    /// Marks a result as the client's own.
    fn sent(self) -> Self {
        match self {
            Self::Given(content) => Self::Sent(content),
            other => other,
        }
    }

    /// Marks a result that only the client claims.
    fn claimed(self, claimed: bool) -> Self {
        match self {
            Self::Given(content) | Self::Sent(content) if claimed => Self::Claimed(content),
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
        let mut running = RunningCalls::new(&self.config);
        for open in before.iter().flat_map(|before| before.open_inputs()) {
            running.add_open_question(open);
        }
        running
    }

    fn plan(&mut self, call: &ToolCall, in_log: bool, running: &mut RunningCalls) {
        let at = self.runs.ask(call);
        let run = &self.runs.as_slice()[at];
        let plan = self.plan_of(call);
        let outcome = match (&run.outcome, plan) {
            (Some(outcome), _) => known_outcome(outcome, &call.id),
            (None, plan) if must_not_run(run, plan.is_repeatable()) => {
                CallOutcome::Failed(UNKNOWN.into())
            }
            (None, CallPlan::Fail(message)) => CallOutcome::Failed(message),
            // The user was asked about a tool of the server.
            (None, CallPlan::HandOver(_)) if run.approval.is_some() && !run.begun => {
                CallOutcome::Failed(CHANGED.into())
            }
            (None, CallPlan::HandOver(authority)) => CallOutcome::HandedOver(
                IsomorphicHandoff::new(&call.id, &call.name, call.arguments.clone())
                    .authority(authority.clone()),
            ),
            (None, CallPlan::Run(entry)) => {
                let job = self.job(entry, call, at, JobPart::Call, running);
                return running.add(job);
            }
        };
        running.add_known(&call.id, &call.name, outcome, in_log);
    }

    fn plan_of(&self, call: &ToolCall) -> CallPlan<'_> {
        match self.offers.get(&call.name) {
            None => CallPlan::Fail(self.offers.unknown(&call.name)),
            Some(_) if call.is_too_deep() => CallPlan::Fail(TOO_DEEP.into()),
            Some(_) if call.is_half() => CallPlan::Fail(ToolCall::HALF.into()),
            Some(Offer::Client(authority)) => CallPlan::HandOver(authority),
            Some(Offer::Server(entry)) => match entry.schema.check(&call.arguments) {
                Ok(()) => CallPlan::Run(entry),
                Err(mismatch) => CallPlan::Fail(format!("the arguments don't fit: {mismatch}")),
            },
        }
    }

    /// Tells in the event of calls what another server has to know of their tools: its own may be
    /// others.
    pub(super) fn mark(&self, asked: &mut ToolCalls) {
        asked.repeatable.clear();
        asked.not_run.clear();
        for call in &asked.calls {
            match self.plan_of(call) {
                CallPlan::Run(entry) if entry.options.idempotent => {
                    asked.repeatable.push(call.id.clone());
                }
                CallPlan::Run(_) => {}
                CallPlan::Fail(_) | CallPlan::HandOver(_) => asked.not_run.push(call.id.clone()),
            }
        }
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
            JobPart::Call => format!("{session}/{run}"),
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
        let timeout = entry.options.timeout.unwrap_or(self.config.timeout);
        let known = &self.runs.as_slice()[run];
        let events = running.events();
        ToolJob {
            entry: Arc::clone(entry),
            call: Call::new(
                info,
                events,
                running.slot(),
                timeout,
                self.asked_before(call, known),
            ),
            timeout,
            begun: known.begun,
            approval: known.approval.clone(),
            part,
        }
    }

    fn asked_before(&self, call: &ToolCall, run: &ToolRun) -> AskedBefore {
        let of_this = |input: &&Input| input.request.call_id.as_ref() == Some(&call.id);
        let in_attempt = self.before.iter().flat_map(|before| before.inputs());
        let mut inputs: Vec<_> = in_attempt.filter(of_this).cloned().collect();
        let count = inputs.len();
        inputs.extend(run.inputs.iter().skip(count).cloned());
        AskedBefore {
            inputs,
            in_attempt: count,
        }
    }

    /// Returns the tool whose second half runs with the client's output, or the message for the model
    /// if it can't; `None` if the output is the result.
    fn conclusion_of(
        &self,
        output: &IsomorphicClientOutput,
    ) -> Option<Result<&Arc<ToolEntry>, String>> {
        let name = &output.tool_name;
        let offered = match self.offers.get(name) {
            Some(Offer::Server(entry)) => Some(entry),
            Some(Offer::Client(_)) | None => None,
        };
        // The request that began the call had it enabled.
        let begun = || self.tools.entry(name).filter(|_| output.uses_handoff);
        let entry = offered.or_else(begun);
        match entry.filter(|entry| entry.options.concludes) {
            Some(entry) => Some(match entry.schema.check(&output.params) {
                Ok(()) => Ok(entry),
                Err(mismatch) => Err(format!("the params don't fit: {mismatch}")),
            }),
            None if output.uses_handoff => Some(Err(CHANGED.into())),
            None => None,
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
            let concludes = self.conclusion_of(&output);
            let is_repeatable = matches!(&concludes, Some(Ok(entry)) if entry.options.idempotent);
            let outcome = match (&run.outcome, concludes) {
                (Some(outcome), Some(_)) => known_outcome(outcome, &id).claimed(output.claimed),
                (Some(outcome), None) => known_outcome(outcome, &id).sent().claimed(output.claimed),
                (None, _) if must_not_run(run, is_repeatable) => {
                    CallOutcome::Failed(UNKNOWN.into())
                }
                (None, _) if output.claimed && self.tools.runs_here(&name) => {
                    CallOutcome::Failed(UNCONFIRMED.into())
                }
                (None, Some(Err(message))) => CallOutcome::Failed(message),
                (None, Some(Ok(entry))) => {
                    let call = ToolCall::new(id, name, output.params.clone());
                    let job = self.job(entry, &call, at, JobPart::Conclusion(output), &running);
                    running.add(job);
                    continue;
                }
                (None, None) => {
                    let parts = output.parts();
                    CallOutcome::Sent(parts.unwrap_or_else(|| match output.client_output {
                        Value::String(text) => text.into(),
                        other => other.to_string().into(),
                    }))
                    .claimed(output.claimed)
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

// Returns true if a call of another server may have taken effect and can't be repeated: its tool must
// not run twice, then or now, or can't run any more.
fn must_not_run(run: &ToolRun, is_repeatable: bool) -> bool {
    run.begun && !(run.repeatable && is_repeatable)
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
