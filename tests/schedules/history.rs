//! The check of a session against the promises.

use unbroken::log::{Outcome, Status};

use crate::{
    client::Received,
    script::{Ending, Kind, Script},
};

/// The observations of one session at the end of a simulation.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct SessionHistory {
    pub(crate) script: Script,
    pub(crate) kind: Kind,
    pub(crate) received: Vec<Received>,
    /// The whole logs from both servers at the end; none if the session is gone.
    pub(crate) logs: Vec<Vec<(u64, String)>>,
    pub(crate) status: Option<Status>,
    /// The number of claims.
    pub(crate) claims: u64,
    /// The number of claims while the log was empty.
    pub(crate) empty_claims: u64,
    /// The number of calls of the provider.
    pub(crate) calls: usize,
    /// True if an abort was confirmed while the session ran.
    pub(crate) aborted: bool,
    /// True if an abort was requested, confirmed or not.
    pub(crate) abort_requested: bool,
    /// True if a start failed, or its client gave up before the response.
    pub(crate) start_failed: bool,
    /// True if a start was confirmed, or its client gave up before the response.
    pub(crate) asked_for: bool,
    /// True if the store may have gone back to a snapshot.
    pub(crate) rewound: bool,
    /// True if the servers resume orphans; otherwise they end them.
    pub(crate) resumes_orphans: bool,
}

impl SessionHistory {
    pub(crate) fn check(&self) -> Result<(), String> {
        for received in &self.received {
            check_records(&received.records)?;
            if received.ended
                && !received
                    .records
                    .last()
                    .is_some_and(|(_, text)| is_terminal(text))
            {
                return Err(format!(
                    "3: a body ended without a terminal event: {received:?}"
                ));
            }
        }
        for log in &self.logs {
            check_records(log)?;
            if !log.last().is_some_and(|(_, text)| is_terminal(text)) {
                return Err(format!("3: a log has no terminal event: {log:?}"));
            }
            if !self.rewound {
                self.check_nothing_lost(log)?;
            }
        }
        // The number of claims of a session that is gone is unknown.
        let counted = !self.resumes_orphans || (self.status.is_some() && !self.rewound);
        let claims = if self.resumes_orphans {
            usize::try_from(self.claims).unwrap_or(usize::MAX)
        } else {
            0
        };
        if self.calls > 1 + claims && counted {
            let calls = self.calls;
            return Err(format!(
                "8: the provider was called {calls} times, the session claimed {claims} times"
            ));
        }
        if self.calls > 0 && !self.asked_for && !self.rewound {
            return Err("8: every start was refused, but the provider was called".into());
        }
        self.check_outcome()
    }

    fn check_nothing_lost(&self, log: &[(u64, String)]) -> Result<(), String> {
        for received in &self.received {
            if !log.starts_with(&received.records) {
                return Err(format!(
                    "2: received {:?}, stored {log:?}",
                    received.records
                ));
            }
        }
        Ok(())
    }

    fn check_outcome(&self) -> Result<(), String> {
        let (Some(status), Some(log)) = (self.status, self.logs.first()) else {
            return Ok(());
        };
        let last = log.last().map_or("", |(_, text)| text);
        let expected = match status {
            Status::Ended(Outcome::Complete) => "complete",
            Status::Ended(Outcome::Aborted) => "aborted",
            Status::Ended(_) => "failed panicked interrupted",
            _ => return Err(format!("3: never sealed: {log:?}")),
        };
        if !expected.contains(last) {
            return Err(format!(
                "3: sealed as {status}, but the log ends with {last}"
            ));
        }
        if self.rewound {
            return Ok(());
        }
        let hangs = self.script.ending == Ending::Hang;
        // A server that claimed the session before the abort was stored may seal it as interrupted.
        let continues = self.claims == 0 || self.resumes_orphans;
        // A session whose first record was not stored is begun by no other server. It is sealed by the one
        // that refused its start, or by one that claims it.
        let never_begun = log.len() == 1 && last == "interrupted";
        let never_begun = never_begun && (self.start_failed || self.claims > 0);
        let continues = continues && !never_begun;
        if self.aborted && hangs && continues && last != "aborted" {
            return Err(format!(
                "5: an abort was confirmed, but the session ended as {last}"
            ));
        }
        if last == "aborted" && !self.abort_requested {
            return Err("5: aborted without a request".into());
        }
        // If a start is stored but its server or client gave up before the response, the session has no
        // writer: it is ended, or begun by another start.
        let unwritten = if self.start_failed {
            self.empty_claims
        } else {
            0
        };
        if !self.kind.takes_over() && self.claims > unwritten {
            return Err("5: taken over from a healthy server".into());
        }
        let provider = match self.script.ending {
            Ending::Complete => "complete",
            Ending::Fail => "failed",
            Ending::Panic => "panicked",
            Ending::Hang => return Ok(()),
        };
        if continues && !self.abort_requested {
            if last != provider {
                return Err(format!(
                    "5: the provider ended as {provider}, the session as {last}"
                ));
            }
            let events = log.len() as u64 - 2;
            if events != self.script.events {
                return Err(format!("1: {events} of {} events", self.script.events));
            }
        }
        Ok(())
    }
}

/// Checks that the LSNs are consecutive, each event of the provider is there once and in order, and no
/// record follows a terminal event.
fn check_records(records: &[(u64, String)]) -> Result<(), String> {
    let mut event = 0;
    for (at, (lsn, text)) in records.iter().enumerate() {
        if *lsn != at as u64 + 1 {
            return Err(format!("1: LSN {lsn} at place {}: {records:?}", at + 1));
        }
        let last = at + 1 == records.len();
        let is_expected = match at {
            0 => text == "info" || (is_terminal(text) && last),
            _ if is_terminal(text) => last,
            _ => {
                event += 1;
                *text == format!("e{event}")
            }
        };
        if !is_expected {
            return Err(format!("1: {text:?} at LSN {lsn}: {records:?}"));
        }
    }
    Ok(())
}

fn is_terminal(text: &str) -> bool {
    matches!(
        text,
        "complete" | "aborted" | "failed" | "panicked" | "interrupted"
    )
}
