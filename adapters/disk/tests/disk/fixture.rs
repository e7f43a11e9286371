use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use unbroken::{
    log::{
        Chunk, ChunkBuilder, Digest, Epoch, Lsn, Outcome, Owner, Position, ServiceName, SessionId,
    },
    store::{
        AfterAppend, Appended, Created, DeleteMode, NewSession, Seal, SessionMeta, Store,
        StoreError, StoreExt, Token,
    },
};
use unbroken_disk::{Disk, DiskOptions};

use crate::directory::Directory;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) async fn open(directory: &Directory) -> Disk {
    let options = DiskOptions::new().segment_bytes(64 << 10);
    Disk::open(directory.path(), options).await.unwrap()
}

pub(crate) fn new_session() -> NewSession {
    NewSession {
        meta: Arc::new(SessionMeta {
            owner: Some(Owner::new("an owner")),
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([7; 32]),
            format: 1,
            outbox: None,
        }),
        request: Bytes::from_static(b"a request"),
        token: Token::random(),
        lease: 10 * SECOND,
        tombstone: HOUR,
    }
}

/// A session whose ending stays in the outbox for a day.
pub(crate) fn new_session_with_outbox() -> NewSession {
    let new = new_session();
    let meta = SessionMeta {
        outbox: Some(24 * HOUR),
        ..(*new.meta).clone()
    };
    NewSession {
        meta: Arc::new(meta),
        ..new
    }
}

pub(crate) async fn create(store: &Disk, id: &SessionId) -> Result<Epoch, StoreError> {
    create_as(store, id, new_session()).await
}

pub(crate) async fn create_as(
    store: &Disk,
    id: &SessionId,
    new: NewSession,
) -> Result<Epoch, StoreError> {
    match store.create(id, new).await? {
        Created::Created(epoch) => Ok(epoch),
        Created::Exists(state) => panic!("a random id is taken: {state:?}"),
    }
}

pub(crate) async fn create_session(store: &Disk) -> (SessionId, Epoch) {
    let id = SessionId::random();
    let epoch = create(store, &id).await.unwrap();
    (id, epoch)
}

pub(crate) fn chunk(first: u64, epoch: Epoch, records: &[&str]) -> Chunk {
    let mut batch = ChunkBuilder::new();
    batch.extend(records.iter().map(|record| record.as_bytes()));
    batch.take(Lsn::new(first), epoch).unwrap()
}

pub(crate) async fn push(
    store: &Disk,
    id: &SessionId,
    first: u64,
    epoch: Epoch,
    records: &[&str],
) -> Result<Appended, StoreError> {
    let chunk = chunk(first, epoch, records);
    store.append(id, chunk, AfterAppend::Streaming).await
}

pub(crate) fn seal(keep: Duration) -> AfterAppend {
    let outcome = Outcome::Complete;
    AfterAppend::Seal(Seal::new(outcome, keep))
}

/// Claims a session whose owner is gone, and checks its request.
pub(crate) async fn claim(store: &Disk, id: &SessionId) -> Epoch {
    let seen = store.state(id).await.unwrap().epoch;
    let claimed = store.claim(id, seen, Token::random(), 10 * SECOND).await;
    let claimed = claimed.unwrap();
    assert_eq!(claimed.request, "a request");
    claimed.epoch
}

/// Reads every record, page by page.
pub(crate) async fn texts(store: &Disk, id: &SessionId) -> Result<Vec<String>, StoreError> {
    let mut texts = Vec::new();
    let mut after = Position::START;
    loop {
        let page = store.read(id, after, 10_000).await?;
        for record in page.chunks.iter().flat_map(Chunk::records) {
            assert_eq!(record.lsn, after.lsn.next(), "a gap");
            after = Position::tagged(record.lsn, record.epoch.tag());
            texts.push(String::from_utf8(record.bytes.to_vec()).unwrap());
        }
        if page.state.tail == after.lsn {
            return Ok(texts);
        }
    }
}

/// Fills the files and has all dead bytes in them removed.
pub(crate) async fn compact(store: &Disk) {
    let (id, epoch) = create_session(store).await;
    let text = "x".repeat(30_000);
    for lsn in 1..=20 {
        push(store, &id, lsn, epoch, &[&text]).await.unwrap();
    }
    store.delete(&id, DeleteMode::Now).await.unwrap();
    for _ in 0..100 {
        store.sweep(100).await.unwrap();
    }
}
