use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What the servers' providers wrote down.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    pub(crate) path: PathBuf,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// `call` or `drop`.
    pub(crate) what: String,
    pub(crate) id: String,
    /// Whose provider.
    pub(crate) who: String,
    /// How many tokens had been said before.
    pub(crate) said: usize,
    /// Microseconds since 1970.
    pub(crate) at: u64,
}

impl Journal {
    pub(crate) fn of(&self, what: &str, id: &str) -> Vec<Line> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let lines = text.lines().filter_map(parse);
        lines
            .filter(|line| line.what == what && line.id == id)
            .collect()
    }

    pub(crate) fn calls(&self, id: &str) -> Vec<Line> {
        self.of("call", id)
    }

    /// Waits for a line of which this holds.
    pub(crate) async fn wait(
        &self,
        what: &str,
        id: &str,
        holds: impl Fn(&Line) -> bool,
    ) -> Result<Line, super::Error> {
        super::soon(&format!("a {what} of {id}"), async {
            loop {
                if let Some(line) = self.of(what, id).into_iter().find(&holds) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    let mut next = || words.next().map(str::to_owned);
    Some(Line {
        what: next()?,
        id: next()?,
        who: next()?,
        said: next()?.parse().ok()?,
        at: next()?.parse().ok()?,
    })
}

/// Microseconds since 1970.
pub(crate) fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0))
}
