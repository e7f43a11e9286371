use crate::{BoxError, store::StoreError};

/// An error of loading a chat.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The layer has no [`History`](super::History).
    #[error("the layer has no history; set one with `DurableLayer::history`")]
    Absent,
    /// The history has failed.
    #[error("the messages of the chat can't be loaded")]
    Load(#[source] BoxError),
    /// The store has failed, in which answers are that the history doesn't have yet.
    #[error("the answers of the chat that ended just now can't be read")]
    Store(#[from] StoreError),
}
