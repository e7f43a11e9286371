use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture, chunk, texts},
    report::{CaseResult, CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{Epoch, ErrorCode, Lsn, Outcome, Status},
    store::{AbortRequest, AfterAppend, Lease, Seal, StoreError},
};

const STREAMING: AfterAppend = AfterAppend::Streaming;

pub(crate) async fn records_are_read_as_they_were_appended(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let long = "x".repeat(10_000);
    store.push(&session, 1, &["a"], STREAMING).await?;
    store.push(&session, 2, &["", "b", ""], STREAMING).await?;
    store
        .push(&session, 5, &[&long, "\u{0}\n"], STREAMING)
        .await?;
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::new(6), "tail");
    let all = ["a", "", "b", "", &long, "\u{0}\n"];
    ensure_eq!(store.texts(&session.id, 0).await?, all, "records");
    Ok(())
}

pub(crate) async fn many_small_appends_are_read_in_order(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let all: Vec<String> = (1..=300).map(|lsn| format!("record {lsn}")).collect();
    for (record, lsn) in all.iter().zip(1..) {
        let record = chunk(lsn, session.epoch, &[record]);
        let appended = store.append(&session.id, record, STREAMING).await?;
        if let Some(kept) = appended.kept {
            ensure_eq!(kept.last(), Lsn::new(lsn), "last of the kept records");
            let first = usize::try_from(kept.first().get()).unwrap_or(usize::MAX) - 1;
            let read = texts(std::slice::from_ref(&kept), kept.first().before())?;
            ensure_eq!(read, all[first..first + kept.len()], "kept records");
        }
    }
    ensure_eq!(store.texts(&session.id, 0).await?, all, "records");
    store
        .push(&session, 301, &["the end"], store.seal(100))
        .await?;
    ensure_eq!(
        store.texts(&session.id, 300).await?,
        ["the end"],
        "last record"
    );
    ensure_eq!(
        store.texts(&session.id, 0).await?[..300],
        all,
        "records once sealed"
    );
    Ok(())
}

pub(crate) async fn a_repeated_append_changes_nothing(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    store.push(&session, 1, &["a", "b", "c"], STREAMING).await?;
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::new(3), "tail");
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    store.push(&session, 4, &["d"], store.seal(100)).await?;
    store.push(&session, 4, &["d"], store.seal(100)).await?;
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c", "d"],
        "records"
    );
    Ok(())
}

pub(crate) async fn a_repeated_append_succeeds_after_a_claim(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    store.advance(LEASE + 1).await;
    store.claim_session(&session).await?;
    store.push(&session, 1, &["a", "b", "c"], STREAMING).await?;
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    Ok(())
}

pub(crate) async fn the_same_lsn_of_another_epoch_is_no_repetition(
    store: StoreFixture,
) -> CaseResult {
    let session = store.with_abc().await?;
    let stranger = CreatedSession {
        epoch: Epoch {
            bits: !session.epoch.bits,
            ..session.epoch
        },
        ..session
    };
    let append = store.push(&stranger, 1, &["a", "b", "c"], STREAMING).await;
    ensure_matches!(append, Err(StoreError::Fenced), "append");
    Ok(())
}

pub(crate) async fn racing_repetitions_are_added_once(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let race = (0..8).map(|_| {
        let (store, session) = (store.clone(), session.clone());
        tokio::spawn(async move { store.push(&session, 1, &["a", "b"], STREAMING).await })
    });
    let race: Vec<_> = race.collect();
    for task in race {
        task.await
            .map_err(|panic| CaseStop::Failed(panic.to_string()))??;
    }
    ensure_eq!(store.texts(&session.id, 0).await?, ["a", "b"], "records");
    Ok(())
}

pub(crate) async fn fenced_comes_before_other_refusals(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    store.advance(LEASE + 1).await;
    let claimed = store.claim_session(&session).await?;
    for first in [2, 4, 9] {
        let append = store
            .push(&session, first, &["x", "y", "z"], STREAMING)
            .await;
        ensure_matches!(append, Err(StoreError::Fenced), "append");
    }
    let owner = CreatedSession {
        epoch: claimed.epoch,
        ..session.clone()
    };
    store.push(&owner, 4, &["d"], store.seal(100)).await?;
    let append = store.push(&session, 5, &["x"], STREAMING).await;
    ensure_matches!(append, Err(StoreError::Fenced), "append once sealed");
    Ok(())
}

pub(crate) async fn an_append_after_the_seal_is_sealed(store: StoreFixture) -> CaseResult {
    let session = store.sealed(100).await?;
    for (first, then) in [
        (4, STREAMING),
        (4, store.seal(100)),
        (2, STREAMING),
        (9, STREAMING),
    ] {
        let append = store.push(&session, first, &["x"], then).await;
        ensure_matches!(append, Err(StoreError::Sealed), "append");
    }
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::new(3), "tail");
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    Ok(())
}

pub(crate) async fn an_append_past_the_next_lsn_is_rewound(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    for first in [5, 100] {
        let append = store.push(&session, first, &["x"], STREAMING).await;
        let tail = Lsn::new(3);
        ensure_matches!(append, Err(StoreError::Rewound { tail: is }) if *is == tail, "append");
    }
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    Ok(())
}

pub(crate) async fn an_append_before_the_next_lsn_is_a_conflict(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    for records in [&["x"][..], &["x", "y", "z"][..]] {
        let append = store.push(&session, 2, records, STREAMING).await;
        let tail = Lsn::new(3);
        ensure_matches!(append, Err(StoreError::Conflict { tail: is }) if *is == tail, "append");
    }
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::new(3), "tail");
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    Ok(())
}

pub(crate) async fn an_append_that_is_too_large_is_refused(store: StoreFixture) -> CaseResult {
    let Some(max) = store.max_append_bytes() else {
        return Err(CaseStop::NotApplicable(
            "the harness names no max_append_bytes".into(),
        ));
    };
    let session = store.created().await?;
    let over = "x".repeat(max + 1);
    let append = store.push(&session, 1, &[&over], STREAMING).await;
    ensure_matches!(append, Err(StoreError::TooLarge { max: is }) if *is == max, "append");
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::ZERO, "tail");
    store.push(&session, 1, &[&over[1..]], STREAMING).await?;
    Ok(())
}

pub(crate) async fn an_append_extends_the_lease(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    store.advance(LEASE - 1).await;
    store.push(&session, 1, &["a"], STREAMING).await?;
    store.advance(LEASE - 1).await;
    let claimed = store.claim_session(&session).await;
    ensure_matches!(claimed, Err(StoreError::Held), "claim");
    store.advance(2).await;
    store.claim_session(&session).await?;
    Ok(())
}

pub(crate) async fn an_append_returns_a_stored_abort(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let first = store.append(&session.id, chunk(1, session.epoch, &["a"]), STREAMING);
    ensure_eq!(first.await?.abort, None, "before the abort");
    let abort = AbortRequest {
        reason: Some("enough".into()),
    };
    store.abort(&session.id, abort.clone()).await?;
    let then = store.append(&session.id, chunk(2, session.epoch, &["b"]), STREAMING);
    ensure_eq!(then.await?.abort, Some(abort), "after the abort");
    Ok(())
}

pub(crate) async fn an_append_sets_the_status(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    store
        .push(&session, 1, &["a"], AfterAppend::Waiting)
        .await?;
    ensure_eq!(
        store.state(&session.id).await?.status,
        Status::Waiting,
        "status"
    );
    store.push(&session, 2, &["b"], STREAMING).await?;
    ensure_eq!(
        store.state(&session.id).await?.status,
        Status::Streaming,
        "status"
    );
    Ok(())
}

pub(crate) async fn a_seal_sets_the_outcome(store: StoreFixture) -> CaseResult {
    let errors = ErrorCode::ALL.iter().copied().map(Outcome::Error);
    for outcome in [Outcome::Complete, Outcome::Aborted]
        .into_iter()
        .chain(errors)
    {
        let session = store.created().await?;
        let keep = store.steps(100);
        let then = AfterAppend::Seal(Seal::new(outcome, keep));
        store.push(&session, 1, &["a", "z"], then).await?;
        let state = store.state(&session.id).await?;
        ensure_eq!(state.status, Status::Ended(outcome), "status");
        ensure_eq!(state.tail, Lsn::new(2), "tail");
        ensure_eq!(state.lease, Lease::Free, "lease");
        ensure!(state.epoch == session.epoch, "a seal changed the epoch");
    }
    Ok(())
}
