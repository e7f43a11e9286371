use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture, TOMBSTONE},
    report::{CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{ChatId, ErrorCode, Outcome, Owner, SessionId},
    store::{AfterAppend, DeleteMode, Filter, Listed, Seal, SessionMeta, StatusFilter, StoreError},
};

fn ids(listed: &[Listed]) -> Vec<SessionId> {
    listed.iter().map(|listed| listed.id.clone()).collect()
}

/// A session of this owner and conversation.
async fn of(bed: &StoreFixture, owner: &Owner, chat: &str) -> Result<CreatedSession, CaseStop> {
    let mut new = bed.what();
    new.info = Arc::new(SessionMeta {
        owner: Some(owner.clone()),
        chat: Some(ChatId::new(chat)),
        ..SessionMeta::clone(&new.info)
    });
    // Some engines order by a clock of whole milliseconds.
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    bed.made_from(new).await
}

/// All that a filter finds, once there is as much as this.
async fn found(
    bed: &StoreFixture,
    filter: Filter,
    count: usize,
) -> Result<Vec<SessionId>, CaseStop> {
    let look = |bed: StoreFixture| {
        let filter = filter.clone();
        async move { Ok(ids(&bed.list(&filter).await?.sessions)) }
    };
    bed.eventually(look, |found| found.len() == count).await
}

fn owned_by(owner: &Owner) -> Filter {
    Filter {
        owner: Some(owner.clone()),
        ..Filter::default()
    }
}

pub(in crate::store) async fn a_list_is_newest_first(bed: StoreFixture) -> Result<(), CaseStop> {
    let owner = Owner::new(SessionId::random().as_str());
    let mut made = Vec::new();
    for _ in 0..4 {
        made.insert(0, of(&bed, &owner, "a").await?.id);
    }
    ensure_eq!(found(&bed, owned_by(&owner), 4).await?, made, "sessions");
    Ok(())
}

pub(in crate::store) async fn a_list_has_what_its_filter_asks_for(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let owner = Owner::new(SessionId::random().as_str());
    let stranger = Owner::new(SessionId::random().as_str());
    let ways = [
        (AfterAppend::Streaming, StatusFilter::Streaming),
        (AfterAppend::Waiting, StatusFilter::Waiting),
        (sealed(&bed, Outcome::Complete), StatusFilter::Complete),
        (sealed(&bed, Outcome::Aborted), StatusFilter::Aborted),
        (
            sealed(&bed, Outcome::Error(ErrorCode::Provider)),
            StatusFilter::Error,
        ),
    ];
    let mut made = Vec::new();
    for (then, status) in ways {
        let it = of(&bed, &owner, status.as_str()).await?;
        bed.push(&it, 1, &["x"], then).await?;
        made.push((it.id, status));
    }
    of(&bed, &stranger, "complete").await?;
    ensure_eq!(
        found(&bed, owned_by(&owner), 5).await?.len(),
        5,
        "sessions of an owner"
    );
    for (id, status) in made {
        let by_status = Filter {
            status: Some(status),
            ..owned_by(&owner)
        };
        ensure_eq!(
            found(&bed, by_status, 1).await?,
            *std::slice::from_ref(&id),
            "sessions by status"
        );
        let by_chat = Filter {
            chat: Some(ChatId::new(status.as_str())),
            ..owned_by(&owner)
        };
        ensure_eq!(found(&bed, by_chat, 1).await?, [id], "sessions by chat");
    }
    Ok(())
}

fn sealed(bed: &StoreFixture, outcome: Outcome) -> AfterAppend {
    AfterAppend::Seal(Seal {
        outcome,
        keep: bed.steps(100),
    })
}

pub(in crate::store) async fn pages_of_a_list_follow_one_another(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let owner = Owner::new(SessionId::random().as_str());
    let mut made = Vec::new();
    for _ in 0..7 {
        made.insert(0, of(&bed, &owner, "a").await?.id);
    }
    ensure_eq!(found(&bed, owned_by(&owner), 7).await?.len(), 7, "sessions");
    for limit in [1, 3, 7] {
        let mut filter = Filter {
            limit: NonZeroUsize::new(limit),
            ..owned_by(&owner)
        };
        let mut all = Vec::new();
        loop {
            let page = bed.list(&filter).await?;
            ensure!(
                page.sessions.len() <= limit,
                "{} on a page",
                page.sessions.len()
            );
            all.extend(ids(&page.sessions));
            ensure!(all.len() <= made.len(), "pages repeat themselves");
            filter.after = page.next;
            if filter.after.is_none() {
                break;
            }
        }
        ensure_eq!(all, made, "sessions of all pages");
    }
    Ok(())
}

pub(in crate::store) async fn what_is_gone_is_not_listed(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let owner = Owner::new(SessionId::random().as_str());
    let (deleted, expired) = (of(&bed, &owner, "a").await?, of(&bed, &owner, "a").await?);
    bed.push(&expired, 1, &["z"], bed.seal(1)).await?;
    bed.delete(&deleted.id, DeleteMode::Now).await?;
    bed.pass(2).await;
    ensure_eq!(found(&bed, owned_by(&owner), 0).await?, [], "sessions");
    Ok(())
}

pub(in crate::store) async fn orphans_are_unsealed_and_without_an_owner(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let (dead, ended) = (bed.with_abc().await?, bed.sealed(100).await?);
    let deleted = bed.made().await?;
    bed.delete(&deleted.id, DeleteMode::Now).await?;
    bed.pass(LEASE + 1).await;
    let live = bed.made().await?;
    let look = |bed: StoreFixture| async move { Ok(ids(&bed.orphans(10_000).await?)) };
    let found = bed
        .eventually(look, |found| found.contains(&dead.id))
        .await?;
    ensure!(
        found.contains(&dead.id),
        "a session without an owner is missing"
    );
    for (made, what) in [
        (live, "an owned"),
        (ended, "a sealed"),
        (deleted, "a deleted"),
    ] {
        ensure!(
            !found.contains(&made.id),
            "{what} session is among the orphans"
        );
    }
    Ok(())
}

pub(in crate::store) async fn a_list_of_orphans_keeps_to_its_limit(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    for _ in 0..3 {
        bed.made().await?;
    }
    bed.pass(LEASE + 1).await;
    for limit in [0, 1, 2] {
        let count = bed.orphans(limit).await?.len();
        ensure!(
            count <= limit,
            "{count} orphans where {limit} were asked for"
        );
    }
    Ok(())
}

pub(in crate::store) async fn a_sweep_removes_what_has_expired(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let mut gone = Vec::new();
    for _ in 0..3 {
        gone.push(bed.sealed(1).await?.id);
    }
    let (kept, running) = (bed.sealed(100).await?, bed.with_abc().await?);
    let held = bed.sealed(1).await?;
    bed.hold(&held.id, unbroken::store::Holder(1), bed.steps(100))
        .await?;
    bed.pass(2).await;
    let mut swept = 0;
    loop {
        let count = bed.sweep(2).await?;
        ensure!(count <= 2, "{count} swept where 2 were asked for");
        swept += count;
        if count == 0 {
            break;
        }
    }
    ensure!(swept >= 3, "{swept} swept where 3 had expired");
    for id in &gone {
        let state = bed.now(id).await;
        ensure_matches!(state, Err(StoreError::Gone(_)), "a swept session");
    }
    for made in [&kept, &running, &held] {
        ensure_eq!(
            bed.texts(&made.id, 0).await?,
            ["a", "b", "c"],
            "records of a kept session"
        );
    }
    bed.pass(TOMBSTONE).await;
    while bed.sweep(100).await? > 0 {}
    for id in &gone {
        let state = bed.now(id).await;
        ensure_matches!(state, Err(StoreError::NotFound), "a swept tombstone");
    }
    Ok(())
}
