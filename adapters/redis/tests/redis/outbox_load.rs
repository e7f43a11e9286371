//! Endings that are many, large, or on a server without memory: what they cost, and that none keeps another waiting.

use std::{collections::HashSet, time::Duration};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{ServiceName, SessionId},
    store::{DeleteMode, NewSession, Store, StoreError},
};

use crate::support::{
    fixture,
    outbox::{KEPT, SERVICE, deliver, end, index, is_gone, member, set_due, take, with_outbox},
    scene::Scene,
    server, trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial("endings_cost_what_they_hold", missing, cost),
        trial(
            "an_ending_with_a_large_request_comes_alone_and_in_its_turn",
            missing,
            large,
        ),
        trial(
            "a_large_request_is_not_kept_waiting_by_entries_before_it",
            missing,
            large_later,
        ),
        trial("a_full_server_empties_its_outbox", missing, full),
        trial(
            "entries_that_can_not_be_moved_hide_no_ending",
            missing,
            unmoved,
        ),
        trial(
            "a_sweep_looks_at_one_batch_of_endings_that_wait",
            missing,
            waiting,
        ),
        trial(
            "sessions_that_can_not_be_read_hide_none_from_the_sweep",
            missing,
            unreadable,
        ),
    ]
}

async fn cost() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let of = |service: &str| {
        let mut new = with_outbox(KEPT);
        std::sync::Arc::make_mut(&mut new.meta).service = ServiceName::new(service);
        new
    };
    for at in 0..300 {
        // Those of another service, those that are taken, and those that are delivered.
        let service = if at % 3 == 0 { "other" } else { SERVICE };
        let id = end(&it.store, of(service), fixture::LONG).await?;
        if at % 3 == 2 {
            deliver(&mut it, &id).await?;
        }
    }
    assert_eq!(take(&it.store, 1000).await?.len(), 100);
    for _ in 0..3 {
        end(&it.store, of(SERVICE), fixture::LONG).await?;
    }
    let service = ServiceName::new(SERVICE);
    let endings =
        async |store: unbroken_redis::Redis| store.endings(&service, 9, Duration::ZERO).await;
    let (taken, cost) = it.cost(endings).await?;
    assert_eq!(taken.len(), 3);
    assert_eq!(
        cost.get("evalsha"),
        Some(&5),
        "one to find them, one for each, one for the index: {cost:?}"
    );
    for (name, calls) in &cost {
        assert!(*calls <= 30, "{name}: {cost:?}");
    }
    it.store.endings(&service, 9, fixture::LONG).await?;
    let (taken, cost) = it.cost(endings).await?;
    assert!(taken.is_empty());
    assert_eq!(cost.get("evalsha"), Some(&1), "{cost:?}");
    Ok(())
}

async fn large() -> Result<(), Failed> {
    let it = Scene::new().await;
    let request = vec![b'r'; 1 << 20];
    let new = || NewSession {
        request: request.clone().into(),
        ..with_outbox(KEPT)
    };
    let mut made = Vec::new();
    for is_large in [false, true, true, false, true] {
        let new = if is_large { new() } else { with_outbox(KEPT) };
        made.push(end(&it.store, new, fixture::LONG).await?);
    }
    // It has no request any more.
    it.store.delete(&made[4], DeleteMode::Now).await?;
    let mut calls = Vec::new();
    loop {
        let taken = take(&it.store, 9).await?;
        if taken.is_empty() {
            break;
        }
        for ending in &taken {
            assert_eq!(ending.delivery, 1, "none was leased before");
            assert_eq!(ending.deleted, ending.id == made[4]);
            let is_large = made[1..3].contains(&ending.id);
            assert!(!is_large || ending.request == request);
        }
        let at = |id: &SessionId| made.iter().position(|it| it == id);
        let at: Option<Vec<_>> = taken.iter().map(|it| at(&it.id)).collect();
        calls.push(at.ok_or("another session")?);
    }
    // A large one that was due first isn't overtaken again by small ones.
    assert_eq!(calls, [vec![0, 3, 4], vec![1], vec![2]]);
    it.store
        .postpone_ending(&made[1], 1, Duration::ZERO)
        .await?;
    it.store
        .postpone_ending(&made[0], 1, Duration::ZERO)
        .await?;
    for at in [1, 0] {
        let taken = take(&it.store, 9).await?;
        assert_eq!(taken.len(), 1);
        assert_eq!((&taken[0].id, taken[0].delivery), (&made[at], 2));
    }
    Ok(())
}

/// Entries that lag, or whose sessions can't be read, come before a large one.
async fn large_later() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let request = vec![b'r'; 1 << 20];
    let new = NewSession {
        request: request.into(),
        ..with_outbox(KEPT)
    };
    let damaged = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    let session = format!("{{{damaged}}}:session");
    it.key::<u64>("DEL", &session, &[]).await;
    it.key::<()>("SET", &session, &["foreign"]).await;
    let leased = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    assert_eq!(take(&it.store, 9).await?.len(), 1);
    it.key::<u64>("ZADD", &index(), &["2", &member(&leased)])
        .await;
    let large = end(&it.store, new, fixture::LONG).await?;
    let small = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    // The first that can be taken is the large one once the entry before it is moved.
    for id in [&small, &large] {
        let taken = take(&it.store, 9).await?;
        let ids: Vec<_> = taken.iter().map(|it| &it.id).collect();
        assert_eq!(ids, [id]);
    }
    let waits = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    it.store.postpone_ending(&large, 1, Duration::ZERO).await?;
    for (id, at) in [(&large, "1"), (&waits, "2")] {
        it.key::<u64>("ZADD", &index(), &[at, &member(id)]).await;
    }
    for id in [&large, &waits] {
        let taken = take(&it.store, 9).await?;
        let ids: Vec<_> = taken.iter().map(|it| &it.id).collect();
        assert_eq!(ids, [id]);
    }
    // One that turns out to be damaged hides none.
    let behind = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    let session = format!("{{{large}}}:session");
    it.key::<u64>("HSET", &session, &["deliveries", "many", "due", "1"])
        .await;
    it.key::<u64>("ZADD", &index(), &["1", &member(&large)])
        .await;
    let taken = take(&it.store, 9).await?;
    let ids: Vec<_> = taken.iter().map(|it| &it.id).collect();
    assert_eq!(ids, [&behind]);
    Ok(())
}

async fn full() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let ids: [SessionId; 4] = [
        end(&it.store, with_outbox(KEPT), Duration::ZERO).await?,
        end(&it.store, with_outbox(KEPT), fixture::LONG).await?,
        end(&it.store, with_outbox(KEPT), fixture::LONG).await?,
        end(&it.store, with_outbox(KEPT), fixture::LONG).await?,
    ];
    it.store.delete(&ids[3], DeleteMode::Now).await?;
    for id in &ids {
        set_due(&mut it, id).await;
    }
    let mut config = unbroken_redis::redis::cmd("CONFIG");
    let config = config.arg("SET").arg("maxmemory").arg("1mb");
    config.exec_async(&mut it.admin).await?;
    let refused = it
        .store
        .create(&SessionId::random(), with_outbox(KEPT))
        .await;
    let error = refused.expect_err("its memory is full");
    assert!(fixture::is_unavailable(&error, false), "{error:?}");
    for delivery in 1..=2 {
        let mut taken = take(&it.store, 9).await?;
        taken.retain(|it| it.delivery == delivery);
        let taken: HashSet<_> = taken.into_iter().map(|it| it.id).collect();
        assert_eq!(taken, HashSet::from(ids.clone()));
        assert_eq!(take(&it.store, 9).await?.len(), 0);
        // The entries were moved too, so that none is looked at again.
        let service = ServiceName::new(SERVICE);
        let endings = async |store: unbroken_redis::Redis| {
            let taken = store.endings(&service, 9, fixture::LONG).await;
            taken.map(|taken| taken.len())
        };
        let (taken, cost) = it.cost(endings).await?;
        assert_eq!((taken, cost.get("evalsha")), (0, Some(&1)));
        for id in &ids {
            it.store
                .postpone_ending(id, delivery, Duration::ZERO)
                .await?;
        }
    }
    // A sweep writes their entries again.
    it.key::<u64>("DEL", &index(), &[]).await;
    assert_eq!(it.store.sweep(9).await?, 0);
    assert_eq!(it.members(&index()).await.len(), ids.len());
    let request = format!("{{{}}}:request", ids[1]);
    let left: i64 = it.key("PTTL", &request, &[]).await;
    let kept = i64::try_from(KEPT.as_millis())?;
    assert!((kept / 2..=kept).contains(&left), "{left}");
    // A deletion and a delivery make room.
    it.store.delete(&ids[2], DeleteMode::Now).await?;
    for id in &ids {
        deliver(&mut it, id).await?;
        let postponed = it.store.postpone_ending(id, 2, Duration::ZERO).await;
        assert!(
            matches!(postponed, Err(StoreError::NotFound | StoreError::Gone(_))),
            "{postponed:?}"
        );
    }
    assert_eq!(fixture::texts(&it.store, &ids[1]).await, ["z"]);
    for at in [0, 2, 3] {
        assert!(is_gone(&it.store, &ids[at]).await);
    }
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    Ok(())
}

/// Allows or forbids a command.
async fn allow(it: &mut Scene, rule: &str) -> Result<(), Failed> {
    let mut acl = unbroken_redis::redis::cmd("ACL");
    let acl = acl.arg("SETUSER").arg("default").arg(rule);
    Ok(acl.exec_async(&mut it.admin).await?)
}

async fn unmoved() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(end(&it.store, with_outbox(KEPT), fixture::LONG).await?);
    }
    assert_eq!(take(&it.store, 9).await?.len(), 7);
    for id in &made {
        it.key::<u64>("ZADD", &index(), &["1", &member(id)]).await;
    }
    let over = member(&SessionId::random());
    it.key::<u64>("ZADD", &index(), &["1", &over]).await;
    let last = [
        end(&it.store, with_outbox(KEPT), fixture::LONG).await?,
        end(&it.store, with_outbox(KEPT), fixture::LONG).await?,
    ];
    // In a cluster, the node of the index may be one that takes no writes.
    allow(&mut it, "-zrem").await?;
    let taken = take(&it.store, 2).await?;
    let ids: Vec<_> = taken.iter().map(|it| it.id.clone()).collect();
    assert_eq!(ids, last);
    assert_eq!(it.members(&index()).await.len(), 10);
    allow(&mut it, "+zrem").await?;
    assert_eq!(take(&it.store, 2).await?.len(), 0);
    for id in made.iter().chain(&last) {
        let score: f64 = it.key("ZSCORE", &index(), &[&member(id)]).await;
        assert!(score > 1e15, "moved to the end of its lease: {score}");
    }
    assert_eq!(it.members(&index()).await.len(), 9);
    Ok(())
}

/// The entries that are looked up at once.
const BATCH: usize = 128;

async fn waiting() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let mut made = Vec::new();
    for at in 0..2 * BATCH + 40 {
        let id = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
        if at % 4 == 0 {
            it.store.delete(&id, DeleteMode::Now).await?;
        }
        set_due(&mut it, &id).await;
        made.push(id);
    }
    // Sessions that the engine has dropped are behind them.
    let mut gone = Vec::new();
    for _ in 0..5 {
        let member = member(&SessionId::random());
        it.key::<u64>("ZADD", "{all}:due", &["2", &member]).await;
        gone.push(member);
    }
    it.key::<u64>("DEL", &index(), &[]).await;
    let looked_at = async |it: &mut Scene| {
        let due: Vec<String> = it.key("ZRANGEBYSCORE", "{all}:due", &["0", "1"]).await;
        made.len() - due.len()
    };
    let sweep = async |store: unbroken_redis::Redis| store.sweep(1000).await;
    for (round, swept) in [(1, 0), (2, 0), (3, gone.len())] {
        let (count, cost) = it.cost(sweep).await?;
        assert_eq!(count, swept);
        assert_eq!(looked_at(&mut it).await, made.len().min(round * BATCH));
        assert_eq!(it.members(&index()).await.len(), looked_at(&mut it).await);
        let calls = usize::try_from(cost["evalsha"])?;
        // Of those that were not deleted, 1 to look at each and 1 to write its entry; the others are in four more
        // indexes.
        let each = 2 * BATCH + 5 * BATCH / 4;
        assert!(calls <= each + 5, "{calls}: {cost:?}");
    }
    let (count, cost) = it.cost(sweep).await?;
    assert_eq!((count, cost["evalsha"]), (0, 3), "{cost:?}");
    assert_eq!(it.members("{all}:due").await.len(), made.len());
    Ok(())
}

/// Sessions that stay where they are don't keep those behind them from the sweep.
async fn unreadable() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    for _ in 0..=BATCH {
        let id = SessionId::random();
        let session = format!("{{{id}}}:session");
        it.key::<()>("SET", &session, &["foreign"]).await;
        it.key::<u64>("ZADD", "{all}:due", &["1", &member(&id)])
            .await;
    }
    let gone = member(&SessionId::random());
    it.key::<u64>("ZADD", "{all}:due", &["2", &gone]).await;
    assert_eq!(it.store.sweep(1000).await?, 1);
    assert_eq!(it.store.sweep(1000).await?, 0);
    Ok(())
}
