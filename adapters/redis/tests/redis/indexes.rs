//! Indexes are written apart from the sessions, and are corrected after a crash in between.

use std::{num::NonZeroUsize, time::Duration};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{ChatId, Epoch, Owner, SessionId},
    store::{
        AfterAppend, Created, DeleteMode, Filter, LeaseChange, NewSession, StatusFilter, Store,
        StoreError,
    },
};
use unbroken_redis::redis;

use crate::support::{
    fixture,
    scene::{self, SETS, Scene},
    server, trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial(
            "an_orphan_without_an_entry_is_found_after_a_renewal",
            missing,
            renewed,
        ),
        trial(
            "a_seal_that_is_not_in_the_index_is_noticed",
            missing,
            sealed,
        ),
        trial("entries_without_a_session_are_removed", missing, dangling),
        trial("a_create_that_is_refused_leaves_no_entry", missing, refused),
        trial(
            "a_renewal_moves_a_session_to_the_set_of_its_status",
            missing,
            renewed_in_its_set,
        ),
        trial(
            "a_status_that_comes_late_is_corrected_by_the_next_list",
            missing,
            late,
        ),
        trial("an_id_that_is_used_again_is_indexed_anew", missing, again),
        trial("a_long_list_comes_in_pages", missing, pages),
        trial(
            "orphans_are_found_although_the_clock_was_set_back",
            missing,
            set_back,
        ),
        trial("an_expired_session_leaves_no_key", missing, nothing_left),
    ]
}

async fn orphan(it: &Scene) -> Result<(SessionId, Epoch), StoreError> {
    let (id, epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    let owned = [(id.clone(), epoch)];
    for answer in it.store.renew(&owned, LeaseChange::GiveBack).await {
        answer?;
    }
    Ok((id, epoch))
}

async fn orphans(it: &Scene) -> Result<Vec<SessionId>, StoreError> {
    let orphans = it.store.orphans(100).await?;
    Ok(orphans.into_iter().map(|listed| listed.id).collect())
}

const SCOPES: [&str; 4] = ["all", "owner/me", "chat/c", "owner/me/chat/c"];

async fn removed(it: &mut Scene, id: &SessionId) {
    for scope in SCOPES {
        for set in SETS {
            let _: u64 = it
                .key("ZREM", &format!("{{{scope}}}:{set}"), &[id.as_str()])
                .await;
        }
    }
}

async fn renewed() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, epoch) = orphan(&it).await?;
    assert_eq!(orphans(&it).await?, std::slice::from_ref(&id));
    let _: u64 = it.key("DEL", "{all}:open", &[]).await;
    removed(&mut it, &id).await;
    assert_eq!(orphans(&it).await?, []);
    let owned = [(id.clone(), epoch)];
    for lease in [LeaseChange::Extend(fixture::LONG), LeaseChange::GiveBack] {
        for answer in it.store.renew(&owned, lease).await {
            answer?;
        }
    }
    assert_eq!(orphans(&it).await?, std::slice::from_ref(&id));
    for scope in SCOPES {
        assert_eq!(it.sets_with(scope, &id).await, ["streaming"], "{scope}");
    }
    Ok(())
}

async fn renewed_in_its_set() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    let chunk = fixture::chunk(1, epoch, &["a question"]);
    it.store.append(&id, chunk, AfterAppend::Waiting).await?;
    // As if the move had been lost in the middle: the set of all sessions comes last.
    for scope in ["all", "owner/me"] {
        let created: String = it
            .key("ZSCORE", &format!("{{{scope}}}:waiting"), &[id.as_str()])
            .await;
        let _: u64 = it
            .key("ZREM", &format!("{{{scope}}}:waiting"), &[id.as_str()])
            .await;
        let _: u64 = it
            .key(
                "ZADD",
                &format!("{{{scope}}}:streaming"),
                &[&created, id.as_str()],
            )
            .await;
    }
    let owned = [(id.clone(), epoch)];
    for answer in it
        .store
        .renew(&owned, LeaseChange::Extend(fixture::LONG))
        .await
    {
        answer?;
    }
    for scope in SCOPES {
        assert_eq!(it.sets_with(scope, &id).await, ["waiting"], "{scope}");
    }
    let renew = async |store: unbroken_redis::Redis| {
        store
            .renew(&owned, LeaseChange::Extend(fixture::LONG))
            .await
            .remove(0)
    };
    let (_, cost) = it.cost(renew).await?;
    assert_eq!(
        cost.get("evalsha"),
        Some(&2),
        "one for the lease, one for the indexes: {cost:?}"
    );
    Ok(())
}

async fn sealed() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    it.store
        .append(&id, fixture::chunk(1, epoch, &["z"]), fixture::sealed())
        .await?;
    let member = format!("{id}/+me/+c");
    let _: u64 = it.key("ZREM", "{all}:due", &[&member]).await;
    let _: u64 = it.key("ZADD", "{all}:open", &["1", &member]).await;
    removed(&mut it, &id).await;
    assert_eq!(orphans(&it).await?, []);
    assert_eq!(it.members("{all}:open").await, [""; 0]);
    assert_eq!(it.members("{all}:due").await, [member]);
    for scope in SCOPES {
        assert_eq!(it.sets_with(scope, &id).await, ["complete"], "{scope}");
    }
    Ok(())
}

async fn late() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    let chunk = fixture::chunk(1, epoch, &["a question"]);
    it.store.append(&id, chunk, AfterAppend::Waiting).await?;
    let mine = "{owner/me/chat/c}";
    let score: String = it
        .key("ZSCORE", &format!("{mine}:waiting"), &[id.as_str()])
        .await;
    it.store
        .append(&id, fixture::chunk(2, epoch, &["z"]), fixture::sealed())
        .await?;
    // As if the move to the waiting ones had come after that of the seal.
    let _: u64 = it
        .key("ZREM", &format!("{mine}:complete"), &[id.as_str()])
        .await;
    let _: u64 = it
        .key("ZADD", &format!("{mine}:waiting"), &[&score, id.as_str()])
        .await;
    let filter = |status| Filter {
        owner: Some(Owner::new("me")),
        chat: Some(ChatId::new("c")),
        status: Some(status),
        ..Filter::default()
    };
    let waiting = it.store.list(&filter(StatusFilter::Waiting)).await?;
    assert!(waiting.sessions.is_empty());
    let complete = it.store.list(&filter(StatusFilter::Complete)).await?;
    assert_eq!(complete.sessions.len(), 1);
    assert_eq!(it.sets_with("owner/me/chat/c", &id).await, ["complete"]);
    Ok(())
}

async fn dangling() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let (now, ended) = (now.as_micros(), now.as_micros() - 61_000_000);
    for (score, left) in [(ended, false), (now, true)] {
        let (id, score) = (SessionId::random(), score.to_string());
        let member = format!("{id}/+me/+c");
        for scope in SCOPES {
            let _: u64 = it
                .key(
                    "ZADD",
                    &format!("{{{scope}}}:streaming"),
                    &[&score, id.as_str()],
                )
                .await;
        }
        let _: u64 = it.key("ZADD", "{all}:open", &[&score, &member]).await;
        // A list removes what it meets. An entry whose session is about to be created stays.
        let mine = Filter {
            owner: Some(Owner::new("me")),
            ..Filter::default()
        };
        assert!(it.store.list(&mine).await?.sessions.is_empty());
        assert_eq!(it.sets_with("owner/me", &id).await.len(), usize::from(left));
        assert_eq!(orphans(&it).await?, []);
        let keys = it.keys().await;
        assert_eq!(keys.len(), if left { 5 } else { 0 }, "{keys:?}");
    }
    // An entry of a sealed session that is gone needs no time.
    let (id, score) = (SessionId::random(), now.to_string());
    for scope in SCOPES {
        let _: u64 = it
            .key(
                "ZADD",
                &format!("{{{scope}}}:complete"),
                &[&score, id.as_str()],
            )
            .await;
    }
    let _: u64 = it
        .key("ZADD", "{all}:due", &["1", &format!("{id}/+me/+c")])
        .await;
    assert_eq!(it.store.sweep(10).await?, 1);
    for scope in SCOPES {
        assert_eq!(it.sets_with(scope, &id).await, [""; 0], "{scope}");
    }
    assert_eq!(it.members("{all}:due").await, [""; 0]);
    Ok(())
}

async fn refused() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let id = SessionId::random();
    let made = it.store.create(&id, scene::new(Some("first"), "c")).await?;
    assert!(matches!(made, Created::Created(_)));
    let keys = it.keys().await;
    for (owner, chat) in [("second", "c"), ("first", "d"), ("second", "d")] {
        let other = it.store.create(&id, scene::new(Some(owner), chat)).await?;
        assert!(matches!(other, Created::Exists(_)));
        assert_eq!(it.keys().await, keys, "{owner} {chat}");
        assert_eq!(it.members("{all}:open").await, [format!("{id}/+first/+c")]);
    }
    it.store.delete(&id, DeleteMode::Now).await?;
    let third = it.store.create(&id, scene::new(Some("third"), "e")).await;
    assert!(matches!(third, Err(StoreError::Gone(_))));
    let tombstone = format!("{{{id}}}:tombstone");
    assert_eq!(it.keys().await, [tombstone, "{all}:tombstones".to_owned()]);
    Ok(())
}

async fn again() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, _) = it.create(Some("me"), "c", 1).await?.remove(0);
    it.store.delete(&id, DeleteMode::Now).await?;
    let _: u64 = it.key("DEL", &format!("{{{id}}}:tombstone"), &[]).await;
    // As if the removal of these had been lost, two minutes ago.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let score = (now.as_micros() - 120_000_000).to_string();
    for scope in SCOPES {
        let _: u64 = it
            .key(
                "ZADD",
                &format!("{{{scope}}}:complete"),
                &[&score, id.as_str()],
            )
            .await;
    }
    let (newer, _) = it.create(Some("me"), "c", 1).await?.remove(0);
    let made = it.store.create(&id, scene::new(Some("me"), "c")).await?;
    assert!(matches!(made, Created::Created(_)));
    for scope in SCOPES {
        assert_eq!(it.sets_with(scope, &id).await, ["streaming"], "{scope}");
    }
    let found = it
        .store
        .of_chat(Some(&Owner::new("me")), &ChatId::new("c"), 9)
        .await?;
    let found: Vec<_> = found.into_iter().map(|it| it.id).collect();
    assert_eq!(found, [id, newer]);
    Ok(())
}

async fn nothing_left() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let id = SessionId::random();
    let new = NewSession {
        tombstone: Duration::from_millis(300),
        ..scene::new(Some("me"), "c")
    };
    let Created::Created(epoch) = it.store.create(&id, new).await? else {
        panic!("a random id was taken");
    };
    it.store
        .hold(&id, unbroken::store::Holder(1), Duration::from_millis(200))
        .await?;
    let then = unbroken::store::AfterAppend::Seal(unbroken::store::Seal::new(
        unbroken::log::Outcome::Complete,
        Duration::from_millis(200),
    ));
    it.store
        .append(&id, fixture::chunk(1, epoch, &["z"]), then)
        .await?;
    let request = format!("{{{id}}}:request");
    let requests: u64 = it.key("EXISTS", &request, &[]).await;
    assert_eq!(requests, 0, "there is no more claim");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(it.store.sweep(10).await?, 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let tombstones = it.store.sweep(10).await?;
    assert_eq!(tombstones, 1);
    let keys = it.keys().await;
    assert_eq!(keys, [""; 0]);
    Ok(())
}

/// Checks sessions whose owner appends so often that it never has to renew.
async fn set_back() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let lease = Duration::from_millis(300);
    let mut made = Vec::new();
    for _ in 0..200 {
        let (id, new) = (SessionId::random(), fixture::new_of("an owner"));
        let new = NewSession { lease, ..new };
        let Created::Created(epoch) = it.store.create(&id, new).await? else {
            panic!("a random id was taken");
        };
        fixture::push(&it.store, &id, epoch, 1, &["a"]).await?;
        made.push(id);
    }
    // As if the index had been written while the clock was an hour ahead.
    let open = format!("{}{{all}}:open", it.prefix);
    for id in &made {
        let mut ahead = redis::cmd("ZINCRBY");
        let ahead = ahead
            .arg(&open)
            .arg(3_600_000_000_u64)
            .arg(format!("{id}/+an owner/"));
        ahead.exec_async(&mut it.admin).await?;
    }
    tokio::time::sleep(lease * 2).await;
    let mut found = 0;
    // Each call returns a part.
    for _ in 0..3 {
        found = it.store.orphans(1000).await?.len();
    }
    assert_eq!(found, made.len());
    Ok(())
}

/// More sessions than one batch looks up.
async fn pages() -> Result<(), Failed> {
    let it = Scene::new().await;
    let mut made = Vec::new();
    for at in 0..300 {
        let (id, epoch) = fixture::created(&it.store).await;
        if at % 3 == 0 {
            it.store
                .append(&id, fixture::chunk(1, epoch, &["z"]), fixture::sealed())
                .await?;
            made.insert(0, id);
        }
    }
    for limit in [7, 100, 1000] {
        let mut filter = Filter {
            status: Some(StatusFilter::Complete),
            limit: NonZeroUsize::new(limit),
            ..Filter::default()
        };
        let mut listed = Vec::new();
        loop {
            let page = it.store.list(&filter).await?;
            assert!(page.sessions.len() <= limit);
            listed.extend(page.sessions.into_iter().map(|listed| listed.id));
            filter.after = page.next;
            match &filter.after {
                None => break,
                Some(next) => {
                    assert!(next.len() <= 512 && next.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
        assert_eq!(listed, made);
    }
    for after in ["", "x", "1:", "1:short", "-1:abcdefghijklmnopqrstuvwxyz"] {
        let filter = Filter {
            after: Some(after.to_owned()),
            ..Filter::default()
        };
        let page = it.store.list(&filter).await?;
        assert!(page.sessions.is_empty() && page.next.is_none(), "{after}");
    }
    Ok(())
}
