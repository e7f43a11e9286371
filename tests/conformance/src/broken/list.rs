use unbroken::store::{DeleteMode, Filter, Listed, Listing, StatusFilter, Store, StoreError};

use super::{BrokenStore, ContractRule};

const UNSEALED: &[StatusFilter] = &[StatusFilter::Streaming, StatusFilter::Waiting];
const SEALED: &[StatusFilter] = &[
    StatusFilter::Complete,
    StatusFilter::Aborted,
    StatusFilter::Error,
];

impl<S: Store> BrokenStore<S> {
    pub(super) async fn list_broken(&self, filter: &Filter) -> Result<Listing, StoreError> {
        let mut filter = filter.clone();
        match self.broken() {
            Some(ContractRule::ListFilter) => {
                filter = Filter {
                    after: filter.after,
                    limit: filter.limit,
                    ..Filter::default()
                };
            }
            Some(ContractRule::ListPages) => filter.after = None,
            Some(ContractRule::ListPagesFilter) if filter.after.is_some() => {
                (filter.chat, filter.status) = (None, None);
            }
            _ => {}
        }
        let mut page = self.inner().list(&filter).await?;
        if self.breaks(ContractRule::ListOrder) {
            page.sessions.reverse();
        }
        if self.breaks(ContractRule::ListPresent) || self.breaks(ContractRule::WithdrawListed) {
            let deleted = self.deleted_sessions().into_iter();
            let of_owner = deleted.filter(|it| it.state.meta.owner == filter.owner);
            page.sessions.extend(of_owner);
        }
        page.sessions = self.shown_sessions(page.sessions);
        Ok(page)
    }

    pub(super) async fn orphans_broken(&self, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let mut orphans = match self.broken() {
            Some(ContractRule::OrphansLimit) => {
                let orphans = self.inner().orphans(usize::MAX).await?;
                return Ok(self.shown_sessions(orphans));
            }
            Some(ContractRule::OrphansOver) => self.with_status(UNSEALED).await?,
            _ => self.inner().orphans(limit).await?,
        };
        if self.breaks(ContractRule::OrphansUnsealed) {
            orphans.extend(self.with_status(SEALED).await?);
        }
        orphans.truncate(limit);
        Ok(self.shown_sessions(orphans))
    }

    pub(super) async fn sweep_broken(&self, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0;
        match self.broken() {
            Some(ContractRule::SweepLimit) => return self.inner().sweep(usize::MAX).await,
            Some(ContractRule::SweepExpired) => {
                for ended in self.with_status(SEALED).await?.iter().take(limit) {
                    self.inner().delete(&ended.id, DeleteMode::Now).await?;
                    swept += 1;
                }
            }
            Some(ContractRule::ExpiryExact) => {
                for id in self.session_ids() {
                    if swept < limit && self.expire(&id).await {
                        swept += 1;
                    }
                }
            }
            _ => {}
        }
        Ok(swept + self.inner().sweep(limit - swept).await?)
    }

    /// Returns all sessions in the store with one of these statuses.
    async fn with_status(&self, statuses: &[StatusFilter]) -> Result<Vec<Listed>, StoreError> {
        let mut found = Vec::new();
        for status in statuses {
            let filter = Filter {
                status: Some(*status),
                ..Filter::default()
            };
            found.extend(self.all_pages(filter).await?);
        }
        Ok(found)
    }

    /// Returns all sessions in the store that match a filter.
    pub(super) async fn all_pages(&self, mut filter: Filter) -> Result<Vec<Listed>, StoreError> {
        let mut found = Vec::new();
        loop {
            let page = self.inner().list(&filter).await?;
            found.extend(page.sessions);
            filter.after = page.next;
            if filter.after.is_none() {
                return Ok(found);
            }
        }
    }
}
