use unbroken::{
    log::{ChatId, Owner, Status},
    store::{Filter, Listed, Store, StoreError},
};

use super::{BrokenStore, ContractRule};

impl<S: Store> BrokenStore<S> {
    pub(super) async fn of_chat_broken(
        &self,
        owner: Option<&Owner>,
        chat: &ChatId,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let of_anyone = Filter {
            chat: Some(chat.clone()),
            ..Filter::default()
        };
        let mut found = match self.broken() {
            Some(ContractRule::ChatOwner) => self.all_pages(of_anyone).await?,
            Some(ContractRule::ChatUnowned) if owner.is_none() => self.all_pages(of_anyone).await?,
            Some(ContractRule::ChatOthers) => {
                let mut newest = self.all_pages(of_anyone).await?;
                newest.truncate(limit.max(8));
                newest.retain(|it| it.state.meta.owner.as_ref() == owner);
                newest
            }
            Some(ContractRule::ChatNames) => {
                let alike = |a: Option<&str>, b: Option<&str>| match (a, b) {
                    (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
                    (a, b) => a == b,
                };
                let mut all = self.all_pages(Filter::default()).await?;
                all.retain(|it| {
                    let meta = &it.state.meta;
                    let (listed, in_chat) = (meta.owner.as_ref(), meta.chat.as_ref());
                    alike(listed.map(Owner::as_str), owner.map(Owner::as_str))
                        && alike(in_chat.map(ChatId::as_str), Some(chat.as_str()))
                });
                all
            }
            // The wrapper sorts and cuts by itself.
            _ => self.inner().of_chat(owner, chat, usize::MAX).await?,
        };
        if self.breaks(ContractRule::ChatPresent) || self.breaks(ContractRule::WithdrawListed) {
            found.extend(self.deleted_of(owner, chat));
        }
        let runs = |it: &Listed| match it.state.status {
            Status::Waiting => !self.breaks(ContractRule::ChatWaiting),
            status => status.outcome().is_none(),
        };
        match self.broken() {
            Some(ContractRule::ChatRunningFirst) => found.sort_by_key(|it| it.state.age),
            Some(ContractRule::ChatOrder) => found.reverse(),
            _ => found.sort_by_key(|it| !runs(it)),
        }
        if !self.breaks(ContractRule::ChatLimit) {
            found.truncate(limit);
        }
        Ok(self.shown_sessions(found))
    }

    /// Returns the deleted sessions of a chat, as they were.
    fn deleted_of(&self, owner: Option<&Owner>, chat: &ChatId) -> Vec<Listed> {
        let mut deleted = self.deleted_sessions();
        deleted.retain(|it| {
            let meta = &it.state.meta;
            meta.owner.as_ref() == owner && meta.chat.as_ref() == Some(chat)
        });
        deleted
    }
}
