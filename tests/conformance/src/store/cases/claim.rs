use std::sync::Arc;

use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture, chunk},
    report::{CaseResult, CaseStop, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{Lsn, Position, SessionId},
    store::{AfterAppend, DeleteMode, Lease, LeaseChange, SessionMeta, StoreError, Token},
};

/// Creates a session and lets its lease expire.
async fn new_orphan(store: &StoreFixture) -> Result<CreatedSession, CaseStop> {
    let session = store.with_abc().await?;
    store.advance(LEASE + 1).await;
    Ok(session)
}

pub(crate) async fn a_claim_during_a_lease_is_held(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    store.advance(LEASE - 1).await;
    let claimed = store.claim_session(&session).await;
    ensure_matches!(claimed, Err(StoreError::Held), "claim");
    ensure_eq!(
        store.state(&session.id).await?.epoch,
        session.epoch,
        "epoch"
    );
    Ok(())
}

pub(crate) async fn an_expired_lease_can_be_claimed(store: StoreFixture) -> CaseResult {
    let session = new_orphan(&store).await?;
    ensure_eq!(
        store.state(&session.id).await?.lease,
        Lease::Expired,
        "lease"
    );
    let claimed = store.claim_session(&session).await?;
    ensure_eq!(claimed.epoch.counter, session.epoch.counter + 1, "counter");
    ensure_eq!(claimed.request, session.new.request, "request");
    ensure_eq!(claimed.state.epoch, claimed.epoch, "epoch of the state");
    ensure_eq!(claimed.state.tail, Lsn::new(3), "tail");
    ensure_matches!(claimed.state.lease, Lease::Held(_), "lease");
    ensure_eq!(
        store.state(&session.id).await?.epoch,
        claimed.epoch,
        "epoch"
    );
    Ok(())
}

pub(crate) async fn a_claim_after_an_owner_without_progress_counts(
    store: StoreFixture,
) -> CaseResult {
    let session = store.created().await?;
    store.advance(LEASE + 1).await;
    let mut claimed = store.claim_session(&session).await?;
    ensure_eq!(claimed.state.attempts, 1, "attempts after an empty log");
    for attempts in 2..4 {
        store.advance(LEASE + 1).await;
        claimed = store
            .claim(&session.id, claimed.epoch, Token::random())
            .await?;
        ensure_eq!(claimed.state.attempts, attempts, "attempts");
    }
    Ok(())
}

pub(crate) async fn a_claim_after_an_owner_with_progress_does_not_count(
    store: StoreFixture,
) -> CaseResult {
    let session = new_orphan(&store).await?;
    let first = store.claim_session(&session).await?;
    ensure_eq!(first.state.attempts, 0, "attempts after the creator");
    store.advance(LEASE + 1).await;
    let second = store
        .claim(&session.id, first.epoch, Token::random())
        .await?;
    ensure_eq!(second.state.attempts, 1, "attempts after no progress");
    let fourth = chunk(4, second.epoch, &["d"]);
    store
        .append(&session.id, fourth, AfterAppend::Streaming)
        .await?;
    store.advance(LEASE + 1).await;
    let third = store
        .claim(&session.id, second.epoch, Token::random())
        .await?;
    ensure_eq!(third.state.attempts, 1, "attempts after progress");
    Ok(())
}

pub(crate) async fn a_claim_of_a_lease_given_back_does_not_count(
    store: StoreFixture,
) -> CaseResult {
    let session = store.with_abc().await?;
    let mut owner = session.epoch;
    for _ in 0..3 {
        let leases = [(session.id.clone(), owner)];
        for answer in store.renew(&leases, LeaseChange::GiveBack).await {
            ensure_eq!(answer?.lease, Lease::Free, "lease");
        }
        let claimed = store.claim(&session.id, owner, Token::random()).await?;
        ensure_eq!(claimed.state.attempts, 0, "attempts");
        owner = claimed.epoch;
    }
    Ok(())
}

pub(crate) async fn a_claim_of_an_old_epoch_is_held(store: StoreFixture) -> CaseResult {
    let session = new_orphan(&store).await?;
    store.claim_session(&session).await?;
    store.advance(LEASE + 1).await;
    let late = store.claim_session(&session).await;
    ensure_matches!(late, Err(StoreError::Held), "claim");
    Ok(())
}

pub(crate) async fn a_repeated_claim_gets_the_same_epoch(store: StoreFixture) -> CaseResult {
    let session = new_orphan(&store).await?;
    let token = Token::random();
    let first = store.claim(&session.id, session.epoch, token).await?;
    let again = store.claim(&session.id, session.epoch, token).await?;
    ensure_eq!(again.epoch, first.epoch, "epoch");
    ensure_eq!(again.state.attempts, first.state.attempts, "attempts");
    ensure_eq!(again.request, session.new.request, "request");
    Ok(())
}

pub(crate) async fn a_claim_repeated_after_another_claim_is_held(
    store: StoreFixture,
) -> CaseResult {
    let session = new_orphan(&store).await?;
    let token = Token::random();
    let first = store.claim(&session.id, session.epoch, token).await?;
    store.advance(LEASE + 1).await;
    store
        .claim(&session.id, first.epoch, Token::random())
        .await?;
    let again = store.claim(&session.id, session.epoch, token).await;
    ensure_matches!(again, Err(StoreError::Held), "claim");
    Ok(())
}

pub(crate) async fn a_sealed_session_is_not_claimed(store: StoreFixture) -> CaseResult {
    let session = store.sealed(100).await?;
    store.advance(LEASE + 1).await;
    let claimed = store.claim_session(&session).await;
    ensure_matches!(claimed, Err(StoreError::Sealed), "claim");
    Ok(())
}

pub(crate) async fn a_later_format_is_unsupported(store: StoreFixture) -> CaseResult {
    let mut new = store.new_session();
    new.meta = Arc::new(SessionMeta {
        format: u16::MAX,
        ..SessionMeta::clone(&new.meta)
    });
    let session = store.created_from(new).await?;
    store.advance(LEASE + 1).await;
    let claimed = store.claim_session(&session).await;
    ensure_matches!(
        claimed,
        Err(StoreError::Unsupported { format: u16::MAX }),
        "claim"
    );
    let page = store.read(&session.id, Position::START, 100).await;
    ensure_matches!(page, Err(StoreError::Unsupported { .. }), "read");
    let state = store.state(&session.id).await;
    ensure_matches!(state, Err(StoreError::Unsupported { .. }), "changed");
    Ok(())
}

pub(crate) async fn racing_claims_have_one_winner(store: StoreFixture) -> CaseResult {
    let session = new_orphan(&store).await?;
    let race = (0..8).map(|_| {
        let (store, session) = (store.clone(), session.clone());
        tokio::spawn(async move { store.claim_session(&session).await })
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
    ensure_eq!(winners, [store.state(&session.id).await?.epoch], "winners");
    Ok(())
}

pub(crate) async fn a_claim_fences_the_former_owner(store: StoreFixture) -> CaseResult {
    let session = new_orphan(&store).await?;
    let claimed = store.claim_session(&session).await?;
    let late = store
        .push(&session, 4, &["late"], AfterAppend::Streaming)
        .await;
    ensure_matches!(late, Err(StoreError::Fenced), "append");
    let now = CreatedSession {
        epoch: claimed.epoch,
        ..session
    };
    store.push(&now, 4, &["d"], AfterAppend::Streaming).await?;
    ensure_eq!(
        store.texts(&now.id, 0).await?,
        ["a", "b", "c", "d"],
        "records"
    );
    Ok(())
}

pub(crate) async fn a_renewal_extends_the_lease(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    store.advance(LEASE - 1).await;
    let owned = [(session.id.clone(), session.epoch)];
    for answer in store
        .renew(&owned, LeaseChange::Extend(store.steps(LEASE)))
        .await
    {
        ensure_matches!(answer?.lease, Lease::Held(_), "lease");
    }
    store.advance(LEASE - 1).await;
    let claimed = store.claim_session(&session).await;
    ensure_matches!(claimed, Err(StoreError::Held), "claim");
    store.advance(2).await;
    store.claim_session(&session).await?;
    Ok(())
}

pub(crate) async fn a_returned_lease_can_be_claimed_at_once(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let owned = [(session.id.clone(), session.epoch)];
    for answer in store.renew(&owned, LeaseChange::GiveBack).await {
        ensure_eq!(answer?.lease, Lease::Free, "lease");
    }
    let claimed = store.claim_session(&session).await?;
    ensure_matches!(claimed.state.lease, Lease::Held(_), "lease of the claimant");
    Ok(())
}

pub(crate) async fn an_expired_unclaimed_lease_can_be_renewed(store: StoreFixture) -> CaseResult {
    let session = new_orphan(&store).await?;
    let owned = [(session.id.clone(), session.epoch)];
    for answer in store
        .renew(&owned, LeaseChange::Extend(store.steps(LEASE)))
        .await
    {
        ensure_matches!(answer?.lease, Lease::Held(_), "lease");
    }
    let claimed = store.claim_session(&session).await;
    ensure_matches!(claimed, Err(StoreError::Held), "claim");
    Ok(())
}

pub(crate) async fn renewals_are_answered_one_by_one(store: StoreFixture) -> CaseResult {
    let lost = new_orphan(&store).await?;
    store.claim_session(&lost).await?;
    let (live, sealed, deleted) = (
        store.created().await?,
        store.sealed(100).await?,
        store.created().await?,
    );
    store.delete(&deleted.id, DeleteMode::Now).await?;
    let owned = [
        (lost.id, lost.epoch),
        (live.id, live.epoch),
        (sealed.id, sealed.epoch),
        (deleted.id, deleted.epoch),
        (SessionId::random(), live.epoch),
    ];
    let answers = store
        .renew(&owned, LeaseChange::Extend(store.steps(LEASE)))
        .await;
    ensure_eq!(answers.len(), owned.len(), "number of answers");
    ensure_matches!(&answers[0], Err(StoreError::Fenced), "a lost session");
    ensure_matches!(&answers[1], Ok(state) if state.epoch == live.epoch, "a live session");
    ensure_matches!(&answers[2], Err(StoreError::Sealed), "a sealed session");
    ensure_matches!(&answers[3], Err(StoreError::Gone(_)), "a deleted session");
    ensure_matches!(&answers[4], Err(StoreError::NotFound), "no session");
    Ok(())
}
