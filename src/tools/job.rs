use std::{sync::Arc, time::Duration};

use tracing::Instrument;

use super::{Call, Output, ToolFailure, call_slots::SlotReady, tools::ToolEntry};
use crate::{
    BoxError, BoxFuture,
    chat::{Content, IsomorphicClientOutput, IsomorphicHandoff},
};

const ENDED: &str = "the answer ended before this began";

/// One run of a tool, for a task of its own.
pub(super) struct ToolJob {
    pub(super) entry: Arc<ToolEntry>,
    pub(super) call: Call,
    pub(super) timeout: Duration,
    // True if it may have begun on another server.
    pub(super) begun: bool,
    // The approval that another server asked for before the call.
    pub(super) approval: Option<String>,
    pub(super) part: JobPart,
}

#[allow(
    clippy::large_enum_variant,
    reason = "only where a dependency makes maps larger"
)]
pub(super) enum JobPart {
    /// The whole call, or the half before the client's.
    Call,
    /// The half after the client's.
    Conclusion(IsomorphicClientOutput),
}

/// The outcome of a call.
#[allow(
    clippy::large_enum_variant,
    reason = "only where a dependency makes maps larger"
)]
pub(super) enum CallOutcome {
    Given(Content),
    /// A client's output. Its media are those that clients may send.
    Sent(Content),
    /// A client's output for a call that no log confirms.
    Claimed(Content),
    Failed(String),
    HandedOver(IsomorphicHandoff),
}

impl ToolJob {
    /// Runs the call when its slot is granted. A call that waits for an approval holds no slot: it
    /// requests one after that.
    pub(super) async fn run(self, slot_ready: SlotReady) -> CallOutcome {
        let span = tracing::info_span!("tool", name = self.call.tool());
        self.run_in_span(slot_ready).instrument(span).await
    }

    async fn run_in_span(self, slot_ready: SlotReady) -> CallOutcome {
        let Self {
            entry,
            call,
            timeout,
            begun,
            approval,
            part,
        } = self;
        // An approval that was asked for is waited for, whatever the tool would ask for now.
        let approval = approval.or_else(|| entry.tool.approval(call.arguments()));
        let slot_ready = match approval {
            None => slot_ready,
            Some(message) => {
                drop(slot_ready); // lets others run
                if let Err(unanswered) = call.may_begin(message, begun).await {
                    return CallOutcome::Failed(unanswered.to_string());
                }
                call.slot().acquire()
            }
        };
        if slot_ready.await.is_err() {
            return CallOutcome::Failed(ENDED.into());
        }
        let handed_back = match part {
            JobPart::Call => None,
            JobPart::Conclusion(output) => {
                if !(begun || call.begin(entry.options.idempotent).await) {
                    return CallOutcome::Failed(ENDED.into());
                }
                Some(output)
            }
        };
        let concluding = handed_back.is_some();
        let running: BoxFuture<'_, _> = match handed_back {
            Some(output) => entry.tool.conclude(output, call.clone()),
            None => entry.tool.call(call.arguments().clone(), call.clone()),
        };
        call.clock().start();
        let given = tokio::select! {
            given = running => given,
            () = call.clock().is_over() => {
                return CallOutcome::Failed(format!("the tool took longer than {timeout:?}"));
            }
        };
        outcome(&entry, &call, given, concluding)
    }
}

fn outcome(
    entry: &ToolEntry,
    call: &Call,
    given: Result<Output, BoxError>,
    concluding: bool,
) -> CallOutcome {
    match given {
        Ok(Output::Content(content)) => CallOutcome::Given(content),
        Ok(Output::HandOver(_)) if concluding => {
            tracing::error!("the second half of a tool handed over again");
            CallOutcome::Failed("the tool failed".into())
        }
        Ok(Output::HandOver(output)) => CallOutcome::HandedOver(
            IsomorphicHandoff::new(call.id(), call.tool(), call.arguments().clone())
                .server_output(output)
                .authority(entry.options.authority.clone())
                .uses_handoff(entry.options.concludes),
        ),
        Err(error) => {
            tracing::warn!(error = &*error as &dyn std::error::Error, "a tool failed");
            CallOutcome::Failed(ToolFailure::public(&*error))
        }
    }
}
