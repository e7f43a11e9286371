use super::Sessions;
use crate::{
    log::{ChatId, Owner, Position, SessionId},
    store::{Filter, Listed, Listing, RecordPage, StoreError, StoredAnswer},
};

/// The most bytes that one read asks for.
const PAGE_BYTES: usize = 256 * 1024;

/// Reads what the store has, without an entry in the registry.
impl Sessions {
    /// Returns the answers to a session that hasn't ended.
    pub(crate) async fn answers(&self, id: &SessionId) -> Result<Vec<StoredAnswer>, StoreError> {
        self.shared.store.answers(id, 0).await
    }

    /// Reads a page of the log from the store, without becoming a client of the session.
    pub(crate) async fn page(
        &self,
        id: &SessionId,
        after: Position,
    ) -> Result<RecordPage, StoreError> {
        self.shared.store.read(id, after, PAGE_BYTES).await
    }

    /// Lists up to `limit` sessions of one chat of one owner: first those that run, then those that have
    /// ended, newest first in both groups. With `None` as the owner it lists sessions without an owner.
    ///
    /// It costs the same however many sessions others have. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the store doesn't answer.
    pub async fn of_chat(
        &self,
        owner: Option<&Owner>,
        chat: &ChatId,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.shared.store.of_chat(owner, chat, limit).await
    }

    /// Lists the sessions that match, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the store doesn't answer.
    pub async fn list(&self, filter: &Filter) -> Result<Listing, StoreError> {
        self.shared.store.list(filter).await
    }
}
