use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::store::{
    fixture::{LEASE, StoreFixture},
    report::{CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::Lsn,
    store::{AbortRequest, AfterAppend, DeleteMode, Seen, StoreError, Token, Version},
};

pub(in crate::store) async fn an_append_wakes_who_waits(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let mut seen = bed.now(&made.id).await?.version();
    for (lsn, then) in [
        (1, AfterAppend::Streaming),
        (2, AfterAppend::Waiting),
        (3, bed.seal(100)),
    ] {
        let waiter = bed.waiter(&made.id, seen.into()).await;
        bed.push(&made, lsn, &["x"], then).await?;
        let state = waiter.told("an append").await??;
        ensure_eq!(state.tail, Lsn::new(lsn), "tail");
        seen = state.version();
    }
    Ok(())
}

pub(in crate::store) async fn an_abort_wakes_the_owner(bed: StoreFixture) -> Result<(), CaseStop> {
    for owner in [true, false] {
        let made = bed.with_abc().await?;
        let seen = bed.now(&made.id).await?.version();
        let seen = if owner {
            Seen::Owner(seen)
        } else {
            Seen::Reader(seen)
        };
        let waiter = bed.waiter(&made.id, seen.into()).await;
        bed.abort(&made.id, AbortRequest::default()).await?;
        let state = waiter.told("an abort").await??;
        ensure!(state.abort.is_some(), "no abort in {state:?}");
    }
    Ok(())
}

pub(in crate::store) async fn a_claim_wakes_who_waits(bed: StoreFixture) -> Result<(), CaseStop> {
    for owner in [true, false] {
        let made = bed.with_abc().await?;
        bed.pass(LEASE + 1).await;
        let seen = bed.now(&made.id).await?.version();
        let seen = if owner {
            Seen::Owner(seen)
        } else {
            Seen::Reader(seen)
        };
        let waiter = bed.waiter(&made.id, seen.into()).await;
        let claimed = bed.claim(&made.id, made.epoch, Token::random()).await?;
        let state = waiter.told("a claim").await??;
        ensure_eq!(state.epoch, claimed.epoch, "epoch");
    }
    Ok(())
}

pub(in crate::store) async fn a_seal_wakes_an_owner(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    let seen = Seen::Owner(bed.now(&made.id).await?.version());
    let waiter = bed.waiter(&made.id, seen.into()).await;
    bed.push(&made, 4, &["d"], bed.seal(100)).await?;
    let state = waiter.told("a seal").await??;
    ensure!(state.status.outcome().is_some(), "not sealed: {state:?}");
    Ok(())
}

pub(in crate::store) async fn a_deletion_wakes_who_waits(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    for owner in [true, false] {
        let made = bed.with_abc().await?;
        let seen = bed.now(&made.id).await?.version();
        let seen = if owner {
            Seen::Owner(seen)
        } else {
            Seen::Reader(seen)
        };
        let waiter = bed.waiter(&made.id, seen.into()).await;
        bed.delete(&made.id, DeleteMode::Now).await?;
        let answer = waiter.told("a deletion").await?;
        ensure_matches!(answer, Err(StoreError::Gone(_)), "answer");
    }
    Ok(())
}

pub(in crate::store) async fn a_change_from_before_the_wait_ends_it(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let seen = bed.now(&made.id).await?.version();
    bed.push(&made, 1, &["a"], AfterAppend::Streaming).await?;
    for seen in [Seen::Reader(seen), Seen::Nothing] {
        let began = Instant::now();
        let state = bed
            .changed(&made.id, seen.into(), Duration::from_secs(60))
            .await?;
        ensure_eq!(state.tail, Lsn::new(1), "tail");
        let took = began.elapsed();
        ensure!(took < Duration::from_secs(1), "told after {took:?}");
    }
    Ok(())
}

pub(in crate::store) async fn no_change_is_missed_by_who_looks_again(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let writer = tokio::spawn({
        let (bed, made) = (bed.clone(), made.clone());
        async move {
            for lsn in 1..=200 {
                bed.push(&made, lsn, &["x"], AfterAppend::Streaming).await?;
                tokio::task::yield_now().await;
            }
            bed.push(&made, 201, &["z"], bed.seal(100)).await
        }
    });
    let mut seen = bed.now(&made.id).await?.version();
    let began = Instant::now();
    let ended = loop {
        let state = bed
            .changed(&made.id, seen.into(), Duration::from_secs(60))
            .await?;
        seen = state.version();
        if state.status.outcome().is_some() {
            break Instant::now();
        }
    };
    writer
        .await
        .map_err(|panic| CaseStop::Failed(panic.to_string()))??;
    let late = ended - began;
    ensure!(
        late < Duration::from_secs(30),
        "the seal was seen after {late:?}"
    );
    Ok(())
}

pub(in crate::store) async fn a_wait_ends_at_its_limit(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let seen = bed.now(&made.id).await?.version();
    for within in [Duration::ZERO, Duration::from_millis(300)] {
        let began = Instant::now();
        let state = bed.changed(&made.id, seen.into(), within).await?;
        let took = began.elapsed();
        ensure!(
            took < Duration::from_secs(1),
            "{took:?} where {within:?} was asked for"
        );
        ensure_eq!(state.version(), seen, "version");
    }
    Ok(())
}

pub(in crate::store) async fn a_wait_ends_after_two_seconds(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let seen = bed.now(&made.id).await?.version();
    for seen in [Seen::Reader(seen), Seen::Owner(seen)] {
        let wait = bed.changed(&made.id, seen.into(), Duration::from_secs(3600));
        match timeout(Duration::from_secs(3), wait).await {
            Ok(answer) => drop(answer?),
            Err(_) => return Err(CaseStop::Failed("still waiting after three seconds".into())),
        }
    }
    Ok(())
}
