//! Sessions and calls that several tests need.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use unbroken::{
    log::{
        Chunk, ChunkBuilder, Digest, Epoch, Lsn, Outcome, Owner, Position, ServiceName, SessionId,
    },
    store::{AfterAppend, Created, NewSession, Seal, SessionMeta, Store, StoreError, Token},
};

pub(crate) fn new() -> NewSession {
    NewSession {
        meta: Arc::new(SessionMeta {
            owner: Some(Owner::new("an owner")),
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([7; 32]),
            format: 1,
            outbox: None,
        }),
        request: Bytes::from_static(b"the request"),
        token: Token::random(),
        lease: Duration::from_secs(60),
        tombstone: Duration::from_secs(60),
    }
}

/// Returns a session whose ending waits for its delivery for so long.
pub(crate) fn new_with_outbox(outbox: Duration) -> NewSession {
    let mut new = new();
    new.meta = Arc::new(SessionMeta {
        outbox: Some(outbox),
        ..SessionMeta::clone(&new.meta)
    });
    new
}

pub(crate) async fn session(store: &impl Store) -> Result<(SessionId, Epoch), StoreError> {
    let id = SessionId::random();
    match store.create(&id, new()).await? {
        Created::Created(epoch) => Ok((id, epoch)),
        Created::Exists(_) => unreachable!("ids are random"),
    }
}

pub(crate) fn chunk(first: u64, epoch: Epoch, records: &[&str]) -> Chunk {
    let mut batch = ChunkBuilder::new();
    batch.extend(records.iter().map(|record| record.as_bytes()));
    batch.take(Lsn::new(first), epoch).expect("records")
}

pub(crate) fn seal() -> AfterAppend {
    AfterAppend::Seal(Seal::new(Outcome::Complete, Duration::from_secs(60)))
}

/// Reads all records, page by page.
pub(crate) async fn texts(store: &impl Store, id: &SessionId) -> Result<Vec<String>, StoreError> {
    let mut texts = Vec::new();
    loop {
        let at = Position::after(Lsn::new(texts.len() as u64));
        let page = store.read(id, at, 1000).await?;
        for record in page.chunks.iter().flat_map(Chunk::records) {
            assert_eq!(record.lsn.get(), texts.len() as u64 + 1);
            texts.push(String::from_utf8_lossy(record.bytes).into_owned());
        }
        if texts.len() as u64 >= page.state.tail.get() {
            return Ok(texts);
        }
    }
}

/// Returns `maybe_applied` of an error `Unavailable`.
pub(crate) fn maybe_applied<T>(answer: &Result<T, StoreError>) -> Option<bool> {
    match answer {
        Err(StoreError::Unavailable { maybe_applied, .. }) => Some(*maybe_applied),
        _ => None,
    }
}
