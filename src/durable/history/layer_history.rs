use std::{fmt, sync::Arc, time::Duration};

use super::{ChatExchange, History, HistoryError};
use crate::{
    BoxError,
    log::{ChatId, Owner},
};

/// The history of a layer.
#[derive(Clone)]
pub(in crate::durable) struct LayerHistory(Arc<dyn History>);

impl LayerHistory {
    /// The longest time of one append.
    pub(in crate::durable) const TIMEOUT: Duration = Duration::from_secs(30);

    pub(in crate::durable) fn new(history: impl History) -> Self {
        Self(Arc::new(history))
    }

    pub(in crate::durable) async fn append(
        &self,
        owner: Option<&Owner>,
        chat: &ChatId,
        exchange: &ChatExchange,
    ) -> Result<(), BoxError> {
        let append = self.0.append(owner, chat, exchange);
        match tokio::time::timeout(Self::TIMEOUT, append).await {
            Ok(appended) => appended,
            Err(_) => Err("the history did not take the exchange in time".into()),
        }
    }

    pub(super) async fn load(
        &self,
        owner: Option<&Owner>,
        chat: &ChatId,
    ) -> Result<Vec<ChatExchange>, HistoryError> {
        let loaded = self.0.load(owner, chat).await;
        loaded.map_err(HistoryError::Load)
    }
}

impl fmt::Debug for LayerHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerHistory").finish_non_exhaustive()
    }
}
