use std::time::Duration;

use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture},
    report::{CaseStop, ensure_eq, ensure_matches},
};
use std::sync::Arc;
use unbroken::{
    log::{Lsn, Position, SessionId},
    store::{AfterAppend, DeleteMode, Lease, LeaseChange, SessionMeta, StoreError, Token},
};

/// A session whose owner died.
async fn orphan(bed: &StoreFixture) -> Result<CreatedSession, CaseStop> {
    let made = bed.with_abc().await?;
    bed.pass(LEASE + 1).await;
    Ok(made)
}

pub(in crate::store) async fn a_running_lease_keeps_claimants_away(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    bed.pass(LEASE - 1).await;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await;
    ensure_matches!(claimed, Err(StoreError::Held), "claim");
    ensure_eq!(bed.now(&made.id).await?.epoch, made.epoch, "epoch");
    Ok(())
}

pub(in crate::store) async fn a_lease_that_ran_out_can_be_claimed(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = orphan(&bed).await?;
    ensure_eq!(bed.now(&made.id).await?.lease, Lease::Expired, "lease");
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await?;
    ensure_eq!(claimed.epoch.counter, made.epoch.counter + 1, "counter");
    ensure_eq!(claimed.request, made.new.request, "request");
    ensure_eq!(claimed.state.epoch, claimed.epoch, "epoch of the state");
    ensure_eq!(claimed.state.attempts, 1, "attempts");
    ensure_eq!(claimed.state.tail, Lsn::new(3), "tail");
    ensure_matches!(claimed.state.lease, Lease::Held(_), "lease");
    ensure_eq!(bed.now(&made.id).await?.epoch, claimed.epoch, "epoch");
    Ok(())
}

pub(in crate::store) async fn a_claim_of_an_epoch_that_passed_is_held(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = orphan(&bed).await?;
    bed.claim(&made.id, made.epoch, Token::random()).await?;
    bed.pass(LEASE + 1).await;
    let late = bed.claim(&made.id, made.epoch, Token::random()).await;
    ensure_matches!(late, Err(StoreError::Held), "claim");
    Ok(())
}

pub(in crate::store) async fn a_repeated_claim_gets_the_same_epoch(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = orphan(&bed).await?;
    let token = Token::random();
    let first = bed.claim(&made.id, made.epoch, token).await?;
    let again = bed.claim(&made.id, made.epoch, token).await?;
    ensure_eq!(again.epoch, first.epoch, "epoch");
    ensure_eq!(again.state.attempts, 1, "attempts");
    ensure_eq!(again.request, made.new.request, "request");
    Ok(())
}

pub(in crate::store) async fn a_repeated_claim_that_was_overtaken_is_held(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = orphan(&bed).await?;
    let token = Token::random();
    let first = bed.claim(&made.id, made.epoch, token).await?;
    bed.pass(LEASE + 1).await;
    bed.claim(&made.id, first.epoch, Token::random()).await?;
    let again = bed.claim(&made.id, made.epoch, token).await;
    ensure_matches!(again, Err(StoreError::Held), "claim");
    Ok(())
}

pub(in crate::store) async fn a_sealed_session_is_not_claimed(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.sealed(100).await?;
    bed.pass(LEASE + 1).await;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await;
    ensure_matches!(claimed, Err(StoreError::Sealed), "claim");
    Ok(())
}

pub(in crate::store) async fn a_format_from_the_future_is_refused(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let mut new = bed.what();
    new.info = Arc::new(SessionMeta {
        format: u16::MAX,
        ..SessionMeta::clone(&new.info)
    });
    let made = bed.made_from(new).await?;
    bed.pass(LEASE + 1).await;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await;
    ensure_matches!(
        claimed,
        Err(StoreError::Unsupported { format: u16::MAX }),
        "claim"
    );
    let page = bed.read(&made.id, Position::START, 100).await;
    ensure_matches!(page, Err(StoreError::Unsupported { .. }), "read");
    let state = bed.now(&made.id).await;
    ensure_matches!(state, Err(StoreError::Unsupported { .. }), "changed");
    Ok(())
}

pub(in crate::store) async fn racing_claims_have_one_winner(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = orphan(&bed).await?;
    let race = (0..8).map(|_| {
        let (bed, made) = (bed.clone(), made.clone());
        tokio::spawn(async move { bed.claim(&made.id, made.epoch, Token::random()).await })
    });
    let race: Vec<_> = race.collect();
    let mut winners = Vec::new();
    for task in race {
        match task
            .await
            .map_err(|panic| CaseStop::Failed(panic.to_string()))?
        {
            Ok(claimed) => winners.push(claimed.epoch),
            Err(StoreError::Held) => {}
            Err(other) => return Err(other.into()),
        }
    }
    ensure_eq!(winners, [bed.now(&made.id).await?.epoch], "winners");
    Ok(())
}

pub(in crate::store) async fn a_claim_fences_the_former_owner(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = orphan(&bed).await?;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await?;
    let late = bed.push(&made, 4, &["late"], AfterAppend::Streaming).await;
    ensure_matches!(late, Err(StoreError::Fenced), "append");
    let now = CreatedSession {
        epoch: claimed.epoch,
        ..made
    };
    bed.push(&now, 4, &["d"], AfterAppend::Streaming).await?;
    ensure_eq!(
        bed.texts(&now.id, 0).await?,
        ["a", "b", "c", "d"],
        "records"
    );
    Ok(())
}

pub(in crate::store) async fn a_renewal_extends_the_lease(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    bed.pass(LEASE - 1).await;
    let owned = [(made.id.clone(), made.epoch)];
    for answer in bed
        .renew(&owned, LeaseChange::Extend(bed.steps(LEASE)))
        .await
    {
        ensure_matches!(answer?.lease, Lease::Held(_), "lease");
    }
    bed.pass(LEASE - 1).await;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await;
    ensure_matches!(claimed, Err(StoreError::Held), "claim");
    bed.pass(2).await;
    bed.claim(&made.id, made.epoch, Token::random()).await?;
    Ok(())
}

pub(in crate::store) async fn a_lease_given_back_can_be_claimed_at_once(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let owned = [(made.id.clone(), made.epoch)];
    for answer in bed.renew(&owned, LeaseChange::GiveBack).await {
        ensure_eq!(answer?.lease, Lease::Free, "lease");
    }
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await?;
    ensure_matches!(claimed.state.lease, Lease::Held(_), "lease of the claimant");
    Ok(())
}

pub(in crate::store) async fn a_lease_that_ran_out_unclaimed_is_extended(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = orphan(&bed).await?;
    let owned = [(made.id.clone(), made.epoch)];
    for answer in bed
        .renew(&owned, LeaseChange::Extend(bed.steps(LEASE)))
        .await
    {
        ensure_matches!(answer?.lease, Lease::Held(_), "lease");
    }
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await;
    ensure_matches!(claimed, Err(StoreError::Held), "claim");
    Ok(())
}

pub(in crate::store) async fn renewals_are_answered_one_by_one(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let lost = orphan(&bed).await?;
    bed.claim(&lost.id, lost.epoch, Token::random()).await?;
    let (live, sealed, deleted) = (bed.made().await?, bed.sealed(100).await?, bed.made().await?);
    bed.delete(&deleted.id, DeleteMode::Now).await?;
    let owned = [
        (lost.id, lost.epoch),
        (live.id, live.epoch),
        (sealed.id, sealed.epoch),
        (deleted.id, deleted.epoch),
        (SessionId::random(), live.epoch),
    ];
    let answers = bed
        .renew(&owned, LeaseChange::Extend(bed.steps(LEASE)))
        .await;
    ensure_eq!(answers.len(), owned.len(), "number of answers");
    ensure_matches!(&answers[0], Err(StoreError::Fenced), "a lost session");
    ensure_matches!(&answers[1], Ok(state) if state.epoch == live.epoch, "a live session");
    ensure_matches!(&answers[2], Err(StoreError::Sealed), "a sealed session");
    ensure_matches!(&answers[3], Err(StoreError::Gone(_)), "a deleted session");
    ensure_matches!(&answers[4], Err(StoreError::NotFound), "no session");
    Ok(())
}
