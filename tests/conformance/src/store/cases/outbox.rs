use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    report::CaseStop,
    store::{
        fixture::{CreatedSession, LEASE, StoreFixture, chunk},
        report::{CaseResult, ensure, ensure_eq, ensure_matches},
    },
};
use unbroken::{
    log::{ChatId, Epoch, Lsn, Outcome, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, DeleteMode, Filter, Holder, NewSession, PendingEnding, Seal,
        SessionMeta, StoreError,
    },
};

/// The time for which an ending waits, in steps.
const OUTBOX: u32 = 10;
/// The lease of a taken ending, in steps.
const TAKEN: u32 = 3;

/// A service that no other case has, and its fixture.
struct OutboxScene {
    store: StoreFixture,
    service: ServiceName,
}

impl OutboxScene {
    fn new(store: StoreFixture) -> Self {
        let service = ServiceName::new(SessionId::random().as_str());
        Self { store, service }
    }

    fn new_session(&self, service: &ServiceName) -> NewSession {
        let new = self.store.new_session();
        let meta = SessionMeta {
            service: service.clone(),
            outbox: Some(self.store.steps(OUTBOX)),
            ..SessionMeta::clone(&new.meta)
        };
        NewSession {
            meta: Arc::new(meta),
            ..new
        }
    }

    async fn created(&self) -> Result<CreatedSession, CaseStop> {
        self.store
            .created_from(self.new_session(&self.service))
            .await
    }

    /// Creates a session of three records and seals it. The retention is in steps.
    async fn sealed(&self, keep: u32) -> Result<CreatedSession, CaseStop> {
        let session = self.created().await?;
        let seal = self.seal(keep);
        self.store.push(&session, 1, &["a", "b", "c"], seal).await?;
        Ok(session)
    }

    fn seal(&self, keep: u32) -> AfterAppend {
        let seal = Seal::new(Outcome::Aborted, self.store.steps(keep));
        AfterAppend::Seal(seal.summary(Bytes::from_static(b"the summary")))
    }

    async fn take(&self, limit: usize) -> Result<Vec<PendingEnding>, CaseStop> {
        let lease = self.store.steps(TAKEN);
        Ok(self.store.endings(&self.service, limit, lease).await?)
    }

    /// Takes endings until there are as many, since the outbox may lag behind the writes.
    async fn taken(&self, count: usize) -> Result<Vec<PendingEnding>, CaseStop> {
        let mut taken = Vec::new();
        for _ in 0..20 {
            taken.extend(self.take(100).await?);
            if taken.len() >= count {
                break;
            }
            tokio::time::sleep(self.store.steps(1) / 20).await;
        }
        ensure_eq!(taken.len(), count, "endings");
        Ok(taken)
    }

    async fn one(&self, when: &str) -> Result<PendingEnding, CaseStop> {
        let mut taken = self.taken(1).await?;
        taken
            .pop()
            .ok_or_else(|| CaseStop::Failed(format!("there is no ending {when}")))
    }

    async fn none(&self, when: &str) -> Result<(), CaseStop> {
        let ids: Vec<_> = self.take(100).await?.into_iter().map(|it| it.id).collect();
        ensure!(ids.is_empty(), "there are endings {when}: {ids:?}");
        Ok(())
    }
}

pub(crate) async fn a_seal_puts_the_ending_into_the_outbox(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let session = outbox.created().await?;
    let store = &outbox.store;
    store
        .push(&session, 1, &["a", "b"], AfterAppend::Streaming)
        .await?;
    outbox.none("before the seal").await?;
    store.push(&session, 3, &["c"], outbox.seal(100)).await?;
    let ending = outbox.one("after the seal").await?;
    ensure_eq!(ending.id, session.id, "id");
    ensure_eq!(ending.state.meta, session.new.meta, "meta");
    ensure_eq!(
        ending.state.status.outcome(),
        Some(Outcome::Aborted),
        "outcome"
    );
    ensure_eq!(ending.state.tail, Lsn::new(3), "tail");
    ensure_eq!(ending.request, session.new.request, "request");
    ensure_eq!(
        ending.summary,
        Bytes::from_static(b"the summary"),
        "summary"
    );
    ensure_eq!((ending.delivery, ending.deleted), (1, false), "delivery");
    ensure!(
        ending.expires_in <= store.steps(OUTBOX) && ending.expires_in > Duration::ZERO,
        "it expires in {:?}",
        ending.expires_in
    );
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    Ok(())
}

pub(crate) async fn a_session_without_an_outbox_has_no_ending(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let new = outbox.new_session(&outbox.service);
    let without = SessionMeta {
        outbox: None,
        ..SessionMeta::clone(&new.meta)
    };
    let new = NewSession {
        meta: Arc::new(without),
        ..new
    };
    let session = outbox.store.created_from(new).await?;
    let seal = outbox.seal(100);
    outbox.store.push(&session, 1, &["a"], seal).await?;
    let with = outbox.sealed(100).await?;
    ensure_eq!(outbox.one("of the other").await?.id, with.id, "the ending");
    Ok(())
}

pub(crate) async fn an_ending_is_leased_to_one_caller(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let session = outbox.sealed(100).await?;
    ensure_eq!(outbox.one("at first").await?.delivery, 1, "first delivery");
    outbox.none("that are leased").await?;
    outbox.store.advance(TAKEN + 1).await;
    let again = outbox.one("after the lease").await?;
    ensure_eq!(
        (again.id, again.delivery),
        (session.id, 2),
        "second delivery"
    );
    Ok(())
}

pub(crate) async fn endings_are_those_of_a_service(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let another = ServiceName::new(format!("{}, another", outbox.service.as_str()));
    let other = outbox
        .store
        .created_from(outbox.new_session(&another))
        .await?;
    let seal = outbox.seal(100);
    outbox.store.push(&other, 1, &["a"], seal).await?;
    let session = outbox.sealed(100).await?;
    ensure_eq!(
        outbox.one("of the service").await?.id,
        session.id,
        "the ending"
    );
    Ok(())
}

pub(crate) async fn endings_keep_to_their_limit_and_order(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let mut sealed = Vec::new();
    for _ in 0..3 {
        sealed.push(outbox.sealed(100).await?.id);
        outbox.store.advance(1).await;
    }
    let ids = |taken: Vec<PendingEnding>| -> Vec<_> { taken.into_iter().map(|it| it.id).collect() };
    // All are there before the first is taken.
    ensure_eq!(outbox.taken(3).await?.len(), 3, "endings");
    outbox.store.advance(TAKEN + 1).await;
    ensure_eq!(outbox.take(0).await?.len(), 0, "none asked for");
    for ending in outbox.taken(3).await? {
        let nth = sealed.iter().position(|id| *id == ending.id).unwrap_or(3);
        let by = outbox.store.steps(1) * u32::try_from(nth).unwrap_or(3) / 4;
        outbox
            .store
            .postpone_ending(&ending.id, ending.delivery, by)
            .await?;
    }
    outbox.store.advance(1).await;
    ensure_eq!(ids(outbox.take(2).await?), sealed[..2], "those due first");
    ensure_eq!(ids(outbox.take(2).await?), sealed[2..], "the last");
    Ok(())
}

pub(crate) async fn an_ending_is_postponed_by_its_taker(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let store = &outbox.store;
    let running = outbox.created().await?;
    let postponed = store.postpone_ending(&running.id, 1, store.steps(1)).await;
    ensure_matches!(postponed, Err(StoreError::NotFound), "before the seal");
    let session = outbox.sealed(100).await?;
    let first = outbox.one("at first").await?;
    let later = store.steps(TAKEN + 2);
    store
        .postpone_ending(&session.id, first.delivery, later)
        .await?;
    store.advance(TAKEN + 1).await;
    outbox.none("that are postponed").await?;
    store
        .postpone_ending(&session.id, first.delivery, Duration::ZERO)
        .await?;
    let second = outbox.one("that was given back").await?;
    ensure_eq!(second.delivery, first.delivery + 1, "delivery");
    let stale = store
        .postpone_ending(&session.id, first.delivery, Duration::ZERO)
        .await;
    ensure_matches!(stale, Err(StoreError::Fenced), "a former taker");
    outbox.none("that a former taker gave back").await?;
    Ok(())
}

pub(crate) async fn a_delivered_ending_is_gone(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let store = &outbox.store;
    let session = outbox.sealed(100).await?;
    let taken = outbox.one("at first").await?;
    for _ in 0..2 {
        store.delivered(&session.id, session.epoch).await?;
    }
    store.delivered(&SessionId::random(), session.epoch).await?;
    let postponed = store
        .postpone_ending(&session.id, taken.delivery, Duration::ZERO)
        .await;
    ensure_matches!(postponed, Err(StoreError::NotFound), "a delivered one");
    // A repeated seal changes nothing.
    let records = chunk(1, session.epoch, &["a", "b", "c"]);
    store.append(&session.id, records, outbox.seal(100)).await?;
    store.advance(TAKEN + 1).await;
    outbox.none("after the delivery").await?;
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    Ok(())
}

pub(crate) async fn a_session_is_kept_until_its_ending_is_delivered(
    store: StoreFixture,
) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let store = &outbox.store;
    let session = outbox.sealed(1).await?;
    store.advance(4).await;
    while store.sweep(100).await? > 0 {}
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    let ending = outbox.one("after the retention").await?;
    ensure_eq!(ending.request, session.new.request, "request");
    let released = store
        .delete(&session.id, DeleteMode::Released(Holder(1)))
        .await;
    ensure_matches!(
        released,
        Err(StoreError::Held),
        "a release before the delivery"
    );
    store.delivered(&session.id, session.epoch).await?;
    let state = store.state(&session.id).await;
    ensure_matches!(
        state,
        Err(StoreError::Gone(_)),
        "a delivered one past its retention"
    );
    Ok(())
}

pub(crate) async fn the_ending_of_a_deleted_session_remains(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let store = &outbox.store;
    let session = outbox.created().await?;
    let reason = Some("private".into());
    store.abort(&session.id, AbortRequest { reason }).await?;
    let seal = outbox.seal(100);
    store.push(&session, 1, &["a", "b", "c"], seal).await?;
    store.delete(&session.id, DeleteMode::Now).await?;
    let state = store.state(&session.id).await;
    ensure_matches!(state, Err(StoreError::Gone(_)), "a deleted session");
    while store.sweep(100).await? > 0 {}
    let ending = outbox.one("of a deleted session").await?;
    ensure_eq!(
        (ending.id.clone(), ending.deleted),
        (session.id.clone(), true),
        "ending"
    );
    ensure_eq!(ending.state.meta, session.new.meta, "meta");
    ensure_eq!(
        ending.state.status.outcome(),
        Some(Outcome::Aborted),
        "outcome"
    );
    ensure_eq!(
        ending.summary,
        Bytes::from_static(b"the summary"),
        "summary"
    );
    ensure_eq!(ending.request, Bytes::new(), "request");
    let reason = ending.state.abort.and_then(|abort| abort.reason);
    ensure_eq!(reason, None, "the reason of the abort");
    store.delivered(&session.id, session.epoch).await?;
    store.advance(TAKEN + 1).await;
    outbox.none("after the delivery").await?;
    let state = store.state(&session.id).await;
    ensure_matches!(state, Err(StoreError::Gone(_)), "its tombstone");
    Ok(())
}

pub(crate) async fn a_delivery_is_that_of_one_seal(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let store = &outbox.store;
    let session = outbox.created().await?;
    // A late word about an ending that the store has lost, or of another session with the id.
    store.delivered(&session.id, Epoch::first()).await?;
    store.delivered(&session.id, session.epoch).await?;
    let seal = outbox.seal(100);
    store.push(&session, 1, &["a"], seal).await?;
    store.delivered(&session.id, Epoch::first()).await?;
    ensure_eq!(outbox.one("of the seal").await?.id, session.id, "ending");
    store.delivered(&session.id, Epoch::first()).await?;
    store.advance(TAKEN + 1).await;
    ensure_eq!(outbox.one("again").await?.delivery, 2, "delivery");
    Ok(())
}

pub(crate) async fn a_fenced_seal_has_no_ending(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let store = &outbox.store;
    let session = outbox.created().await?;
    store.advance(LEASE + 1).await;
    store.claim_session(&session).await?;
    let fenced = store.push(&session, 1, &["a"], outbox.seal(100)).await;
    ensure_matches!(fenced, Err(StoreError::Fenced), "a former owner's seal");
    outbox.none("of a fenced seal").await
}

pub(crate) async fn callers_at_once_take_different_endings(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let mut sealed = HashSet::new();
    for _ in 0..12 {
        sealed.insert(outbox.sealed(100).await?.id);
    }
    let mut taken = Vec::new();
    for _ in 0..10 {
        let callers = (0..4).map(|_| {
            let (store, service) = (outbox.store.clone(), outbox.service.clone());
            tokio::spawn(async move {
                let lease = store.steps(100);
                store.endings(&service, 3, lease).await
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            let endings = caller.await.map_err(|panic| {
                CaseStop::Failed(format!("a call of `endings` panicked: {panic}"))
            })??;
            taken.extend(endings.into_iter().map(|ending| ending.id));
        }
        if taken.len() >= sealed.len() {
            break;
        }
        tokio::time::sleep(outbox.store.steps(1) / 4).await;
    }
    ensure_eq!(taken.len(), sealed.len(), "endings that were taken");
    let different: HashSet<_> = taken.into_iter().collect();
    ensure_eq!(different, sealed, "different ones");
    Ok(())
}

pub(crate) async fn a_deleted_session_is_hidden_while_its_ending_waits(
    store: StoreFixture,
) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let store = &outbox.store;
    let session = outbox.sealed(100).await?;
    store.delete(&session.id, DeleteMode::Now).await?;
    let owner = session.new.meta.owner.clone();
    let listed = || async {
        let filter = Filter {
            owner: owner.clone(),
            ..Filter::default()
        };
        let list = store.list(&filter).await?.sessions.len();
        let chat = store
            .of_chat(owner.as_ref(), &ChatId::new("a chat"), 9)
            .await?;
        Ok::<_, CaseStop>(list + chat.len())
    };
    let shown = store.eventually(|_| listed(), |shown| *shown == 0).await?;
    ensure_eq!(shown, 0, "lists that show it");
    let again = store.create(&session.id, session.new.clone()).await;
    ensure_matches!(again, Err(StoreError::Gone(_)), "its id");
    let records = store.read(&session.id, Position::START, 100).await;
    ensure_matches!(records, Err(StoreError::Gone(_)), "its records");
    ensure!(outbox.one("of it").await?.deleted, "it isn't deleted");
    Ok(())
}

pub(crate) async fn a_late_delivery_leaves_a_tombstone(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let new = NewSession {
        tombstone: outbox.store.steps(2),
        ..outbox.new_session(&outbox.service)
    };
    let store = &outbox.store;
    let session = store.created_from(new).await?;
    store.push(&session, 1, &["a"], outbox.seal(1)).await?;
    outbox.one("at first").await?;
    // Past the retention, and the length of a tombstone after it.
    store.advance(5).await;
    store.delivered(&session.id, session.epoch).await?;
    let state = store.state(&session.id).await;
    ensure_matches!(
        state,
        Err(StoreError::Gone(_)),
        "a session after a late delivery"
    );
    store.advance(3).await;
    let state = store.state(&session.id).await;
    ensure_matches!(state, Err(StoreError::NotFound), "after its tombstone");
    Ok(())
}

pub(crate) async fn dropped_endings_keep_no_others_waiting(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    for _ in 0..3 {
        outbox.sealed(100).await?;
    }
    outbox.store.advance(OUTBOX + 1).await;
    let session = outbox.sealed(100).await?;
    let taken = outbox
        .store
        .eventually(
            |_| async { outbox.take(1).await },
            |taken: &Vec<_>| !taken.is_empty(),
        )
        .await?;
    let ids: Vec<_> = taken.into_iter().map(|it| it.id).collect();
    ensure_eq!(ids, [session.id], "the ending behind dropped ones");
    Ok(())
}

pub(crate) async fn an_ending_is_dropped_after_its_time(store: StoreFixture) -> CaseResult {
    let outbox = OutboxScene::new(store);
    let store = &outbox.store;
    let (session, kept) = (outbox.sealed(1).await?, outbox.sealed(100).await?);
    let taken = outbox.taken(2).await?;
    store.advance(OUTBOX + 1).await;
    outbox.none("after its time").await?;
    for ending in taken {
        let postponed = store
            .postpone_ending(&ending.id, ending.delivery, Duration::ZERO)
            .await;
        ensure!(
            matches!(postponed, Err(StoreError::NotFound | StoreError::Gone(_))),
            "a dropped ending was postponed: {postponed:?}"
        );
    }
    let state = store.state(&session.id).await;
    ensure_matches!(state, Err(StoreError::Gone(_)), "past its retention");
    ensure_eq!(store.texts(&kept.id, 0).await?, ["a", "b", "c"], "records");
    Ok(())
}
