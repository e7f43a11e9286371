use futures_util::future::{join, join_all, try_join_all};
use unbroken::{log::SessionId, store::StoreError};

use super::{IndexedNames, log_deferred};
use crate::Redis;

/// The scores of a session's entries before it was withdrawn: of that among all sessions, and of those in its scopes.
#[derive(Debug)]
pub(crate) struct IndexedScores {
    all: Option<String>,
    scopes: Vec<Option<String>>,
}

/// Removes withdrawn sessions from the indexes.
///
/// Such an id can have a new session at once, whose entries have the same members. So the removal knows an entry by
/// the score that was read before the withdrawal.
impl Redis {
    /// Reads the scores of a session's entries.
    pub(crate) async fn indexed_scores(
        &self,
        id: &SessionId,
        names: &IndexedNames,
    ) -> Result<IndexedScores, StoreError> {
        let (keys, scripts) = (&self.inner.keys, &self.inner.scripts);
        let find = |keys: Vec<String>| {
            let call = scripts.index_find.on(keys).arg(id.as_str());
            async move {
                let mut reply = call.send(&self.inner.link).await?;
                let score = reply.maybe_bytes()?.map(String::from_utf8);
                Ok::<_, StoreError>(score.and_then(Result::ok))
            }
        };
        let scopes = names.scopes().map(|scope| find(keys.sets(scope)));
        let (all, scopes) = join(find(keys.all_sessions()), try_join_all(scopes)).await;
        Ok(IndexedScores {
            all: all?,
            scopes: scopes?,
        })
    }

    /// Removes the entries of a session that was withdrawn. Those that lag are removed later, as those of a session that
    /// was never created.
    pub(crate) async fn unindex_withdrawn(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        seen: IndexedScores,
    ) {
        let (keys, scripts) = (&self.inner.keys, &self.inner.scripts);
        let call = |keys: Vec<String>, score: String| {
            let call = scripts.index_withdraw.on(keys);
            call.arg(id.as_str()).arg(score)
        };
        let scopes = names.scopes().zip(seen.scopes);
        let scopes = scopes.filter_map(|(scope, score)| Some(call(keys.sets(scope), score?)));
        let all = seen.all.into_iter();
        let all = all.map(|score| call(keys.all_sessions(), score).arg(names.member(id)));
        // That among all sessions goes last, since it names the others.
        for calls in [scopes.collect::<Vec<_>>(), all.collect()] {
            let removals = calls.into_iter().map(|call| call.send(&self.inner.link));
            for removal in join_all(removals).await {
                if let Err(failure) = removal {
                    return log_deferred(&failure.into());
                }
            }
        }
    }
}
