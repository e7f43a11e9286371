use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    BoxFuture,
    log::{Chunk, SessionId},
    store::{AfterAppend, Appended, Store, StoreError},
};

/// An append that the store has not answered yet.
pub(super) struct PendingAppend {
    pub(super) at: Instant,
    pub(super) answer: BoxFuture<'static, Result<Appended, StoreError>>,
}

impl PendingAppend {
    pub(super) fn send(
        store: &Arc<dyn Store>,
        id: &SessionId,
        (chunk, then): (Chunk, AfterAppend),
        at: Instant,
    ) -> Self {
        let (store, id) = (store.clone(), id.clone());
        Self {
            at,
            answer: Box::pin(async move { store.append(&id, chunk, then).await }),
        }
    }
}
