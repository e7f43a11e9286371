use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The file in which the servers log the calls of their providers.
#[derive(Debug, Clone)]
pub(crate) struct CallLog {
    pub(crate) path: PathBuf,
}

/// A line of a [`CallLog`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallLogLine {
    /// `call`, `drop`, `tool` or `ended`.
    pub(crate) kind: String,
    /// The session.
    pub(crate) id: String,
    /// The name of the server that called its provider.
    pub(crate) server: String,
    /// The number of tokens that the answer had already.
    pub(crate) tokens: usize,
    /// Microseconds since 1970.
    pub(crate) at: u64,
}

impl CallLog {
    /// Returns the lines of this kind about this session.
    pub(crate) fn lines(&self, kind: &str, id: &str) -> Vec<CallLogLine> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let lines = text.lines().filter_map(parse);
        lines
            .filter(|line| line.kind == kind && line.id == id)
            .collect()
    }

    /// Returns the sessions of all lines of this kind.
    pub(crate) fn sessions(&self, kind: &str) -> Vec<String> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let lines = text.lines().filter_map(parse);
        lines
            .filter(|line| line.kind == kind)
            .map(|line| line.id)
            .collect()
    }

    /// Returns the calls for this session.
    pub(crate) fn calls(&self, id: &str) -> Vec<CallLogLine> {
        self.lines("call", id)
    }

    /// Waits for the first line of this kind about this session.
    pub(crate) async fn wait(&self, kind: &str, id: &str) -> Result<CallLogLine, super::Error> {
        super::in_time(&format!("a {kind} of {id}"), async {
            loop {
                if let Some(line) = self.lines(kind, id).into_iter().next() {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

fn parse(line: &str) -> Option<CallLogLine> {
    let mut words = line.split(' ');
    let mut next = || words.next().map(str::to_owned);
    Some(CallLogLine {
        kind: next()?,
        id: next()?,
        server: next()?,
        tokens: next()?.parse().ok()?,
        at: next()?.parse().ok()?,
    })
}

/// Returns the microseconds since 1970.
pub(crate) fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0))
}
