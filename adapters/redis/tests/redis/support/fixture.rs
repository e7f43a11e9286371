use std::{sync::Arc, time::Duration};

use unbroken::{
    log::{
        Chunk, ChunkBuilder, Digest, Epoch, Lsn, Outcome, Owner, Position, ServiceName, SessionId,
    },
    store::{AfterAppend, Created, NewSession, Seal, SessionMeta, Store, StoreError, Token},
};

/// A lease that outlasts every test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Creates the input of a session of an owner.
pub(crate) fn new_of(owner: &str) -> NewSession {
    NewSession {
        meta: Arc::new(SessionMeta {
            owner: Some(Owner::new(owner)),
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([7; 32]),
            format: 1,
            outbox: None,
        }),
        request: "the request".into(),
        token: Token::random(),
        lease: LONG,
        tombstone: LONG,
    }
}

pub(crate) async fn created(store: &impl Store) -> (SessionId, Epoch) {
    let id = SessionId::random();
    match store.create(&id, new_of("somebody")).await {
        Ok(Created::Created(epoch)) => (id, epoch),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn chunk(first: u64, epoch: Epoch, records: &[&str]) -> Chunk {
    let mut batch = ChunkBuilder::new();
    batch.extend(records.iter().map(|record| record.as_bytes()));
    batch
        .take(Lsn::new(first), epoch)
        .expect("there are records")
}

pub(crate) async fn push(
    store: &impl Store,
    id: &SessionId,
    epoch: Epoch,
    first: u64,
    records: &[&str],
) -> Result<(), StoreError> {
    let chunk = chunk(first, epoch, records);
    store
        .append(id, chunk, AfterAppend::Streaming)
        .await
        .map(drop)
}

pub(crate) fn sealed() -> AfterAppend {
    AfterAppend::Seal(Seal::new(Outcome::Complete, LONG))
}

/// Reads every record, page by page.
pub(crate) async fn texts(store: &impl Store, id: &SessionId) -> Vec<String> {
    let mut texts = Vec::new();
    let mut at = Position::START;
    loop {
        let page = store.read(id, at, 64 << 10).await.expect("a page");
        for record in page.chunks.iter().flat_map(Chunk::records) {
            assert_eq!(record.lsn, at.lsn.next(), "a gap or a repetition");
            at = Position::tagged(record.lsn, record.epoch.tag());
            texts.push(String::from_utf8_lossy(record.bytes).into_owned());
        }
        if at.lsn == page.state.tail {
            return texts;
        }
    }
}

pub(crate) fn is_unavailable(error: &StoreError, applied: bool) -> bool {
    matches!(error, StoreError::Unavailable { maybe_applied, .. } if *maybe_applied == applied)
}
