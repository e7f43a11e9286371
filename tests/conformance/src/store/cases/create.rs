use std::{sync::Arc, time::Duration};

use crate::store::{
    fixture::{LEASE, StoreFixture, chunk},
    report::{CaseResult, CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{Epoch, Lsn, Position, SessionId, Status},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Holder, Lease, LeaseChange, StoreError,
        StoredAnswer, Token, Tombstone,
    },
};

pub(crate) async fn a_new_session_is_empty_and_owned(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let state = store.state(&session.id).await?;
    ensure_eq!(state.epoch, session.epoch, "epoch");
    ensure_eq!(state.meta, session.new.meta, "meta");
    ensure_eq!(state.tail, Lsn::ZERO, "tail");
    ensure_eq!(state.status, Status::Streaming, "status");
    ensure_eq!(state.attempts, 0, "attempts");
    ensure_eq!(state.abort, None, "abort");
    let lease = store.steps(LEASE);
    ensure_matches!(state.lease, Lease::Held(left) if *left <= lease, "lease");
    ensure_eq!(store.texts(&session.id, 0).await?, [""; 0], "records");
    Ok(())
}

pub(crate) async fn an_id_in_use_is_not_created_again(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    let again = store.create(&session.id, store.new_session()).await?;
    ensure_matches!(again, Created::Exists(state) if state.epoch == session.epoch, "answer");
    let state = store.state(&session.id).await?;
    ensure_eq!(state.meta, session.new.meta, "meta");
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    Ok(())
}

pub(crate) async fn a_repeated_create_gets_the_same_epoch(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    for _ in 0..2 {
        let again = store.create(&session.id, session.new.clone()).await?;
        ensure_matches!(again, Created::Created(epoch) if *epoch == session.epoch, "answer");
    }
    Ok(())
}

pub(crate) async fn a_create_repeated_after_a_claim_is_exists(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    store.advance(LEASE + 1).await;
    store.claim_session(&session).await?;
    let again = store.create(&session.id, session.new.clone()).await?;
    ensure_matches!(again, Created::Exists(_), "answer");
    Ok(())
}

pub(crate) async fn a_dropped_create_can_be_repeated(store: StoreFixture) -> CaseResult {
    let (id, new) = (SessionId::random(), store.new_session());
    {
        let dropped = store.create(&id, new.clone());
        drop(tokio::time::timeout(Duration::ZERO, dropped).await);
    }
    let again = store.create(&id, new).await?;
    let epoch = store.state(&id).await?.epoch;
    ensure_matches!(again, Created::Created(is) if *is == epoch, "answer");
    Ok(())
}

pub(crate) async fn a_create_under_a_tombstone_is_gone(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    store.delete(&session.id, DeleteMode::Now).await?;
    for new in [session.new.clone(), store.new_session()] {
        let left = Tombstone {
            owner: session.new.meta.owner.clone(),
            digest: session.new.meta.digest,
        };
        let again = store.create(&session.id, new).await;
        ensure_matches!(again, Err(StoreError::Gone(it)) if *it == left, "answer");
    }
    Ok(())
}

pub(crate) async fn racing_creates_have_one_winner(store: StoreFixture) -> CaseResult {
    let id = SessionId::random();
    let race = (0..8).map(|_| {
        let (store, id) = (store.clone(), id.clone());
        tokio::spawn(async move { store.create(&id, store.new_session()).await })
    });
    let race: Vec<_> = race.collect();
    let mut winners = Vec::new();
    for task in race {
        let answer = task
            .await
            .map_err(|panic| CaseStop::Failed(panic.to_string()))?;
        if let Created::Created(epoch) = answer? {
            winners.push(epoch);
        }
    }
    ensure_eq!(winners, [store.state(&id).await?.epoch], "winners");
    Ok(())
}

pub(crate) async fn an_unknown_id_is_not_found(store: StoreFixture) -> CaseResult {
    let id = SessionId::random();
    for (call, error) in every_call(&store, &id, Epoch::first()).await {
        ensure!(
            matches!(error, Some(StoreError::NotFound)),
            "{call} answered {error:?} instead of NotFound"
        );
    }
    let deleted = store.delete(&id, DeleteMode::Now).await;
    ensure_matches!(deleted, Err(StoreError::NotFound), "delete");
    Ok(())
}

/// Calls every method but `create` and `delete` for this id, and returns the errors.
pub(super) async fn every_call(
    store: &StoreFixture,
    id: &SessionId,
    epoch: Epoch,
) -> Vec<(&'static str, Option<StoreError>)> {
    let append = store.append(id, chunk(1, epoch, &["x"]), AfterAppend::Streaming);
    let owned = [(id.clone(), epoch)];
    let renewed = store
        .renew(&owned, LeaseChange::Extend(store.steps(1)))
        .await
        .pop();
    let abort = AbortRequest {
        reason: Some(Arc::from("stop")),
    };
    vec![
        ("claim", store.claim(id, epoch, Token::random()).await.err()),
        ("renew", renewed.and_then(Result::err)),
        ("append", append.await.err()),
        ("read", store.read(id, Position::START, 1).await.err()),
        ("changed", store.state(id).await.err()),
        ("abort", store.abort(id, abort).await.err()),
        (
            "answer",
            store.answer(id, StoredAnswer::new("a", "b")).await.err(),
        ),
        ("answers", store.answers(id, 0).await.err()),
        (
            "hold",
            store.hold(id, Holder(1), store.steps(1)).await.err(),
        ),
    ]
}
