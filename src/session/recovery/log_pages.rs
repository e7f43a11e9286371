use super::claim::repeat;
use crate::{
    log::{Chunk, Lsn, Position, SessionId},
    session::registry::Registry,
    store::{RecordPage, Store, StoreError},
};

/// The most bytes that one read asks for.
pub(super) const PAGE_BYTES: usize = 256 * 1024;

/// Reads the log of a claimed session up to `tail`, page by page.
///
/// # Errors
///
/// [`StoreError::Rewound`] if the log ends before, or the store's own.
pub(super) async fn each_page(
    shared: &Registry,
    id: &SessionId,
    tail: Lsn,
    mut page: impl FnMut(Vec<Chunk>),
) -> Result<(), StoreError> {
    let mut at = Position::START;
    while at.lsn < tail {
        let RecordPage { chunks, .. } =
            repeat(shared, || shared.store.read(id, at, PAGE_BYTES)).await?;
        let Some(last) = chunks.last() else {
            return Err(StoreError::Rewound { tail: at.lsn });
        };
        at = Position::tagged(last.last(), last.epoch().tag());
        page(chunks);
    }
    Ok(())
}

/// Reads the log of a sealed session up to `tail`, without repetitions.
///
/// # Errors
///
/// [`StoreError::Rewound`] if the log ends before, or the store's own.
pub(in crate::session) async fn read_up_to(
    store: &dyn Store,
    id: &SessionId,
    tail: Lsn,
) -> Result<Vec<Chunk>, StoreError> {
    let mut found: Vec<Chunk> = Vec::new();
    let mut at = Position::START;
    while at.lsn < tail {
        let page = store.read(id, at, PAGE_BYTES).await?;
        let Some(last) = page.chunks.last() else {
            return Err(StoreError::Rewound { tail: at.lsn });
        };
        at = Position::tagged(last.last(), last.epoch().tag());
        found.extend(page.chunks);
    }
    Ok(found)
}
