use std::time::Duration;

use crate::store::{
    cases::create::every_call,
    fixture::{LEASE, StoreFixture, TOMBSTONE},
    report::{CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::Lsn,
    store::{AbortRequest, Created, DeleteMode, Holder, StoreError, Token, Tombstone},
};

fn because(reason: &str) -> AbortRequest {
    AbortRequest {
        reason: Some(reason.into()),
    }
}

pub(in crate::store) async fn an_abort_is_stored(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    let state = bed.abort(&made.id, because("enough")).await?;
    ensure_eq!(state.abort, Some(because("enough")), "answer");
    ensure_eq!(
        bed.now(&made.id).await?.abort,
        Some(because("enough")),
        "abort"
    );
    ensure!(
        state.status.outcome().is_none(),
        "an abort alone sealed: {state:?}"
    );
    bed.pass(LEASE + 1).await;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await?;
    ensure_eq!(
        claimed.state.abort,
        Some(because("enough")),
        "what the claimant sees"
    );
    Ok(())
}

pub(in crate::store) async fn the_first_abort_stays(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    bed.abort(&made.id, because("first")).await?;
    let again = bed.abort(&made.id, because("second")).await?;
    ensure_eq!(again.abort, Some(because("first")), "answer");
    ensure_eq!(
        bed.now(&made.id).await?.abort,
        Some(because("first")),
        "abort"
    );
    Ok(())
}

pub(in crate::store) async fn a_sealed_session_is_not_aborted(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.sealed(100).await?;
    let state = bed.abort(&made.id, because("too late")).await?;
    ensure_eq!(state.abort, None, "answer");
    ensure_eq!(bed.now(&made.id).await?.abort, None, "abort");
    Ok(())
}

pub(in crate::store) async fn a_sealed_session_is_kept_to_its_end(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.sealed(4).await?;
    bed.pass(3).await;
    ensure_eq!(bed.texts(&made.id, 0).await?, ["a", "b", "c"], "records");
    Ok(())
}

pub(in crate::store) async fn an_expired_session_is_gone_without_a_sweep(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.sealed(4).await?;
    bed.pass(5).await;
    for (call, error) in every_call(&bed, &made.id, made.epoch).await {
        ensure!(
            matches!(error, Some(StoreError::Gone(_))),
            "{call} answered {error:?} instead of Gone"
        );
    }
    let again = bed.create(&made.id, bed.what()).await;
    ensure_matches!(again, Err(StoreError::Gone(_)), "create");
    bed.delete(&made.id, DeleteMode::Now).await?;
    Ok(())
}

pub(in crate::store) async fn an_unsealed_session_does_not_expire(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    bed.hold(&made.id, Holder(1), bed.steps(1)).await?;
    bed.pass(20).await;
    ensure_eq!(bed.texts(&made.id, 0).await?, ["a", "b", "c"], "records");
    Ok(())
}

pub(in crate::store) async fn a_hold_keeps_a_session(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.sealed(2).await?;
    bed.hold(&made.id, Holder(1), bed.steps(6)).await?;
    bed.pass(4).await;
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::new(3), "tail");
    bed.pass(3).await;
    let state = bed.now(&made.id).await;
    ensure_matches!(state, Err(StoreError::Gone(_)), "after the hold");
    Ok(())
}

pub(in crate::store) async fn a_hold_never_shortens(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.sealed(6).await?;
    bed.hold(&made.id, Holder(1), bed.steps(1)).await?;
    bed.hold(&made.id, Holder(2), Duration::ZERO).await?;
    bed.pass(4).await;
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::new(3), "tail");
    bed.hold(&made.id, Holder(1), bed.steps(8)).await?;
    bed.hold(&made.id, Holder(1), bed.steps(1)).await?;
    bed.pass(5).await;
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::new(3), "tail");
    Ok(())
}

pub(in crate::store) async fn a_hold_from_before_the_seal_counts(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    bed.hold(&made.id, Holder(1), bed.steps(8)).await?;
    bed.push(&made, 1, &["z"], bed.seal(1)).await?;
    bed.pass(4).await;
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::new(1), "tail");
    Ok(())
}

pub(in crate::store) async fn delete_now_asks_nobody(bed: StoreFixture) -> Result<(), CaseStop> {
    for made in [bed.with_abc().await?, bed.sealed(100).await?] {
        bed.hold(&made.id, Holder(1), bed.steps(50)).await?;
        bed.delete(&made.id, DeleteMode::Now).await?;
        let state = bed.now(&made.id).await;
        ensure_matches!(state, Err(StoreError::Gone(_)), "after the deletion");
    }
    Ok(())
}

pub(in crate::store) async fn a_release_waits_for_other_servers(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.sealed(100).await?;
    bed.hold(&made.id, Holder(1), bed.steps(50)).await?;
    bed.hold(&made.id, Holder(2), bed.steps(4)).await?;
    let delete = bed.delete(&made.id, DeleteMode::Released(Holder(1))).await;
    ensure_matches!(delete, Err(StoreError::Held), "delete");
    ensure_eq!(bed.now(&made.id).await?.tail, Lsn::new(3), "tail");
    bed.pass(5).await;
    let delete = bed.delete(&made.id, DeleteMode::Released(Holder(2))).await;
    ensure_matches!(delete, Err(StoreError::Held), "delete by the other");
    bed.delete(&made.id, DeleteMode::Released(Holder(1)))
        .await?;
    let state = bed.now(&made.id).await;
    ensure_matches!(state, Err(StoreError::Gone(_)), "after the deletion");
    Ok(())
}

pub(in crate::store) async fn deleting_again_is_a_success(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    for how in [
        DeleteMode::Now,
        DeleteMode::Now,
        DeleteMode::Released(Holder(1)),
    ] {
        bed.delete(&made.id, how).await?;
    }
    Ok(())
}

pub(in crate::store) async fn a_deleted_session_leaves_a_tombstone(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    bed.delete(&made.id, DeleteMode::Now).await?;
    bed.pass(TOMBSTONE - 1).await;
    let left = Tombstone {
        owner: made.new.info.owner.clone(),
        digest: made.new.info.digest,
    };
    for (call, error) in every_call(&bed, &made.id, made.epoch).await {
        ensure!(
            matches!(&error, Some(StoreError::Gone(it)) if *it == left),
            "{call} answered {error:?} instead of {left:?}"
        );
    }
    Ok(())
}

pub(in crate::store) async fn a_tombstone_runs_out(bed: StoreFixture) -> Result<(), CaseStop> {
    let (deleted, expired) = (bed.with_abc().await?, bed.sealed(1).await?);
    bed.delete(&deleted.id, DeleteMode::Now).await?;
    bed.pass(TOMBSTONE + 2).await;
    for made in [deleted, expired] {
        for (call, error) in every_call(&bed, &made.id, made.epoch).await {
            ensure!(
                matches!(error, Some(StoreError::NotFound)),
                "{call} answered {error:?} instead of NotFound"
            );
        }
        let again = bed.create(&made.id, bed.what()).await?;
        ensure_matches!(again, Created::Created(epoch) if *epoch != made.epoch, "create");
        ensure_eq!(
            bed.texts(&made.id, 0).await?,
            [""; 0],
            "records of the new session"
        );
    }
    Ok(())
}
