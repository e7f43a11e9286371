use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture, chunk},
    report::{CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{Epoch, ErrorCode, Lsn, Outcome, Status},
    store::{AbortRequest, AfterAppend, Lease, Seal, StoreError, Token},
};

const STREAMING: AfterAppend = AfterAppend::Streaming;

pub(in crate::store) async fn records_come_back_as_they_were_appended(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let long = "x".repeat(10_000);
    bed.push(&made, 1, &["a"], STREAMING).await?;
    bed.push(&made, 2, &["", "b", ""], STREAMING).await?;
    bed.push(&made, 5, &[&long, "\u{0}\n"], STREAMING).await?;
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::new(6), "tail");
    let all = ["a", "", "b", "", &long, "\u{0}\n"];
    ensure_eq!(bed.texts(&made.id, 0).await?, all, "records");
    Ok(())
}

pub(in crate::store) async fn many_small_appends_come_back_as_they_were(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let all: Vec<String> = (1..=300).map(|lsn| format!("record {lsn}")).collect();
    for (record, lsn) in all.iter().zip(1..) {
        bed.push(&made, lsn, &[record], STREAMING).await?;
    }
    ensure_eq!(bed.texts(&made.id, 0).await?, all, "records");
    bed.push(&made, 301, &["the end"], bed.seal(100)).await?;
    ensure_eq!(bed.texts(&made.id, 300).await?, ["the end"], "last record");
    ensure_eq!(
        bed.texts(&made.id, 0).await?[..300],
        all,
        "records once sealed"
    );
    Ok(())
}

pub(in crate::store) async fn a_repeated_append_changes_nothing(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    bed.push(&made, 1, &["a", "b", "c"], STREAMING).await?;
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::new(3), "tail");
    ensure_eq!(bed.texts(&made.id, 0).await?, ["a", "b", "c"], "records");
    bed.push(&made, 4, &["d"], bed.seal(100)).await?;
    bed.push(&made, 4, &["d"], bed.seal(100)).await?;
    ensure_eq!(
        bed.texts(&made.id, 0).await?,
        ["a", "b", "c", "d"],
        "records"
    );
    Ok(())
}

pub(in crate::store) async fn a_repeated_append_succeeds_though_another_took_over(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    bed.pass(LEASE + 1).await;
    bed.claim(&made.id, made.epoch, Token::random()).await?;
    bed.push(&made, 1, &["a", "b", "c"], STREAMING).await?;
    ensure_eq!(bed.texts(&made.id, 0).await?, ["a", "b", "c"], "records");
    Ok(())
}

pub(in crate::store) async fn the_same_place_by_another_epoch_is_no_repetition(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    let stranger = CreatedSession {
        epoch: Epoch {
            bits: !made.epoch.bits,
            ..made.epoch
        },
        ..made
    };
    let append = bed.push(&stranger, 1, &["a", "b", "c"], STREAMING).await;
    ensure_matches!(append, Err(StoreError::Fenced), "append");
    Ok(())
}

pub(in crate::store) async fn racing_repetitions_are_added_once(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let race = (0..8).map(|_| {
        let (bed, made) = (bed.clone(), made.clone());
        tokio::spawn(async move { bed.push(&made, 1, &["a", "b"], STREAMING).await })
    });
    let race: Vec<_> = race.collect();
    for task in race {
        task.await
            .map_err(|panic| CaseStop::Failed(panic.to_string()))??;
    }
    ensure_eq!(bed.texts(&made.id, 0).await?, ["a", "b"], "records");
    Ok(())
}

pub(in crate::store) async fn a_stale_epoch_is_told_so_before_anything_else(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    bed.pass(LEASE + 1).await;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await?;
    for first in [2, 4, 9] {
        let append = bed.push(&made, first, &["x", "y", "z"], STREAMING).await;
        ensure_matches!(append, Err(StoreError::Fenced), "append");
    }
    let owner = CreatedSession {
        epoch: claimed.epoch,
        ..made.clone()
    };
    bed.push(&owner, 4, &["d"], bed.seal(100)).await?;
    let append = bed.push(&made, 5, &["x"], STREAMING).await;
    ensure_matches!(append, Err(StoreError::Fenced), "append once sealed");
    Ok(())
}

pub(in crate::store) async fn nothing_follows_the_terminal_event(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.sealed(100).await?;
    for (first, then) in [
        (4, STREAMING),
        (4, bed.seal(100)),
        (2, STREAMING),
        (9, STREAMING),
    ] {
        let append = bed.push(&made, first, &["x"], then).await;
        ensure_matches!(append, Err(StoreError::Sealed), "append");
    }
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::new(3), "tail");
    ensure_eq!(bed.texts(&made.id, 0).await?, ["a", "b", "c"], "records");
    Ok(())
}

pub(in crate::store) async fn an_append_beyond_the_end_is_rewound(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    for first in [5, 100] {
        let append = bed.push(&made, first, &["x"], STREAMING).await;
        let tail = Lsn::new(3);
        ensure_matches!(append, Err(StoreError::Rewound { tail: is }) if *is == tail, "append");
    }
    ensure_eq!(bed.texts(&made.id, 0).await?, ["a", "b", "c"], "records");
    Ok(())
}

pub(in crate::store) async fn an_append_before_the_end_is_a_conflict(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    for records in [&["x"][..], &["x", "y", "z"][..]] {
        let append = bed.push(&made, 2, records, STREAMING).await;
        let tail = Lsn::new(3);
        ensure_matches!(append, Err(StoreError::Conflict { tail: is }) if *is == tail, "append");
    }
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::new(3), "tail");
    ensure_eq!(bed.texts(&made.id, 0).await?, ["a", "b", "c"], "records");
    Ok(())
}

pub(in crate::store) async fn an_append_that_is_too_large_is_refused(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let Some(max) = bed.max_append() else {
        return Err(CaseStop::NotApplicable(
            "the harness names no max_append".into(),
        ));
    };
    let made = bed.made().await?;
    let over = "x".repeat(max + 1);
    let append = bed.push(&made, 1, &[&over], STREAMING).await;
    ensure_matches!(append, Err(StoreError::TooLarge { max: is }) if *is == max, "append");
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::ZERO, "tail");
    bed.push(&made, 1, &[&over[1..]], STREAMING).await?;
    Ok(())
}

pub(in crate::store) async fn an_append_extends_the_lease(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    bed.pass(LEASE - 1).await;
    bed.push(&made, 1, &["a"], STREAMING).await?;
    bed.pass(LEASE - 1).await;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await;
    ensure_matches!(claimed, Err(StoreError::Held), "claim");
    bed.pass(2).await;
    bed.claim(&made.id, made.epoch, Token::random()).await?;
    Ok(())
}

pub(in crate::store) async fn an_append_tells_of_an_abort(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let first = bed.append(&made.id, chunk(1, made.epoch, &["a"]), STREAMING);
    ensure_eq!(first.await?.abort, None, "before the abort");
    let abort = AbortRequest {
        reason: Some("enough".into()),
    };
    bed.abort(&made.id, abort.clone()).await?;
    let then = bed.append(&made.id, chunk(2, made.epoch, &["b"]), STREAMING);
    ensure_eq!(then.await?.abort, Some(abort), "after the abort");
    Ok(())
}

pub(in crate::store) async fn an_append_says_whether_the_session_waits(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    bed.push(&made, 1, &["a"], AfterAppend::Waiting).await?;
    ensure_eq!(bed.now(&made.id).await?.status, Status::Waiting, "status");
    bed.push(&made, 2, &["b"], STREAMING).await?;
    ensure_eq!(bed.now(&made.id).await?.status, Status::Streaming, "status");
    Ok(())
}

pub(in crate::store) async fn a_seal_says_how_it_ended(bed: StoreFixture) -> Result<(), CaseStop> {
    let errors = ErrorCode::ALL.map(Outcome::Error);
    for outcome in [Outcome::Complete, Outcome::Aborted]
        .into_iter()
        .chain(errors)
    {
        let made = bed.made().await?;
        let keep = bed.steps(100);
        let then = AfterAppend::Seal(Seal { outcome, keep });
        bed.push(&made, 1, &["a", "z"], then).await?;
        let state = bed.now(&made.id).await?;
        ensure_eq!(state.status, Status::Ended(outcome), "status");
        ensure_eq!(state.tail, Lsn::new(2), "tail");
        ensure_eq!(state.lease, Lease::Free, "lease");
        ensure!(state.epoch == made.epoch, "a seal changed the epoch");
    }
    Ok(())
}
