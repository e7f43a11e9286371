use futures_util::future::{join_all, try_join_all};
use unbroken::{log::SessionId, store::StoreError};

use super::{GRACE, IndexScope, log_deferred, page::ScopeEntry, scope::set_of};
use crate::{
    Redis,
    ops::{SessionLook, SessionProbe},
};

/// Looks at the sessions that an index names, and corrects what lags.
impl Redis {
    /// Looks at the session of each entry.
    pub(super) async fn probe_all<E>(
        &self,
        entries: Vec<E>,
        id: impl Fn(&E) -> &SessionId,
    ) -> Result<Vec<(E, SessionProbe)>, StoreError> {
        let probes = try_join_all(entries.iter().map(|entry| self.probe(id(entry)))).await?;
        Ok(entries.into_iter().zip(probes).collect())
    }

    /// Looks at the sessions of entries of a scope. Returns those that belong to it, and corrects the entries of
    /// those that don't, or have another status.
    pub(super) async fn sessions_of(
        &self,
        scope: IndexScope<'_>,
        entries: Vec<ScopeEntry>,
    ) -> Result<Vec<(ScopeEntry, Option<SessionLook>)>, StoreError> {
        let probes = self.probe_all(entries, |entry| &entry.id).await?;
        let corrections = probes.iter().filter_map(|(entry, probe)| {
            let to = match probe {
                SessionProbe::Present(look) if scope.has(&look.state.meta) => {
                    let set = set_of(look.state.status);
                    (set != entry.set).then_some(Some(set))
                }
                // Another session has the id.
                SessionProbe::Present(_) | SessionProbe::Buried { .. } => Some(None),
                SessionProbe::Absent => (entry.age > GRACE).then_some(None),
                SessionProbe::Unreadable => None,
            };
            to.map(|to| self.correct(scope, entry, to))
        });
        join_all(corrections).await;
        let looks = probes.into_iter().map(|(entry, probe)| match probe {
            SessionProbe::Present(look) if scope.has(&look.state.meta) => (entry, Some(look)),
            _ => (entry, None),
        });
        Ok(looks.collect())
    }

    /// Moves an entry to another set of its scope, or removes it, unless it has changed since it was read.
    async fn correct(&self, scope: IndexScope<'_>, entry: &ScopeEntry, to: Option<usize>) {
        let scripts = &self.inner.scripts;
        let call = scripts.index_correct.on(self.inner.keys.sets(scope));
        let call = call
            .arg(entry.id.as_str())
            .arg(entry.set + 1)
            .arg(entry.score);
        let call = match to {
            Some(set) => call.arg(set + 1),
            None => call,
        };
        if let Err(failure) = call.send(&self.inner.link).await {
            log_deferred(&failure.into());
        }
    }
}
