use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture, TOMBSTONE},
    report::{CaseResult, CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{ChatId, ErrorCode, Outcome, Owner, SessionId},
    store::{AfterAppend, DeleteMode, Filter, Listed, Seal, SessionMeta, StatusFilter, StoreError},
};

fn ids(listed: &[Listed]) -> Vec<SessionId> {
    listed.iter().map(|listed| listed.id.clone()).collect()
}

/// Creates a session of this owner and chat.
async fn session_of(
    store: &StoreFixture,
    owner: &Owner,
    chat: &str,
) -> Result<CreatedSession, CaseStop> {
    let mut new = store.new_session();
    new.meta = Arc::new(SessionMeta {
        owner: Some(owner.clone()),
        chat: Some(ChatId::new(chat)),
        ..SessionMeta::clone(&new.meta)
    });
    // Some engines order by milliseconds.
    tokio::time::sleep(Duration::from_millis(3)).await;
    store.created_from(new).await
}

/// Lists the ids that match a filter, once there are as many as this.
async fn list_ids(
    store: &StoreFixture,
    filter: Filter,
    count: usize,
) -> Result<Vec<SessionId>, CaseStop> {
    let query = |store: StoreFixture| {
        let filter = filter.clone();
        async move { Ok(ids(&store.list(&filter).await?.sessions)) }
    };
    store.eventually(query, |found| found.len() == count).await
}

fn owned_by(owner: &Owner) -> Filter {
    Filter {
        owner: Some(owner.clone()),
        ..Filter::default()
    }
}

pub(crate) async fn a_list_is_newest_first(store: StoreFixture) -> CaseResult {
    let owner = Owner::new(SessionId::random().as_str());
    let mut created = Vec::new();
    for _ in 0..4 {
        created.insert(0, session_of(&store, &owner, "a").await?.id);
    }
    ensure_eq!(
        list_ids(&store, owned_by(&owner), 4).await?,
        created,
        "sessions"
    );
    Ok(())
}

pub(crate) async fn a_list_matches_its_filter(store: StoreFixture) -> CaseResult {
    let owner = Owner::new(SessionId::random().as_str());
    let stranger = Owner::new(SessionId::random().as_str());
    let ways = [
        (AfterAppend::Streaming, StatusFilter::Streaming),
        (AfterAppend::Waiting, StatusFilter::Waiting),
        (sealed(&store, Outcome::Complete), StatusFilter::Complete),
        (sealed(&store, Outcome::Aborted), StatusFilter::Aborted),
        (
            sealed(&store, Outcome::Error(ErrorCode::Provider)),
            StatusFilter::Error,
        ),
    ];
    let mut created = Vec::new();
    for (then, status) in ways {
        let it = session_of(&store, &owner, status.as_str()).await?;
        store.push(&it, 1, &["x"], then).await?;
        created.push((it.id, status));
    }
    session_of(&store, &stranger, "complete").await?;
    ensure_eq!(
        list_ids(&store, owned_by(&owner), 5).await?.len(),
        5,
        "sessions of an owner"
    );
    for (id, status) in created {
        let by_status = Filter {
            status: Some(status),
            ..owned_by(&owner)
        };
        ensure_eq!(
            list_ids(&store, by_status, 1).await?,
            *std::slice::from_ref(&id),
            "sessions by status"
        );
        let by_chat = Filter {
            chat: Some(ChatId::new(status.as_str())),
            ..owned_by(&owner)
        };
        ensure_eq!(
            list_ids(&store, by_chat, 1).await?,
            [id],
            "sessions by chat"
        );
    }
    Ok(())
}

fn sealed(store: &StoreFixture, outcome: Outcome) -> AfterAppend {
    AfterAppend::Seal(Seal::new(outcome, store.steps(100)))
}

pub(crate) async fn pages_of_a_list_have_every_session_once(store: StoreFixture) -> CaseResult {
    let owner = Owner::new(SessionId::random().as_str());
    let mut created = Vec::new();
    for _ in 0..7 {
        created.insert(0, session_of(&store, &owner, "a").await?.id);
    }
    ensure_eq!(
        list_ids(&store, owned_by(&owner), 7).await?.len(),
        7,
        "sessions"
    );
    for limit in [1, 3, 7] {
        let mut filter = Filter {
            limit: NonZeroUsize::new(limit),
            ..owned_by(&owner)
        };
        let mut all = Vec::new();
        loop {
            let page = store.list(&filter).await?;
            ensure!(
                page.sessions.len() <= limit,
                "{} on a page",
                page.sessions.len()
            );
            all.extend(ids(&page.sessions));
            ensure!(all.len() <= created.len(), "pages repeat themselves");
            filter.after = page.next;
            if filter.after.is_none() {
                break;
            }
        }
        ensure_eq!(all, created, "sessions of all pages");
    }
    Ok(())
}

pub(crate) async fn pages_of_a_filter_have_its_sessions_once(store: StoreFixture) -> CaseResult {
    let owner = Owner::new(SessionId::random().as_str());
    let stranger = Owner::new(SessionId::random().as_str());
    let mut created = Vec::new();
    for at in 0..12 {
        let chat = ["a", "b"][at % 2];
        session_of(&store, &stranger, chat).await?;
        let it = session_of(&store, &owner, chat).await?;
        let status = if at % 3 == 0 {
            store.push(&it, 1, &["z"], store.seal(100)).await?;
            StatusFilter::Complete
        } else {
            StatusFilter::Streaming
        };
        created.insert(0, (it.id, chat, status));
    }
    let statuses = [StatusFilter::Complete, StatusFilter::Streaming].map(Some);
    for chat in [None, Some("a"), Some("b")] {
        for status in [None].into_iter().chain(statuses) {
            let expected = created.iter().filter(|(_, in_chat, is)| {
                chat.is_none_or(|chat| chat == *in_chat) && status.is_none_or(|it| it == *is)
            });
            let expected: Vec<_> = expected.map(|(id, ..)| id.clone()).collect();
            let all = Filter {
                chat: chat.map(ChatId::new),
                status,
                ..owned_by(&owner)
            };
            let whole = list_ids(&store, all.clone(), expected.len()).await?;
            ensure_eq!(whole, expected, "sessions of the filter");
            let mut page = Filter {
                limit: NonZeroUsize::new(2),
                ..all
            };
            let mut paged = Vec::new();
            loop {
                let listing = store.list(&page).await?;
                paged.extend(ids(&listing.sessions));
                ensure!(paged.len() <= created.len(), "pages repeat themselves");
                page.after = listing.next;
                if page.after.is_none() {
                    break;
                }
            }
            ensure_eq!(paged, expected, "sessions of all pages of the filter");
        }
    }
    Ok(())
}

pub(crate) async fn deleted_and_expired_sessions_are_not_listed(store: StoreFixture) -> CaseResult {
    let owner = Owner::new(SessionId::random().as_str());
    let (deleted, expired) = (
        session_of(&store, &owner, "a").await?,
        session_of(&store, &owner, "a").await?,
    );
    store.push(&expired, 1, &["z"], store.seal(1)).await?;
    store.delete(&deleted.id, DeleteMode::Now).await?;
    store.advance(2).await;
    let chat = Some(ChatId::new("a"));
    for chat in [None, chat] {
        for status in [
            None,
            Some(StatusFilter::Streaming),
            Some(StatusFilter::Complete),
        ] {
            let filter = Filter {
                chat: chat.clone(),
                status,
                ..owned_by(&owner)
            };
            ensure_eq!(list_ids(&store, filter, 0).await?, [], "sessions");
        }
    }
    Ok(())
}

pub(crate) async fn orphans_are_unsealed_sessions_without_a_lease(
    store: StoreFixture,
) -> CaseResult {
    let (dead, ended) = (store.with_abc().await?, store.sealed(100).await?);
    let deleted = store.created().await?;
    store.delete(&deleted.id, DeleteMode::Now).await?;
    store.advance(LEASE + 1).await;
    let live = store.created().await?;
    let query = |store: StoreFixture| async move { Ok(ids(&store.orphans(10_000).await?)) };
    let found = store
        .eventually(query, |found| found.contains(&dead.id))
        .await?;
    ensure!(
        found.contains(&dead.id),
        "a session without an owner is missing"
    );
    for (created, what) in [
        (live, "a leased"),
        (ended, "a sealed"),
        (deleted, "a deleted"),
    ] {
        ensure!(
            !found.contains(&created.id),
            "{what} session is among the orphans"
        );
    }
    Ok(())
}

pub(crate) async fn a_list_of_orphans_keeps_to_its_limit(store: StoreFixture) -> CaseResult {
    for _ in 0..3 {
        store.created().await?;
    }
    store.advance(LEASE + 1).await;
    for limit in [0, 1, 2] {
        let count = store.orphans(limit).await?.len();
        ensure!(
            count <= limit,
            "{count} orphans where {limit} were asked for"
        );
    }
    Ok(())
}

pub(crate) async fn a_sweep_removes_what_has_expired(store: StoreFixture) -> CaseResult {
    let (kept, running) = (store.sealed(100).await?, store.with_abc().await?);
    let held = store.sealed(1).await?;
    store
        .hold(&held.id, unbroken::store::Holder(1), store.steps(100))
        .await?;
    let (mut gone, mut swept) = (Vec::new(), 0);
    // The sweeps of cases that run beside this one on the store may take sessions of a round.
    for _ in 0..5 {
        for _ in 0..3 {
            gone.push(store.sealed(1).await?.id);
        }
        store.advance(2).await;
        swept = 0;
        loop {
            let count = store.sweep(2).await?;
            ensure!(count <= 2, "{count} swept where 2 were asked for");
            swept += count;
            if count == 0 {
                break;
            }
        }
        if swept >= 3 {
            break;
        }
    }
    ensure!(swept >= 3, "{swept} swept where 3 had expired");
    for id in &gone {
        let state = store.state(id).await;
        ensure_matches!(state, Err(StoreError::Gone(_)), "a swept session");
    }
    for created in [&kept, &running, &held] {
        ensure_eq!(
            store.texts(&created.id, 0).await?,
            ["a", "b", "c"],
            "records of a kept session"
        );
    }
    store.advance(TOMBSTONE).await;
    while store.sweep(100).await? > 0 {}
    for id in &gone {
        let state = store.state(id).await;
        ensure_matches!(state, Err(StoreError::NotFound), "a swept tombstone");
    }
    Ok(())
}
