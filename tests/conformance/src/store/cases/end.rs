use std::time::Duration;

use crate::store::{
    cases::create::every_call,
    fixture::{LEASE, StoreFixture, TOMBSTONE},
    report::{CaseResult, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{ChatId, Lsn, Position},
    store::{AbortRequest, Created, DeleteMode, Holder, StoreError, Tombstone},
};

fn because(reason: &str) -> AbortRequest {
    AbortRequest {
        reason: Some(reason.into()),
    }
}

pub(crate) async fn an_abort_is_stored(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    let state = store.abort(&session.id, because("enough")).await?;
    ensure_eq!(state.abort, Some(because("enough")), "answer");
    ensure_eq!(
        store.state(&session.id).await?.abort,
        Some(because("enough")),
        "abort"
    );
    ensure!(
        state.status.outcome().is_none(),
        "an abort alone sealed: {state:?}"
    );
    store.advance(LEASE + 1).await;
    let claimed = store.claim_session(&session).await?;
    ensure_eq!(
        claimed.state.abort,
        Some(because("enough")),
        "what the claimant sees"
    );
    Ok(())
}

pub(crate) async fn the_first_abort_stays(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    store.abort(&session.id, because("first")).await?;
    let again = store.abort(&session.id, because("second")).await?;
    ensure_eq!(again.abort, Some(because("first")), "answer");
    ensure_eq!(
        store.state(&session.id).await?.abort,
        Some(because("first")),
        "abort"
    );
    Ok(())
}

pub(crate) async fn a_sealed_session_is_not_aborted(store: StoreFixture) -> CaseResult {
    let session = store.sealed(100).await?;
    let state = store.abort(&session.id, because("too late")).await?;
    ensure_eq!(state.abort, None, "answer");
    ensure_eq!(store.state(&session.id).await?.abort, None, "abort");
    Ok(())
}

pub(crate) async fn a_state_tells_the_time_since_the_end(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    ensure_eq!(
        store.state(&session.id).await?.ended,
        None,
        "before the end"
    );
    store.advance(2).await;
    store.push(&session, 4, &["d"], store.seal(100)).await?;
    // Nothing that happens to a sealed session moves its end.
    store.hold(&session.id, Holder(1), store.steps(200)).await?;
    store.advance(3).await;
    let owner = session.new.meta.owner.as_ref();
    let mut states = vec![
        store.state(&session.id).await?,
        store.read(&session.id, Position::START, 1).await?.state,
    ];
    let listed = store.of_chat(owner, &ChatId::new("a chat"), 1).await?;
    states.extend(listed.into_iter().map(|it| it.state));
    ensure_eq!(states.len(), 3, "states");
    for state in states {
        let ended = state.ended.unwrap_or_default();
        // The clock of the harness may be another one than that of the store.
        ensure!(
            ended >= store.steps(2) && ended + store.steps(1) <= state.age,
            "it ended {ended:?} ago at the age of {:?}",
            state.age
        );
    }
    Ok(())
}

pub(crate) async fn a_sealed_session_is_kept_for_its_retention(store: StoreFixture) -> CaseResult {
    let session = store.sealed(4).await?;
    store.advance(3).await;
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    Ok(())
}

pub(crate) async fn an_expired_session_is_gone_without_a_sweep(store: StoreFixture) -> CaseResult {
    let session = store.sealed(4).await?;
    store.advance(5).await;
    for (call, error) in every_call(&store, &session.id, session.epoch).await {
        ensure!(
            matches!(error, Some(StoreError::Gone(_))),
            "{call} answered {error:?} instead of Gone"
        );
    }
    let again = store.create(&session.id, store.new_session()).await;
    ensure_matches!(again, Err(StoreError::Gone(_)), "create");
    store.delete(&session.id, DeleteMode::Now).await?;
    Ok(())
}

pub(crate) async fn an_unsealed_session_does_not_expire(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    store.hold(&session.id, Holder(1), store.steps(1)).await?;
    store.advance(20).await;
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    Ok(())
}

pub(crate) async fn a_hold_keeps_a_session(store: StoreFixture) -> CaseResult {
    let session = store.sealed(2).await?;
    store.hold(&session.id, Holder(1), store.steps(6)).await?;
    store.advance(4).await;
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::new(3), "tail");
    store.advance(3).await;
    let state = store.state(&session.id).await;
    ensure_matches!(state, Err(StoreError::Gone(_)), "after the hold");
    Ok(())
}

pub(crate) async fn a_hold_never_shortens_the_retention(store: StoreFixture) -> CaseResult {
    let session = store.sealed(6).await?;
    store.hold(&session.id, Holder(1), store.steps(1)).await?;
    store.hold(&session.id, Holder(2), Duration::ZERO).await?;
    store.advance(4).await;
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::new(3), "tail");
    store.hold(&session.id, Holder(1), store.steps(8)).await?;
    store.hold(&session.id, Holder(1), store.steps(1)).await?;
    store.advance(5).await;
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::new(3), "tail");
    Ok(())
}

pub(crate) async fn a_hold_from_before_the_seal_counts(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    store.hold(&session.id, Holder(1), store.steps(8)).await?;
    store.push(&session, 1, &["z"], store.seal(1)).await?;
    store.advance(4).await;
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::new(1), "tail");
    Ok(())
}

pub(crate) async fn delete_now_ignores_holds(store: StoreFixture) -> CaseResult {
    for session in [store.with_abc().await?, store.sealed(100).await?] {
        store.hold(&session.id, Holder(1), store.steps(50)).await?;
        store.delete(&session.id, DeleteMode::Now).await?;
        let state = store.state(&session.id).await;
        ensure_matches!(state, Err(StoreError::Gone(_)), "after the deletion");
    }
    Ok(())
}

pub(crate) async fn delete_released_respects_other_holders(store: StoreFixture) -> CaseResult {
    let session = store.sealed(100).await?;
    store.hold(&session.id, Holder(1), store.steps(50)).await?;
    store.hold(&session.id, Holder(2), store.steps(4)).await?;
    let delete = store
        .delete(&session.id, DeleteMode::Released(Holder(1)))
        .await;
    ensure_matches!(delete, Err(StoreError::Held), "delete");
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::new(3), "tail");
    store.advance(5).await;
    let delete = store
        .delete(&session.id, DeleteMode::Released(Holder(2)))
        .await;
    ensure_matches!(delete, Err(StoreError::Held), "delete by the other");
    store
        .delete(&session.id, DeleteMode::Released(Holder(1)))
        .await?;
    let state = store.state(&session.id).await;
    ensure_matches!(state, Err(StoreError::Gone(_)), "after the deletion");
    Ok(())
}

pub(crate) async fn a_repeated_deletion_is_a_success(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    for how in [
        DeleteMode::Now,
        DeleteMode::Now,
        DeleteMode::Released(Holder(1)),
    ] {
        store.delete(&session.id, how).await?;
    }
    Ok(())
}

pub(crate) async fn a_deleted_session_leaves_a_tombstone(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    store.delete(&session.id, DeleteMode::Now).await?;
    store.advance(TOMBSTONE - 1).await;
    let left = Tombstone {
        owner: session.new.meta.owner.clone(),
        digest: session.new.meta.digest,
    };
    for (call, error) in every_call(&store, &session.id, session.epoch).await {
        ensure!(
            matches!(&error, Some(StoreError::Gone(it)) if *it == left),
            "{call} answered {error:?} instead of {left:?}"
        );
    }
    Ok(())
}

pub(crate) async fn an_expired_session_leaves_the_same_tombstone(
    store: StoreFixture,
) -> CaseResult {
    let mut new = store.new_session();
    let meta = std::sync::Arc::make_mut(&mut new.meta);
    meta.digest = unbroken::log::Digest([9; 32]);
    let session = store.created_from(new).await?;
    store.push(&session, 1, &["z"], store.seal(1)).await?;
    store.advance(2).await;
    let left = Tombstone {
        owner: session.new.meta.owner.clone(),
        digest: session.new.meta.digest,
    };
    for when in ["before", "after"] {
        for (call, error) in every_call(&store, &session.id, session.epoch).await {
            ensure!(
                matches!(&error, Some(StoreError::Gone(it)) if *it == left),
                "{call} answered {error:?} instead of {left:?} {when} a sweep"
            );
        }
        while store.sweep(100).await? > 0 {}
    }
    Ok(())
}

pub(crate) async fn a_tombstone_expires(store: StoreFixture) -> CaseResult {
    let (deleted, expired) = (store.with_abc().await?, store.sealed(1).await?);
    store.delete(&deleted.id, DeleteMode::Now).await?;
    store.advance(TOMBSTONE + 2).await;
    for session in [deleted, expired] {
        for (call, error) in every_call(&store, &session.id, session.epoch).await {
            ensure!(
                matches!(error, Some(StoreError::NotFound)),
                "{call} answered {error:?} instead of NotFound"
            );
        }
        let again = store.create(&session.id, store.new_session()).await?;
        ensure_matches!(again, Created::Created(epoch) if *epoch != session.epoch, "create");
        ensure_eq!(
            store.texts(&session.id, 0).await?,
            [""; 0],
            "records of the new session"
        );
    }
    Ok(())
}
