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
        AfterAppend, Appended, Claimed, Created, NewSession, Seal, Seen, SessionMeta, SessionState,
        Store, StoreError, StoreExt, Token,
    },
};

/// The store that a case tests, with shorthands for common calls.
#[derive(Clone)]
pub(super) struct StoreFixture {
    store: Arc<dyn Store>,
    harness: Arc<dyn Harness>,
}

/// A session that a case created.
#[derive(Debug, Clone)]
pub(super) struct CreatedSession {
    pub(super) id: SessionId,
    pub(super) epoch: Epoch,
    pub(super) new: NewSession,
}

/// The lease of a session, in steps.
pub(super) const LEASE: u32 = 4;
/// The lifetime of a tombstone, in steps.
pub(super) const TOMBSTONE: u32 = 12;
/// Long enough for a waiter to begin its wait, and short beside the two seconds that a wait may last.
const WAITER_START: Duration = Duration::from_millis(200);

impl StoreFixture {
    pub(super) fn new(store: Arc<dyn Store>, harness: Arc<dyn Harness>) -> Self {
        Self { store, harness }
    }

    pub(super) fn steps(&self, count: u32) -> Duration {
        self.harness.step() * count
    }

    pub(super) async fn advance(&self, steps: u32) {
        self.harness.advance(self.steps(steps)).await;
    }

    pub(super) fn max_append_bytes(&self) -> Option<usize> {
        self.harness.max_append_bytes()
    }

    /// Makes a record unreadable; false if the harness has no way to do that.
    pub(super) async fn corrupt(&self, id: &SessionId, lsn: Lsn) -> bool {
        self.harness.corrupt(id, lsn).await
    }

    /// Returns the data of a new session, with an owner that no other session has.
    pub(super) fn new_session(&self) -> NewSession {
        NewSession {
            meta: Arc::new(SessionMeta {
                owner: Some(Owner::new(SessionId::random().as_str())),
                chat: Some(ChatId::new("a chat")),
                service: ServiceName::new("a service"),
                digest: Digest([7; 32]),
                format: SessionMeta::LATEST_FORMAT,
                outbox: None,
            }),
            request: Bytes::from_static(b"the request"),
            token: Token::random(),
            lease: self.steps(LEASE),
            tombstone: self.steps(TOMBSTONE),
        }
    }

    /// Creates a session under a random id.
    pub(super) async fn created(&self) -> Result<CreatedSession, CaseStop> {
        self.created_from(self.new_session()).await
    }

    pub(super) async fn created_from(&self, new: NewSession) -> Result<CreatedSession, CaseStop> {
        let id = SessionId::random();
        match self.store.create(&id, new.clone()).await? {
            Created::Created(epoch) => Ok(CreatedSession { id, epoch, new }),
            Created::Exists(_) => Err(CaseStop::Failed("a random id exists already".into())),
        }
    }

    /// Creates a session with the records `a`, `b` and `c`.
    pub(super) async fn with_abc(&self) -> Result<CreatedSession, CaseStop> {
        let session = self.created().await?;
        self.push(&session, 1, &["a", "b", "c"], AfterAppend::Streaming)
            .await?;
        Ok(session)
    }

    /// Creates a session with the records `a`, `b` and `c`, sealed with the last. The retention is in
    /// steps.
    pub(super) async fn sealed(&self, keep: u32) -> Result<CreatedSession, CaseStop> {
        let session = self.created().await?;
        self.push(&session, 1, &["a", "b", "c"], self.seal(keep))
            .await?;
        Ok(session)
    }

    pub(super) fn seal(&self, keep: u32) -> AfterAppend {
        AfterAppend::Seal(Seal::new(Outcome::Complete, self.steps(keep)))
    }

    pub(super) async fn push(
        &self,
        session: &CreatedSession,
        first: u64,
        records: &[&str],
        then: AfterAppend,
    ) -> Result<(), StoreError> {
        let chunk = chunk(first, session.epoch, records);
        self.append(&session.id, chunk, then).await.map(drop)
    }

    /// Appends a chunk: every second one at once, if the store can.
    pub(super) async fn append(
        &self,
        id: &SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> Result<Appended, StoreError> {
        let is_even = chunk.first().get().is_multiple_of(2);
        if is_even && let Some(appended) = self.store.append_now(id, &chunk, then.clone()) {
            return appended;
        }
        self.store.append(id, chunk, then).await
    }

    /// Claims a session for the usual lease.
    pub(super) async fn claim(
        &self,
        id: &SessionId,
        seen: Epoch,
        token: Token,
    ) -> Result<Claimed, StoreError> {
        let lease = self.steps(LEASE);
        self.store.claim(id, seen, token, lease).await
    }

    /// Claims a session at the epoch that the case knows, with a new token.
    pub(super) async fn claim_session(
        &self,
        session: &CreatedSession,
    ) -> Result<Claimed, StoreError> {
        self.claim(&session.id, session.epoch, Token::random())
            .await
    }

    pub(super) async fn state(&self, id: &SessionId) -> Result<SessionState, StoreError> {
        self.store.state(id).await
    }

    /// Reads the records after an LSN, in one page.
    pub(super) async fn texts(&self, id: &SessionId, after: u64) -> Result<Vec<String>, CaseStop> {
        let after = Position::after(Lsn::new(after));
        let page = self.store.read(id, after, usize::MAX).await?;
        texts(&page.chunks, after.lsn)
    }

    /// Waits for a change in a task of its own. The wait has begun when this returns.
    pub(super) async fn waiter(&self, id: &SessionId, seen: Seen) -> ChangeWaiter {
        let (store, id) = (self.store.clone(), id.clone());
        let task = tokio::spawn(async move {
            let answer = store.changed(&id, seen, Duration::from_secs(60)).await;
            (answer, Instant::now())
        });
        tokio::time::sleep(WAITER_START).await;
        ChangeWaiter { task }
    }

    /// Repeats a query until its result is `done`, or a list has had time enough to catch up. Returns
    /// the last result.
    pub(super) async fn eventually<T, Fut>(
        &self,
        query: impl Fn(Self) -> Fut,
        done: impl Fn(&T) -> bool,
    ) -> Result<T, CaseStop>
    where
        Fut: Future<Output = Result<T, CaseStop>>,
    {
        let mut tries = 20;
        loop {
            let seen = query(self.clone()).await?;
            tries -= 1;
            if done(&seen) || tries == 0 {
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

/// A task that waits for a change of a session.
pub(super) struct ChangeWaiter {
    task: JoinHandle<(Result<SessionState, StoreError>, Instant)>,
}

impl ChangeWaiter {
    /// Returns the result of the wait. Fails if it comes later than a second from now, when the change
    /// named by `what` was made.
    pub(super) async fn woken_by(
        self,
        what: &str,
    ) -> Result<Result<SessionState, StoreError>, CaseStop> {
        let changed = Instant::now();
        let failed = |panic| CaseStop::Failed(format!("waiting panicked: {panic}"));
        let (answer, at) = self.task.await.map_err(failed)?;
        match at.saturating_duration_since(changed) {
            late if late > Duration::from_secs(1) => Err(CaseStop::Failed(format!(
                "{what} ended the wait after {late:?}"
            ))),
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

/// Returns the records, if their LSNs follow one another after this one.
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
