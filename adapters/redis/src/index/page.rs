use unbroken::{log::SessionId, store::StoreError};

use super::IndexScope;
use crate::Redis;

/// An entry in a set of a scope.
#[derive(Debug)]
pub(super) struct ScopeEntry {
    pub(super) id: SessionId,
    /// The time of the creation, in microseconds.
    pub(super) score: u64,
    /// The index of the set in [`STATUSES`](super::STATUSES).
    pub(super) set: usize,
    /// The microseconds since the time of the score.
    pub(super) age: u64,
}

/// The place of an entry in the order of a scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ScopeCursor {
    pub(super) score: u64,
    pub(super) id: SessionId,
}

/// A number of entries of a scope, newest first.
#[derive(Debug)]
pub(super) struct ScopePage {
    pub(super) entries: Vec<ScopeEntry>,
    /// True if no older ones follow.
    pub(super) is_last: bool,
}

impl ScopeEntry {
    pub(super) fn cursor(&self) -> ScopeCursor {
        let (score, id) = (self.score, self.id.clone());
        ScopeCursor { score, id }
    }
}

impl Redis {
    /// Returns up to `count` entries after a cursor from some sets of a scope.
    ///
    /// The work grows with `count` only, not with the length of the sets.
    pub(super) async fn scope_page(
        &self,
        scope: IndexScope<'_>,
        sets: std::ops::Range<usize>,
        after: Option<&ScopeCursor>,
        count: usize,
    ) -> Result<ScopePage, StoreError> {
        let mut keys = self.inner.keys.sets(scope);
        let first = sets.start;
        let keys: Vec<_> = keys.drain(sets).collect();
        // One more, to see if the page is the last one.
        let call = self.inner.scripts.index_page.on(keys).arg(count + 1);
        let call = match after {
            Some(after) => call.arg(after.score).arg(after.id.as_str()),
            None => call,
        };
        let mut reply = call.send(&self.inner.link).await?;
        let now: u64 = reply.number()?;
        let mut found = reply.inner()?;
        let mut entries = Vec::new();
        let mut given = 0;
        while !found.is_empty() {
            let (id, created) = (found.text()?, found.number::<u64>()?);
            let set = first + found.number::<usize>()?;
            given += 1;
            // This store writes no member that isn't an id.
            if let Ok(id) = id.parse() {
                entries.push(ScopeEntry {
                    id,
                    score: created,
                    set,
                    age: now.saturating_sub(created),
                });
            }
        }
        entries.sort_by(|one, other| (other.score, &other.id).cmp(&(one.score, &one.id)));
        let is_last = given <= count || entries.is_empty();
        entries.truncate(count);
        Ok(ScopePage { entries, is_last })
    }
}
