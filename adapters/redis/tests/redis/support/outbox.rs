use std::time::Duration;

use unbroken::{
    log::{Epoch, Outcome, ServiceName, SessionId},
    store::{AfterAppend, Created, NewSession, PendingEnding, Seal, Store, StoreError, StoreExt},
};

use super::{
    fixture,
    scene::{self, Scene},
};

/// The service of the sessions with an outbox.
pub(crate) const SERVICE: &str = "mail/{1}";
/// A time for which endings are kept that outlasts every test.
pub(crate) const KEPT: Duration = Duration::from_secs(3000);

/// Returns the index of the endings of the service.
pub(crate) fn index() -> String {
    "{service/mail%2f%7b1%7d}:endings".to_owned()
}

/// Creates the input of a session whose ending is kept for so long.
pub(crate) fn with_outbox(kept: Duration) -> NewSession {
    let mut new = scene::new(Some("me"), "c");
    let meta = std::sync::Arc::make_mut(&mut new.meta);
    meta.service = ServiceName::new(SERVICE);
    meta.outbox = Some(kept);
    new
}

/// Creates a session of one record that has ended.
pub(crate) async fn end(
    store: &impl Store,
    new: NewSession,
    keep: Duration,
) -> Result<SessionId, StoreError> {
    let id = SessionId::random();
    let Created::Created(epoch) = store.create(&id, new).await? else {
        panic!("a random id was taken");
    };
    seal(store, &id, epoch, keep).await?;
    Ok(id)
}

/// Appends the one record of a session, and ends it.
pub(crate) async fn seal(
    store: &impl Store,
    id: &SessionId,
    epoch: Epoch,
    keep: Duration,
) -> Result<(), StoreError> {
    let seal = Seal::new(Outcome::Complete, keep).summary("the summary".into());
    let chunk = fixture::chunk(1, epoch, &["z"]);
    store.append(id, chunk, AfterAppend::Seal(seal)).await?;
    Ok(())
}

/// Takes endings of the service for longer than the test.
pub(crate) async fn take(
    store: &impl Store,
    limit: usize,
) -> Result<Vec<PendingEnding>, StoreError> {
    let service = ServiceName::new(SERVICE);
    store.endings(&service, limit, fixture::LONG).await
}

pub(crate) async fn is_gone(store: &impl Store, id: &SessionId) -> bool {
    match store.state(id).await {
        Err(StoreError::Gone(_)) => true,
        Err(StoreError::NotFound) => false,
        other => panic!("{other:?}"),
    }
}

/// Returns the member of a session with an outbox in the indexes by time.
pub(crate) fn member(id: &SessionId) -> String {
    format!("{id}/+me/+c/+mail%2f%7b1%7d")
}

/// Makes the sweep look at a sealed session at once, if there is an entry of it.
pub(crate) async fn set_due(it: &mut Scene, id: &SessionId) {
    it.key::<u64>("ZADD", "{all}:due", &["XX", "1", &member(id)])
        .await;
}

/// Tells the store that the ending of a session was delivered, which may have been deleted.
pub(crate) async fn deliver(it: &mut Scene, id: &SessionId) -> Result<(), StoreError> {
    let mut sealed_by = Epoch::first();
    for key in ["session", "ending"] {
        let key = format!("{{{id}}}:{key}");
        let epochs: Option<Vec<u8>> = it.key("HGET", &key, &["epochs"]).await;
        let last = epochs.as_ref().and_then(|epochs| epochs.last_chunk());
        if let Some(last) = last {
            let both = u128::from_be_bytes(*last);
            sealed_by = Epoch {
                counter: u64::try_from(both >> 64).unwrap_or(0),
                bits: u64::try_from(both & u128::from(u64::MAX)).unwrap_or(0),
            };
        }
    }
    it.store.delivered(id, sealed_by).await
}
