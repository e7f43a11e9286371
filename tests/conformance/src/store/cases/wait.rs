use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::store::{
    fixture::{LEASE, StoreFixture},
    report::{CaseResult, CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::Lsn,
    store::{AbortRequest, AfterAppend, DeleteMode, Lease, LeaseChange, Seen, StoreError},
};

pub(crate) async fn an_append_wakes_waiters(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let mut seen = store.state(&session.id).await?.version();
    for (lsn, then) in [
        (1, AfterAppend::Streaming),
        (2, AfterAppend::Waiting),
        (3, store.seal(100)),
    ] {
        let waiter = store.waiter(&session.id, seen.into()).await;
        store.push(&session, lsn, &["x"], then).await?;
        let state = waiter.woken_by("an append").await??;
        ensure_eq!(state.tail, Lsn::new(lsn), "tail");
        seen = state.version();
    }
    Ok(())
}

pub(crate) async fn a_lease_that_is_given_back_wakes_readers(store: StoreFixture) -> CaseResult {
    for lease in [LeaseChange::GiveBack, LeaseChange::Extend(Duration::ZERO)] {
        let session = store.with_abc().await?;
        let seen = store.state(&session.id).await?.version();
        let waiter = store.waiter(&session.id, seen.into()).await;
        let owned = [(session.id.clone(), session.epoch)];
        for answer in store.renew(&owned, lease).await {
            answer?;
        }
        let state = waiter.woken_by("a lease that is given back").await??;
        ensure_eq!(state.lease, Lease::Free, "lease");
    }
    Ok(())
}

pub(crate) async fn an_abort_wakes_the_owner(store: StoreFixture) -> CaseResult {
    for owner in [true, false] {
        let session = store.with_abc().await?;
        let seen = store.state(&session.id).await?.version();
        let seen = if owner {
            Seen::Owner(seen)
        } else {
            Seen::Reader(seen)
        };
        let waiter = store.waiter(&session.id, seen).await;
        store.abort(&session.id, AbortRequest::default()).await?;
        let state = waiter.woken_by("an abort").await??;
        ensure!(state.abort.is_some(), "no abort in {state:?}");
    }
    Ok(())
}

pub(crate) async fn a_claim_wakes_waiters(store: StoreFixture) -> CaseResult {
    for owner in [true, false] {
        let session = store.with_abc().await?;
        store.advance(LEASE + 1).await;
        let seen = store.state(&session.id).await?.version();
        let seen = if owner {
            Seen::Owner(seen)
        } else {
            Seen::Reader(seen)
        };
        let waiter = store.waiter(&session.id, seen).await;
        let claimed = store.claim_session(&session).await?;
        let state = waiter.woken_by("a claim").await??;
        ensure_eq!(state.epoch, claimed.epoch, "epoch");
    }
    Ok(())
}

pub(crate) async fn a_seal_wakes_an_owner(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    let seen = Seen::Owner(store.state(&session.id).await?.version());
    let waiter = store.waiter(&session.id, seen).await;
    store.push(&session, 4, &["d"], store.seal(100)).await?;
    let state = waiter.woken_by("a seal").await??;
    ensure!(state.status.outcome().is_some(), "not sealed: {state:?}");
    Ok(())
}

pub(crate) async fn a_deletion_wakes_waiters(store: StoreFixture) -> CaseResult {
    for owner in [true, false] {
        let session = store.with_abc().await?;
        let seen = store.state(&session.id).await?.version();
        let seen = if owner {
            Seen::Owner(seen)
        } else {
            Seen::Reader(seen)
        };
        let waiter = store.waiter(&session.id, seen).await;
        store.delete(&session.id, DeleteMode::Now).await?;
        let answer = waiter.woken_by("a deletion").await?;
        ensure_matches!(answer, Err(StoreError::Gone(_)), "answer");
    }
    Ok(())
}

pub(crate) async fn a_change_from_before_the_wait_ends_it(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let seen = store.state(&session.id).await?.version();
    store
        .push(&session, 1, &["a"], AfterAppend::Streaming)
        .await?;
    for seen in [Seen::Reader(seen), Seen::Nothing] {
        let began = Instant::now();
        let state = store
            .changed(&session.id, seen, Duration::from_secs(60))
            .await?;
        ensure_eq!(state.tail, Lsn::new(1), "tail");
        let took = began.elapsed();
        ensure!(
            took < Duration::from_secs(1),
            "the wait ended after {took:?}"
        );
    }
    Ok(())
}

pub(crate) async fn repeated_waits_miss_no_change(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let writer = tokio::spawn({
        let (store, session) = (store.clone(), session.clone());
        async move {
            for lsn in 1..=200 {
                store
                    .push(&session, lsn, &["x"], AfterAppend::Streaming)
                    .await?;
                tokio::task::yield_now().await;
            }
            store.push(&session, 201, &["z"], store.seal(100)).await
        }
    });
    let mut seen = store.state(&session.id).await?.version();
    let began = Instant::now();
    let ended = loop {
        let state = store
            .changed(&session.id, seen.into(), Duration::from_secs(60))
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

pub(crate) async fn a_wait_ends_at_its_limit(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let seen = store.state(&session.id).await?.version();
    for within in [Duration::ZERO, Duration::from_millis(300)] {
        let began = Instant::now();
        let state = store.changed(&session.id, seen.into(), within).await?;
        let took = began.elapsed();
        ensure!(
            took < Duration::from_secs(1),
            "{took:?} where {within:?} was asked for"
        );
        ensure_eq!(state.version(), seen, "version");
    }
    Ok(())
}

pub(crate) async fn a_wait_ends_after_two_seconds(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let seen = store.state(&session.id).await?.version();
    for seen in [Seen::Reader(seen), Seen::Owner(seen)] {
        let wait = store.changed(&session.id, seen, Duration::from_secs(3600));
        match timeout(Duration::from_secs(3), wait).await {
            Ok(answer) => drop(answer?),
            Err(_) => return Err(CaseStop::Failed("still waiting after three seconds".into())),
        }
    }
    Ok(())
}
