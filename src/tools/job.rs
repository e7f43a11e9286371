use std::{sync::Arc, time::Duration};

use tracing::Instrument;

use super::{Call, Output, ToolFailure, tools::Entry};
use crate::{
    BoxError, BoxFuture,
    chat::{IsomorphicClientOutput, IsomorphicHandoff},
};

/// What the model is told where a server died while a tool ran that must not run twice.
const UNKNOWN: &str = "the server stopped while this ran: whether it took effect is unknown. It was \
    not run again; find out before you ask for it once more";

/// One run of a tool, for a task of its own.
pub(super) struct Job {
    pub(super) entry: Arc<Entry>,
    pub(super) call: Call,
    pub(super) timeout: Duration,
    // Another server has begun it, as far as the log knows.
    pub(super) interrupted: bool,
    pub(super) part: Part,
}

pub(super) enum Part {
    /// All of it, or the half before the client's.
    First {
        // Somebody has allowed it, the log says.
        approved: bool,
    },
    /// The half after the client's.
    Second(IsomorphicClientOutput),
}

/// What came of a call.
pub(super) enum Outcome {
    Given(String),
    Failed(String),
    HandedOver(IsomorphicHandoff),
}

impl Job {
    pub(super) async fn run(self) -> Outcome {
        let span = tracing::info_span!("tool", name = self.call.tool());
        self.go().instrument(span).await
    }

    async fn go(self) -> Outcome {
        let Self {
            entry,
            call,
            timeout,
            interrupted,
            part,
        } = self;
        let never_again = interrupted && !entry.terms.idempotent;
        let handed_back = match part {
            Part::First { approved } => {
                let approval = entry.tool.approval(call.arguments());
                // What waits for an approval has not begun.
                if never_again && (approved || approval.is_none()) {
                    return Outcome::Failed(UNKNOWN.into());
                }
                if let Some(message) = approval
                    && let Err(unanswered) = call.approve(message).await
                {
                    return Outcome::Failed(unanswered.to_string());
                }
                None
            }
            Part::Second(_) if never_again => return Outcome::Failed(UNKNOWN.into()),
            Part::Second(output) => {
                // Whether anybody allowed the first half is only the client's word.
                if let Some(message) = entry.tool.approval(call.arguments())
                    && let Err(unanswered) = call.approve(message).await
                {
                    return Outcome::Failed(unanswered.to_string());
                }
                if !(interrupted || call.begin().await) {
                    return Outcome::Failed("the answer ended before this began".into());
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
                return Outcome::Failed(format!("the tool took longer than {timeout:?}"));
            }
        };
        outcome(&entry, &call, given, concluding)
    }
}

fn outcome(
    entry: &Entry,
    call: &Call,
    given: Result<Output, BoxError>,
    concluding: bool,
) -> Outcome {
    match given {
        Ok(Output::Content(content)) => Outcome::Given(content),
        Ok(Output::HandOver(_)) if concluding => {
            tracing::error!("the second half of a tool handed over again");
            Outcome::Failed("the tool failed".into())
        }
        Ok(Output::HandOver(output)) => Outcome::HandedOver(
            IsomorphicHandoff::new(call.id(), call.tool(), call.arguments().clone())
                .with_server_output(output)
                .with_authority(entry.terms.authority.clone())
                .with_uses_handoff(entry.terms.concludes),
        ),
        Err(error) => {
            tracing::warn!(error = &*error as &dyn std::error::Error, "a tool failed");
            Outcome::Failed(ToolFailure::public(&*error))
        }
    }
}
