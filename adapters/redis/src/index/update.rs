use std::time::Duration;

use futures_util::future::{join, join_all};
use unbroken::{
    log::SessionId,
    store::{SessionMeta, StoreError},
};

use super::{BATCH, late};
use crate::{Redis, codec::micros, keys::IndexName};

/// Writing to indexes.
impl Redis {
    /// Enters a session that is about to be created.
    pub(crate) async fn enter(
        &self,
        id: &SessionId,
        info: &SessionMeta,
        lease: Duration,
    ) -> Result<(), StoreError> {
        let created = indexes(info)
            .map(|index| self.put(index, "NX", Duration::ZERO, std::slice::from_ref(id)));
        let open = self.put(IndexName::Open, "NX", lease, std::slice::from_ref(id));
        let (created, open) = join(join_all(created), open).await;
        created.into_iter().chain([open]).collect()
    }

    /// Takes out a session that is gone, or that turned out to be somebody else's: `but` keeps the
    /// indexes that this one is in.
    pub(crate) async fn leave(
        &self,
        id: &SessionId,
        info: &SessionMeta,
        but: Option<&SessionMeta>,
    ) {
        let kept = |index: &IndexName<'_>| match (index, but) {
            (_, None) => false,
            (IndexName::Owner(owner), Some(but)) => but.owner.as_ref() == Some(owner),
            (IndexName::Chat(chat), Some(but)) => but.chat.as_ref() == Some(chat),
            (_, Some(_)) => true,
        };
        let from = indexes(info).chain([IndexName::Open, IndexName::Due]);
        let removals = from.filter(|index| !kept(index)).map(|index| async move {
            let mut command = redis::cmd("ZREM");
            command.arg(self.inner.keys.index(index)).arg(id.as_str());
            self.inner.link.send(&command).await
        });
        for failure in join_all(removals).await.into_iter().filter_map(Result::err) {
            late(&failure.into());
        }
    }

    /// Notes that these are owned for so long. What is lost here is found again at the next renewal.
    pub(crate) async fn note_owned(&self, ids: &[SessionId], lease: Duration) {
        for ids in ids.chunks(BATCH) {
            if let Err(error) = self.put(IndexName::Open, "", lease, ids).await {
                late(&error);
            }
        }
    }

    /// Notes that this has ended.
    pub(crate) async fn note_sealed(&self, id: &SessionId, keep: Duration) {
        let due = self
            .put(IndexName::Due, "", keep, std::slice::from_ref(id))
            .await;
        match due {
            Ok(()) => {
                let mut command = redis::cmd("ZREM");
                let open = self.inner.keys.index(IndexName::Open);
                let removed = self.inner.link.send(command.arg(open).arg(id.as_str()));
                if let Err(failure) = removed.await {
                    late(&failure.into());
                }
            }
            Err(error) => late(&error),
        }
    }

    async fn put(
        &self,
        index: IndexName<'_>,
        how: &str,
        from_now: Duration,
        ids: &[SessionId],
    ) -> Result<(), StoreError> {
        let Some((first, rest)) = ids.split_first() else {
            return Ok(());
        };
        let scripts = &self.inner.scripts;
        let mut call = scripts.index_put.on([self.inner.keys.index(index)]);
        call = call.arg(how).arg(micros(from_now)).arg(first.as_str());
        for id in rest {
            call = call.arg(micros(from_now)).arg(id.as_str());
        }
        call.send(&self.inner.link).await?;
        Ok(())
    }
}

/// Where a session is entered by its creation.
fn indexes(info: &SessionMeta) -> impl Iterator<Item = IndexName<'_>> {
    let owner = info.owner.as_ref().map(IndexName::Owner);
    let chat = info.chat.as_ref().map(IndexName::Chat);
    [Some(IndexName::All), owner, chat].into_iter().flatten()
}
