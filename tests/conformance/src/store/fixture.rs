use std::{future::Future, ops::Deref, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{task::JoinHandle, time::Instant};

use crate::{report::CaseStop, store::harness::Harness};
use unbroken::{
    log::{
        ChatId, Chunk, ChunkBuilder, Digest, Epoch, Lsn, Outcome, Owner, Position, ServiceName,
        SessionId,
    },
    store::{
        AfterAppend, Claimed, Created, NewSession, Seal, Seen, SessionMeta, SessionState, Store,
        StoreError, StoreExt, Token,
    },
};

/// What a case works with: a store, and the usual ways to use one.
#[derive(Clone)]
pub(super) struct StoreFixture {
    store: Arc<dyn Store>,
    harness: Arc<dyn Harness>,
}

/// A session that a case made.
#[derive(Debug, Clone)]
pub(super) struct CreatedSession {
    pub(super) id: SessionId,
    pub(super) epoch: Epoch,
    pub(super) new: NewSession,
}

/// In steps.
pub(super) const LEASE: u32 = 4;
/// In steps.
pub(super) const TOMBSTONE: u32 = 12;
/// Long enough that a waiter sleeps by then, and short beside two seconds.
const A_MOMENT: Duration = Duration::from_millis(200);

impl StoreFixture {
    pub(super) fn new(store: Arc<dyn Store>, harness: Arc<dyn Harness>) -> Self {
        Self { store, harness }
    }

    pub(super) fn steps(&self, count: u32) -> Duration {
        self.harness.step() * count
    }

    pub(super) async fn pass(&self, steps: u32) {
        self.harness.pass(self.steps(steps)).await;
    }

    pub(super) fn max_append(&self) -> Option<usize> {
        self.harness.max_append()
    }

    /// Whether the record there can't be read any more.
    pub(super) async fn harm(&self, id: &SessionId, lsn: Lsn) -> bool {
        self.harness.harm(id, lsn).await
    }

    /// What a session is made from, by an owner that no other session has.
    pub(super) fn what(&self) -> NewSession {
        NewSession {
            info: Arc::new(SessionMeta {
                owner: Some(Owner::new(SessionId::random().as_str())),
                chat: Some(ChatId::new("a chat")),
                service: ServiceName::new("a service"),
                digest: Digest([7; 32]),
                format: SessionMeta::LATEST_FORMAT,
            }),
            request: Bytes::from_static(b"the request"),
            token: Token::random(),
            lease: self.steps(LEASE),
            tombstone: self.steps(TOMBSTONE),
        }
    }

    /// A new session.
    pub(super) async fn made(&self) -> Result<CreatedSession, CaseStop> {
        self.made_from(self.what()).await
    }

    pub(super) async fn made_from(&self, new: NewSession) -> Result<CreatedSession, CaseStop> {
        let id = SessionId::random();
        match self.store.create(&id, new.clone()).await? {
            Created::Created(epoch) => Ok(CreatedSession { id, epoch, new }),
            Created::Exists(_) => Err(CaseStop::Failed("a random id was taken".into())),
        }
    }

    /// A new session that has the records `a`, `b` and `c`.
    pub(super) async fn with_abc(&self) -> Result<CreatedSession, CaseStop> {
        let made = self.made().await?;
        self.push(&made, 1, &["a", "b", "c"], AfterAppend::Streaming)
            .await?;
        Ok(made)
    }

    /// A new session that has the records `a`, `b` and `c` and ended with the last.
    pub(super) async fn sealed(&self, keep: u32) -> Result<CreatedSession, CaseStop> {
        let made = self.made().await?;
        self.push(&made, 1, &["a", "b", "c"], self.seal(keep))
            .await?;
        Ok(made)
    }

    pub(super) fn seal(&self, keep: u32) -> AfterAppend {
        AfterAppend::Seal(Seal {
            outcome: Outcome::Complete,
            keep: self.steps(keep),
        })
    }

    pub(super) async fn push(
        &self,
        made: &CreatedSession,
        first: u64,
        records: &[&str],
        then: AfterAppend,
    ) -> Result<(), StoreError> {
        let chunk = chunk(first, made.epoch, records);
        self.store.append(&made.id, chunk, then).await.map(drop)
    }

    /// Claims for a lease.
    pub(super) async fn claim(
        &self,
        id: &SessionId,
        seen: Epoch,
        token: Token,
    ) -> Result<Claimed, StoreError> {
        let lease = self.steps(LEASE);
        self.store.claim(id, seen, token, lease).await
    }

    pub(super) async fn now(&self, id: &SessionId) -> Result<SessionState, StoreError> {
        self.store.state(id).await
    }

    /// What stands after an LSN, read in one page.
    pub(super) async fn texts(&self, id: &SessionId, after: u64) -> Result<Vec<String>, CaseStop> {
        let after = Position::after(Lsn::new(after));
        let page = self.store.read(id, after, usize::MAX).await?;
        texts(&page.chunks, after.lsn)
    }

    /// Waits for a change in a task of its own, and has begun to sleep when this returns.
    pub(super) async fn waiter(&self, id: &SessionId, seen: Seen) -> ChangeWaiter {
        let (store, id) = (self.store.clone(), id.clone());
        let task = tokio::spawn(async move {
            let answer = store
                .changed(&id, seen.into(), Duration::from_secs(60))
                .await;
            (answer, Instant::now())
        });
        tokio::time::sleep(A_MOMENT).await;
        ChangeWaiter { task }
    }

    /// Looks again until this holds or a list has had long enough to catch up.
    pub(super) async fn eventually<T, Fut>(
        &self,
        look: impl Fn(Self) -> Fut,
        enough: impl Fn(&T) -> bool,
    ) -> Result<T, CaseStop>
    where
        Fut: Future<Output = Result<T, CaseStop>>,
    {
        let mut tries = 20;
        loop {
            let seen = look(self.clone()).await?;
            tries -= 1;
            if enough(&seen) || tries == 0 {
                return Ok(seen);
            }
            tokio::time::sleep(self.harness.step() / 20).await;
        }
    }
}

impl Deref for StoreFixture {
    type Target = Arc<dyn Store>;

    fn deref(&self) -> &Self::Target {
        &self.store
    }
}

/// Somebody who sleeps until a session changes.
pub(super) struct ChangeWaiter {
    task: JoinHandle<(Result<SessionState, StoreError>, Instant)>,
}

impl ChangeWaiter {
    /// What it was told of the change that was just made.
    pub(super) async fn told(
        self,
        what: &str,
    ) -> Result<Result<SessionState, StoreError>, CaseStop> {
        let made = Instant::now();
        let failed = |panic| CaseStop::Failed(format!("waiting panicked: {panic}"));
        let (answer, at) = self.task.await.map_err(failed)?;
        match at.saturating_duration_since(made) {
            late if late > Duration::from_secs(1) => {
                Err(CaseStop::Failed(format!("told of {what} after {late:?}")))
            }
            _ => Ok(answer),
        }
    }
}

pub(super) fn chunk(first: u64, epoch: Epoch, records: &[&str]) -> Chunk {
    let mut batch = ChunkBuilder::new();
    batch.extend(records.iter().map(|record| record.as_bytes()));
    batch
        .take(Lsn::new(first), epoch)
        .expect("a case appends at least one record")
}

/// The records, if they follow one another after this LSN.
pub(super) fn texts(chunks: &[Chunk], after: Lsn) -> Result<Vec<String>, CaseStop> {
    let mut last = after;
    let mut texts = Vec::new();
    for record in chunks.iter().flat_map(Chunk::records) {
        if record.lsn != last.next() {
            let at = record.lsn;
            return Err(CaseStop::Failed(format!("LSN {at} came after LSN {last}")));
        }
        last = record.lsn;
        texts.push(String::from_utf8_lossy(record.bytes).into_owned());
    }
    Ok(texts)
}
