//! The promises, held against what was seen.

use unbroken::log::{Outcome, Status};

use crate::{
    client::Seen,
    plan::{Ending, Kind, Script},
};

/// All that is known of one session when the world is over.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Story {
    pub(crate) script: Script,
    pub(crate) kind: Kind,
    pub(crate) seen: Vec<Seen>,
    /// Whole logs, as both servers gave them at the end; none if the session is gone.
    pub(crate) logs: Vec<Vec<(u64, String)>>,
    pub(crate) status: Option<Status>,
    pub(crate) claims: u32,
    /// It was claimed so often to be carried on while its log was empty.
    pub(crate) begun_late: u32,
    /// The provider was called so often.
    pub(crate) calls: usize,
    /// An abort was confirmed while the session ran.
    pub(crate) aborted: bool,
    /// True if an abort was requested, confirmed or not.
    pub(crate) asked_to_abort: bool,
    /// A start was not answered.
    pub(crate) gave_up: bool,
    pub(crate) rewound: bool,
    /// An orphan was carried on, not ended.
    pub(crate) resumes: bool,
}

impl Story {
    pub(crate) fn check(&self) -> Result<(), String> {
        for seen in &self.seen {
            whole(&seen.records)?;
            if seen.ended
                && !seen
                    .records
                    .last()
                    .is_some_and(|(_, text)| is_terminal(text))
            {
                return Err(format!(
                    "3: a body ended without a terminal event: {seen:?}"
                ));
            }
        }
        for log in &self.logs {
            whole(log)?;
            if !log.last().is_some_and(|(_, text)| is_terminal(text)) {
                return Err(format!("3: a log has no ending: {log:?}"));
            }
            if !self.rewound {
                self.nothing_is_lost(log)?;
            }
        }
        // Of a session that is gone nobody knows how often it was claimed.
        let counted = !self.resumes || (self.status.is_some() && !self.rewound);
        let claims = if self.resumes {
            self.claims as usize
        } else {
            0
        };
        if self.calls > 1 + claims && counted {
            let calls = self.calls;
            return Err(format!(
                "8: the provider was called {calls} times, the session claimed {claims} times"
            ));
        }
        self.outcome()
    }

    fn nothing_is_lost(&self, log: &[(u64, String)]) -> Result<(), String> {
        for seen in &self.seen {
            if !log.starts_with(&seen.records) {
                return Err(format!("2: shown {:?}, kept {log:?}", seen.records));
            }
        }
        Ok(())
    }

    fn outcome(&self) -> Result<(), String> {
        let (Some(status), Some(log)) = (self.status, self.logs.first()) else {
            return Ok(());
        };
        let last = log.last().map_or("", |(_, text)| text);
        let word = match status {
            Status::Ended(Outcome::Complete) => "complete",
            Status::Ended(Outcome::Aborted) => "aborted",
            Status::Ended(_) => "failed panicked interrupted",
            _ => return Err(format!("3: never sealed: {log:?}")),
        };
        if !word.contains(last) {
            return Err(format!(
                "3: sealed as {status}, but the log ends with {last}"
            ));
        }
        if self.rewound {
            return Ok(());
        }
        let hangs = self.script.ending == Ending::Hang;
        // Who had claimed the session before the wish was stored may seal it as interrupted.
        let carried = self.claims == 0 || self.resumes;
        if self.aborted && hangs && carried && last != "aborted" {
            return Err(format!(
                "5: an abort was confirmed, but the session ended as {last}"
            ));
        }
        if last == "aborted" && !self.asked_to_abort {
            return Err("5: aborted, but nobody asked for it".into());
        }
        // A start that was applied, but whose server gave up on hearing so, is nobody's: it is ended, or
        // carried on from nothing.
        let ended = u32::from(log.len() == 1);
        let unheard = if self.gave_up {
            self.begun_late + ended
        } else {
            0
        };
        if !self.kind.takes_over() && self.claims > unheard {
            return Err("5: taken over from a server that was well".into());
        }
        let own = match self.script.ending {
            Ending::Complete => "complete",
            Ending::Fail => "failed",
            Ending::Panic => "panicked",
            Ending::Hang => return Ok(()),
        };
        if carried && !self.asked_to_abort {
            if last != own {
                return Err(format!(
                    "5: the provider ended as {own}, the session as {last}"
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

/// Consecutive LSNs, the provider's events once each and in order, nothing after an ending.
fn whole(records: &[(u64, String)]) -> Result<(), String> {
    let mut event = 0;
    for (at, (lsn, text)) in records.iter().enumerate() {
        if *lsn != at as u64 + 1 {
            return Err(format!("1: LSN {lsn} at place {}: {records:?}", at + 1));
        }
        let last = at + 1 == records.len();
        let right = match at {
            0 => text == "info" || (is_terminal(text) && last),
            _ if is_terminal(text) => last,
            _ => {
                event += 1;
                *text == format!("e{event}")
            }
        };
        if !right {
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
