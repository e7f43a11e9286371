use std::time::Duration;

use futures_util::future::{join, join_all};
use unbroken::{
    log::SessionId,
    store::{SessionMeta, StoreError},
};

use super::{BATCH, log_deferred};
use crate::{Redis, codec::micros, keys::IndexName};

/// Writes to the indexes.
impl Redis {
    /// Adds a session that is about to be created to its indexes.
    pub(crate) async fn add_to_indexes(
        &self,
        id: &SessionId,
        meta: &SessionMeta,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let created = indexes(meta)
            .map(|index| self.put(index, "NX", Duration::ZERO, std::slice::from_ref(id)));
        let open = self.put(IndexName::Open, "NX", lease, std::slice::from_ref(id));
        let (created, open) = join(join_all(created), open).await;
        created.into_iter().chain([open]).collect()
    }

    /// Removes a session that is gone, or whose id another session has: `but` keeps the indexes of that
    /// one.
    pub(crate) async fn remove_from_indexes(
        &self,
        id: &SessionId,
        meta: &SessionMeta,
        but: Option<&SessionMeta>,
    ) {
        let kept = |index: &IndexName<'_>| match (index, but) {
            (_, None) => false,
            (IndexName::Owner(owner), Some(but)) => but.owner.as_ref() == Some(owner),
            (IndexName::Chat(chat), Some(but)) => but.chat.as_ref() == Some(chat),
            (_, Some(_)) => true,
        };
        let from = indexes(meta).chain([IndexName::Open, IndexName::Due]);
        let removals = from.filter(|index| !kept(index)).map(|index| async move {
            let mut command = redis::cmd("ZREM");
            command.arg(self.inner.keys.index(index)).arg(id.as_str());
            self.inner.link.send(&command).await
        });
        for failure in join_all(removals).await.into_iter().filter_map(Result::err) {
            log_deferred(&failure.into());
        }
    }

    /// Updates the lease of these sessions in the index. A write that is lost here is repeated at the
    /// next renewal.
    pub(crate) async fn index_lease(&self, ids: &[SessionId], lease: Duration) {
        for ids in ids.chunks(BATCH) {
            if let Err(error) = self.put(IndexName::Open, "", lease, ids).await {
                log_deferred(&error);
            }
        }
    }

    /// Moves a session that was sealed to the index of sealed sessions.
    pub(crate) async fn index_seal(&self, id: &SessionId, keep: Duration) {
        let due = self
            .put(IndexName::Due, "", keep, std::slice::from_ref(id))
            .await;
        match due {
            Ok(()) => {
                let mut command = redis::cmd("ZREM");
                let open = self.inner.keys.index(IndexName::Open);
                let removed = self.inner.link.send(command.arg(open).arg(id.as_str()));
                if let Err(failure) = removed.await {
                    log_deferred(&failure.into());
                }
            }
            Err(error) => log_deferred(&error),
        }
    }

    async fn put(
        &self,
        index: IndexName<'_>,
        condition: &str,
        from_now: Duration,
        ids: &[SessionId],
    ) -> Result<(), StoreError> {
        let Some((first, rest)) = ids.split_first() else {
            return Ok(());
        };
        let scripts = &self.inner.scripts;
        let mut call = scripts.index_put.on([self.inner.keys.index(index)]);
        call = call
            .arg(condition)
            .arg(micros(from_now))
            .arg(first.as_str());
        for id in rest {
            call = call.arg(micros(from_now)).arg(id.as_str());
        }
        call.send(&self.inner.link).await?;
        Ok(())
    }
}

/// Returns the indexes that a new session is added to, but for the index of open ones.
fn indexes(meta: &SessionMeta) -> impl Iterator<Item = IndexName<'_>> {
    let owner = meta.owner.as_ref().map(IndexName::Owner);
    let chat = meta.chat.as_ref().map(IndexName::Chat);
    [Some(IndexName::All), owner, chat].into_iter().flatten()
}
