//! The events that clients receive of a session, and the promises about them.

use std::{collections::HashMap, fmt};

use serde_json::Value;

/// An event as a client receives it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) lsn: u64,
    /// The LSN, and the tag of the epoch of the writer.
    pub(crate) cursor: String,
    pub(crate) data: Value,
}

/// A token of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) number: usize,
    /// The name of the server that sent it.
    pub(crate) server: &'a str,
    /// Microseconds since 1970.
    pub(crate) at: u64,
}

impl Event {
    pub(crate) fn parse(cursor: &str, data: &str) -> Option<Self> {
        let lsn = cursor.split('.').next()?.parse().ok()?;
        Some(Self {
            lsn,
            cursor: cursor.to_owned(),
            data: serde_json::from_str(data).ok()?,
        })
    }

    pub(crate) fn kind(&self) -> &str {
        self.data["type"].as_str().unwrap_or_default()
    }

    /// Returns the tag of the epoch of the writer.
    pub(crate) fn tag(&self) -> &str {
        self.cursor.split_once('.').map_or("", |(_, tag)| tag)
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.kind(), "complete" | "aborted" | "error")
    }

    pub(crate) fn token(&self) -> Option<Token<'_>> {
        let text = self.data["content"].as_str()?.trim_end();
        let mut parts = text.split('.');
        Some(Token {
            number: parts.next()?.parse().ok()?,
            server: parts.next()?,
            at: parts.next()?.parse().ok()?,
        })
    }
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) how: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Every client receives every LSN once and in order.
    Order,
    /// A received event stays in the log.
    Durability,
    /// A log has one terminal event, and a body ends cleanly only after it.
    Ending,
    /// The store takes no append of a former owner.
    SingleWriter,
    /// The provider is not called more often than the policy needs.
    ProviderCalls,
    /// An answer is complete, or ends as the policy says.
    Answer,
    /// An orphan is ended or resumed in time.
    Recovery,
}

impl Promise {
    pub(crate) fn violated(self, how: impl Into<String>) -> Violation {
        Violation {
            promise: self,
            how: how.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.how)
    }
}

impl std::error::Error for Violation {}

/// The recovery policy for answers whose server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Fail,
    Restart,
    Resume,
}

impl Policy {
    pub(crate) const ALL: [Self; 3] = [Self::Fail, Self::Restart, Self::Resume];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Restart => "restart",
            Self::Resume => "resume",
        }
    }
}

/// The events that one client received of one session, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Received(pub(crate) Vec<Event>);

impl Received {
    pub(crate) fn last(&self) -> Option<&Event> {
        self.0.last()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.last().is_some_and(Event::is_terminal)
    }

    /// Adds the next event.
    pub(crate) fn push(&mut self, event: Event) -> Result<(), Violation> {
        let expected = self.0.len() as u64 + 1;
        if event.lsn != expected {
            let how = format!("LSN {} instead of {expected}", event.lsn);
            return Err(Promise::Order.violated(how));
        }
        if self.has_ended() {
            return Err(Promise::Ending.violated("an event after the terminal event"));
        }
        self.0.push(event);
        Ok(())
    }

    /// Adds the next event, or compares an event with the one received under its LSN.
    pub(crate) fn push_or_compare(&mut self, event: Event) -> Result<(), Violation> {
        let at = usize::try_from(event.lsn).unwrap_or(0).wrapping_sub(1);
        match self.0.get(at) {
            None => self.push(event),
            Some(before) if *before == event => Ok(()),
            Some(before) => {
                let how = format!("{before:?} became {event:?}");
                Err(Promise::Durability.violated(how))
            }
        }
    }

    /// Checks that the whole log begins with the received events.
    pub(crate) fn check_prefix_of(&self, whole: &Self) -> Result<(), Violation> {
        for (event, at) in self.0.iter().zip(0..) {
            match whole.0.get(at) {
                Some(stored) if stored == event => {}
                other => {
                    let how = format!("{event:?} was received, but the log has {other:?}");
                    return Err(Promise::Durability.violated(how));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn tags(&self) -> Vec<&str> {
        let mut tags: Vec<&str> = self.0.iter().map(Event::tag).collect();
        tags.dedup();
        tags
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token<'_>> {
        self.0.iter().filter_map(Event::token)
    }

    /// Checks that each epoch wrote one block of events, by one server.
    pub(crate) fn check_single_writer(&self) -> Result<(), Violation> {
        let tags = self.tags();
        let mut writers: HashMap<&str, &str> = HashMap::new();
        for (at, tag) in tags.iter().enumerate() {
            if tags[..at].contains(tag) {
                let how = format!("the epoch {tag} wrote again after another one: {tags:?}");
                return Err(Promise::SingleWriter.violated(how));
            }
        }
        for event in &self.0 {
            let Some(token) = event.token() else { continue };
            let writer = writers.entry(event.tag()).or_insert(token.server);
            if *writer != token.server {
                let how = format!("{} wrote in the epoch of {writer}", token.server);
                return Err(Promise::SingleWriter.violated(how));
            }
        }
        Ok(())
    }

    /// Checks that this is the whole log of an answer with this number of tokens, under this policy.
    pub(crate) fn check_answer(&self, tokens: usize, policy: Policy) -> Result<(), Violation> {
        let violated = |how: String| Err(Promise::Answer.violated(how));
        if let [only] = &self.0[..]
            && only.kind() == "error"
            && only.data["code"] == "interrupted"
        {
            // The server died before the first record. No other one begins the answer unasked.
            return Ok(());
        }
        if self.0.first().map(Event::kind) != Some("session_info") {
            return violated("the first event is no session_info".into());
        }
        let Some(last) = self.last().filter(|last| last.is_terminal()) else {
            return Err(Promise::Ending.violated("the log has no terminal event"));
        };
        let mut count = 0;
        for event in &self.0 {
            match (event.kind(), event.token()) {
                ("restarted", _) if policy == Policy::Restart => count = 0,
                (_, Some(token)) if token.number == count + 1 => count += 1,
                ("session_info" | "complete", _) => {}
                ("error", _) if event.data["code"] == "interrupted" => {}
                _ => return violated(format!("after {count} tokens came {event:?}")),
            }
        }
        let complete = last.kind() == "complete";
        if complete != (count == tokens) && (complete || policy != Policy::Fail) {
            return violated(format!("{count} of {tokens} tokens, and {last:?}"));
        }
        if !complete && policy != Policy::Fail {
            return violated(format!("it was not resumed: {last:?}"));
        }
        Ok(())
    }
}
