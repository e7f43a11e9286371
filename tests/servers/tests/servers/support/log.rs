//! What clients saw of a session, and what must hold of it.

use std::{collections::HashMap, fmt};

use serde_json::Value;

/// An event as a client gets it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) lsn: u64,
    /// The LSN, and the tag of the epoch that wrote it.
    pub(crate) cursor: String,
    pub(crate) said: Value,
}

/// A token of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) number: usize,
    pub(crate) who: &'a str,
    /// Microseconds since 1970.
    pub(crate) at: u64,
}

impl Event {
    pub(crate) fn parse(cursor: &str, data: &str) -> Option<Self> {
        let lsn = cursor.split('.').next()?.parse().ok()?;
        Some(Self {
            lsn,
            cursor: cursor.to_owned(),
            said: serde_json::from_str(data).ok()?,
        })
    }

    pub(crate) fn kind(&self) -> &str {
        self.said["type"].as_str().unwrap_or_default()
    }

    /// Of the epoch that wrote it.
    pub(crate) fn tag(&self) -> &str {
        self.cursor.split_once('.').map_or("", |(_, tag)| tag)
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.kind(), "complete" | "aborted" | "error")
    }

    pub(crate) fn token(&self) -> Option<Token<'_>> {
        let text = self.said["content"].as_str()?.trim_end();
        let mut parts = text.split('.');
        Some(Token {
            number: parts.next()?.parse().ok()?,
            who: parts.next()?,
            at: parts.next()?.parse().ok()?,
        })
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) promise: Promise,
    pub(crate) how: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Every LSN once, in order, and the same to everybody.
    Order,
    /// What was shown stays.
    Shown,
    /// One ending, and no clean end without it.
    Ending,
    /// What a former owner writes is not taken.
    Writer,
    /// No call of the provider that nobody needed.
    Calls,
    /// An answer is what the policy says.
    Answer,
    /// An orphan is ended or carried on in time.
    Recovery,
}

impl Promise {
    pub(crate) fn broken(self, how: impl Into<String>) -> Broken {
        Broken {
            promise: self,
            how: how.into(),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.how)
    }
}

impl std::error::Error for Broken {}

/// What becomes of an answer whose server dies.
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

/// What one client was shown of one session, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen(pub(crate) Vec<Event>);

impl Seen {
    pub(crate) fn last(&self) -> Option<&Event> {
        self.0.last()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.last().is_some_and(Event::is_terminal)
    }

    /// Takes an event that follows what was seen.
    pub(crate) fn take(&mut self, event: Event) -> Result<(), Broken> {
        let expected = self.0.len() as u64 + 1;
        if event.lsn != expected {
            let how = format!("LSN {} where {expected} was due", event.lsn);
            return Err(Promise::Order.broken(how));
        }
        if self.is_over() {
            return Err(Promise::Ending.broken("something after the terminal event"));
        }
        self.0.push(event);
        Ok(())
    }

    /// Takes an event that was seen before, or follows.
    pub(crate) fn take_again(&mut self, event: Event) -> Result<(), Broken> {
        let at = usize::try_from(event.lsn).unwrap_or(0).wrapping_sub(1);
        match self.0.get(at) {
            None => self.take(event),
            Some(before) if *before == event => Ok(()),
            Some(before) => {
                let how = format!("{before:?} became {event:?}");
                Err(Promise::Shown.broken(how))
            }
        }
    }

    /// Whether the whole log, as it is in the end, has all that was seen.
    pub(crate) fn is_in(&self, whole: &Self) -> Result<(), Broken> {
        for (event, at) in self.0.iter().zip(0..) {
            match whole.0.get(at) {
                Some(stored) if stored == event => {}
                other => {
                    let how = format!("{event:?} was shown, and there is {other:?}");
                    return Err(Promise::Shown.broken(how));
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

    /// Whether each epoch wrote in one go, and by one server.
    pub(crate) fn has_one_writer_at_a_time(&self) -> Result<(), Broken> {
        let tags = self.tags();
        let mut writers: HashMap<&str, &str> = HashMap::new();
        for (at, tag) in tags.iter().enumerate() {
            if tags[..at].contains(tag) {
                let how = format!("the epoch {tag} came back: {tags:?}");
                return Err(Promise::Writer.broken(how));
            }
        }
        for event in &self.0 {
            let Some(token) = event.token() else { continue };
            let writer = writers.entry(event.tag()).or_insert(token.who);
            if *writer != token.who {
                let how = format!("{} wrote in the epoch of {writer}", token.who);
                return Err(Promise::Writer.broken(how));
            }
        }
        Ok(())
    }

    /// Whether this is a whole log of an answer of so many tokens, under this policy.
    pub(crate) fn is_an_answer(&self, tokens: usize, policy: Policy) -> Result<(), Broken> {
        let broken = |how: String| Err(Promise::Answer.broken(how));
        if self.0.first().map(Event::kind) != Some("session_info") {
            return broken("it begins with something else".into());
        }
        let Some(last) = self.last().filter(|last| last.is_terminal()) else {
            return Err(Promise::Ending.broken("the log has no terminal event"));
        };
        let mut count = 0;
        for event in &self.0 {
            match (event.kind(), event.token()) {
                ("restarted", _) if policy == Policy::Restart => count = 0,
                (_, Some(token)) if token.number == count + 1 => count += 1,
                ("session_info" | "complete", _) => {}
                ("error", _) if event.said["code"] == "interrupted" => {}
                _ => return broken(format!("after {count} tokens came {event:?}")),
            }
        }
        let complete = last.kind() == "complete";
        if complete != (count == tokens) && (complete || policy != Policy::Fail) {
            return broken(format!("{count} of {tokens} tokens, and {last:?}"));
        }
        if !complete && policy != Policy::Fail {
            return broken(format!("it was not carried on: {last:?}"));
        }
        Ok(())
    }
}
