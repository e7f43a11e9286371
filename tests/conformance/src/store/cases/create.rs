use std::{sync::Arc, time::Duration};

use crate::store::{
    fixture::{LEASE, StoreFixture, chunk},
    report::{CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{Epoch, Lsn, Position, SessionId, Status},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Holder, Lease, LeaseChange, StoreError,
        StoredAnswer, Token, Tombstone,
    },
};

pub(in crate::store) async fn a_new_session_is_empty_and_owned(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let state = bed.now(&made.id).await?;
    ensure_eq!(state.epoch, made.epoch, "epoch");
    ensure_eq!(state.info, made.new.info, "info");
    ensure_eq!(state.tail, Lsn::ZERO, "tail");
    ensure_eq!(state.status, Status::Streaming, "status");
    ensure_eq!(state.attempts, 0, "attempts");
    ensure_eq!(state.abort, None, "abort");
    let lease = bed.steps(LEASE);
    ensure_matches!(state.lease, Lease::Held(left) if *left <= lease, "lease");
    ensure_eq!(bed.texts(&made.id, 0).await?, [""; 0], "records");
    Ok(())
}

pub(in crate::store) async fn a_taken_id_is_not_created_again(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    let again = bed.create(&made.id, bed.what()).await?;
    ensure_matches!(again, Created::Exists(state) if state.epoch == made.epoch, "answer");
    let state = bed.now(&made.id).await?;
    ensure_eq!(state.info, made.new.info, "info");
    ensure_eq!(bed.texts(&made.id, 0).await?, ["a", "b", "c"], "records");
    Ok(())
}

pub(in crate::store) async fn a_repeated_create_gets_the_same_epoch(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    for _ in 0..2 {
        let again = bed.create(&made.id, made.new.clone()).await?;
        ensure_matches!(again, Created::Created(epoch) if *epoch == made.epoch, "answer");
    }
    Ok(())
}

pub(in crate::store) async fn a_create_repeated_after_a_claim_finds_it_taken(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    bed.pass(LEASE + 1).await;
    bed.claim(&made.id, made.epoch, Token::random()).await?;
    let again = bed.create(&made.id, made.new.clone()).await?;
    ensure_matches!(again, Created::Exists(_), "answer");
    Ok(())
}

pub(in crate::store) async fn a_create_that_was_dropped_can_be_repeated(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let (id, new) = (SessionId::random(), bed.what());
    {
        let dropped = bed.create(&id, new.clone());
        drop(tokio::time::timeout(Duration::ZERO, dropped).await);
    }
    let again = bed.create(&id, new).await?;
    let epoch = bed.now(&id).await?.epoch;
    ensure_matches!(again, Created::Created(is) if *is == epoch, "answer");
    Ok(())
}

pub(in crate::store) async fn nothing_is_created_under_a_tombstone(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    bed.delete(&made.id, DeleteMode::Now).await?;
    for new in [made.new.clone(), bed.what()] {
        let left = Tombstone {
            owner: made.new.info.owner.clone(),
            digest: made.new.info.digest,
        };
        let again = bed.create(&made.id, new).await;
        ensure_matches!(again, Err(StoreError::Gone(it)) if *it == left, "answer");
    }
    Ok(())
}

pub(in crate::store) async fn racing_creates_have_one_winner(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let id = SessionId::random();
    let race = (0..8).map(|_| {
        let (bed, id) = (bed.clone(), id.clone());
        tokio::spawn(async move { bed.create(&id, bed.what()).await })
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
    ensure_eq!(winners, [bed.now(&id).await?.epoch], "winners");
    Ok(())
}

pub(in crate::store) async fn an_id_that_never_was_is_not_found(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let id = SessionId::random();
    for (call, error) in every_call(&bed, &id, Epoch::first()).await {
        ensure!(
            matches!(error, Some(StoreError::NotFound)),
            "{call} answered {error:?} instead of NotFound"
        );
    }
    let deleted = bed.delete(&id, DeleteMode::Now).await;
    ensure_matches!(deleted, Err(StoreError::NotFound), "delete");
    Ok(())
}

/// What every method but `create` and `delete` has against this id.
pub(super) async fn every_call(
    bed: &StoreFixture,
    id: &SessionId,
    epoch: Epoch,
) -> Vec<(&'static str, Option<StoreError>)> {
    let append = bed.append(id, chunk(1, epoch, &["x"]), AfterAppend::Streaming);
    let owned = [(id.clone(), epoch)];
    let renewed = bed
        .renew(&owned, LeaseChange::Extend(bed.steps(1)))
        .await
        .pop();
    let abort = AbortRequest {
        reason: Some(Arc::from("stop")),
    };
    vec![
        ("claim", bed.claim(id, epoch, Token::random()).await.err()),
        ("renew", renewed.and_then(Result::err)),
        ("append", append.await.err()),
        ("read", bed.read(id, Position::START, 1).await.err()),
        ("changed", bed.now(id).await.err()),
        ("abort", bed.abort(id, abort).await.err()),
        (
            "answer",
            bed.answer(id, StoredAnswer::new("a", "b")).await.err(),
        ),
        ("answers", bed.answers(id, 0).await.err()),
        ("hold", bed.hold(id, Holder(1), bed.steps(1)).await.err()),
    ]
}
