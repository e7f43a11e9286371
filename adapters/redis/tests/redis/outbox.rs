//! Endings that wait for their delivery: who gets them, and what is left of their sessions.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{Epoch, ServiceName, SessionId},
    store::{
        AbortRequest, Created, DeleteMode, Filter, Holder, NewSession, Store, StoreError, StoreExt,
    },
};

use crate::support::{
    self, fixture,
    outbox::{self, KEPT, SERVICE, deliver, end, is_gone, take, with_outbox},
    scene::Scene,
    server, trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial(
            "each_ending_is_taken_by_one_of_two_servers",
            missing,
            two_servers,
        ),
        trial(
            "an_ending_is_all_that_is_left_of_a_deleted_session",
            missing,
            deleted,
        ),
        trial(
            "a_late_retry_of_a_deleted_session_leaves_its_ending",
            missing,
            retried,
        ),
        trial(
            "a_session_with_the_id_of_a_deleted_one_does_not_get_its_ending",
            missing,
            used_again,
        ),
        trial(
            "a_session_past_its_retention_goes_with_the_delivery",
            missing,
            past_retention,
        ),
        trial(
            "a_session_whose_ending_is_delivered_has_its_own_retention",
            missing,
            own_retention,
        ),
        trial(
            "nothing_is_left_of_an_ending_past_its_time",
            missing,
            past_its_time,
        ),
        trial(
            "a_tombstone_lasts_as_long_as_its_ending_waits",
            missing,
            tombstone,
        ),
        trial(
            "the_bound_of_tombstones_spares_those_of_endings_that_wait",
            missing,
            spared,
        ),
        trial("a_damaged_session_hides_no_other_ending", missing, damaged),
    ]
}

async fn two_servers() -> Result<(), Failed> {
    let it = Scene::new().await;
    let options = support::options().prefix(it.prefix.clone());
    let other = it.server.open(options).await;
    let mut sealed = HashSet::new();
    for _ in 0..200 {
        sealed.insert(end(&it.store, with_outbox(KEPT), fixture::LONG).await?);
    }
    let all_of = async |store: &unbroken_redis::Redis| {
        let mut taken = Vec::new();
        loop {
            let some = take(store, 7).await?;
            if some.is_empty() {
                return Ok::<_, StoreError>(taken);
            }
            taken.extend(some);
        }
    };
    let (here, there) = tokio::join!(all_of(&it.store), all_of(&other));
    let (here, there) = (here?, there?);
    assert!(!here.is_empty() && !there.is_empty(), "both take some");
    let taken: Vec<_> = here.into_iter().chain(there).collect();
    assert_eq!(taken.len(), sealed.len(), "none is given twice");
    for ending in &taken {
        assert!(sealed.contains(&ending.id));
        assert_eq!((ending.delivery, ending.deleted), (1, false));
        assert_eq!(ending.request, "the request");
    }
    // The other server delivers what this one has taken.
    let id = &taken[0].id;
    let postponed = other.postpone_ending(id, 2, Duration::ZERO).await;
    assert!(matches!(postponed, Err(StoreError::Fenced)));
    other.postpone_ending(id, 1, Duration::ZERO).await?;
    assert_eq!(take(&it.store, 9).await?[0].delivery, 2);
    other.delivered(id, taken[0].state.epoch).await?;
    let postponed = it.store.postpone_ending(id, 2, Duration::ZERO).await;
    assert!(matches!(postponed, Err(StoreError::NotFound)));
    Ok(())
}

async fn deleted() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, new) = (SessionId::random(), with_outbox(KEPT));
    let Created::Created(epoch) = it.store.create(&id, new).await? else {
        panic!("a random id was taken");
    };
    let reason = Some("private".into());
    it.store.abort(&id, AbortRequest { reason }).await?;
    outbox::seal(&it.store, &id, epoch, fixture::LONG).await?;
    let state = it.store.state(&id).await?;
    let released = DeleteMode::Released(Holder(1));
    let held = it.store.delete(&id, released).await;
    assert!(matches!(held, Err(StoreError::Held)), "{held:?}");
    it.store.delete(&id, DeleteMode::Now).await?;
    it.store.delete(&id, DeleteMode::Now).await?;
    it.store.delete(&id, released).await?;
    let key = |what: &str| format!("{{{id}}}:{what}");
    let endings = outbox::index();
    let mut left = vec![key("ending"), key("tombstone"), endings, "{all}:due".into()];
    left.sort();
    assert_eq!(it.keys().await, left);
    assert!(is_gone(&it.store, &id).await);
    let hash: BTreeMap<String, Vec<u8>> = it.key("HGETALL", &key("ending"), &[]).await;
    assert_eq!(hash["abort"], b"-");
    assert!(!hash.contains_key("token"), "nothing claims it any more");
    assert_eq!(it.store.sweep(9).await?, 0);
    // A server that has not seen the session delivers it.
    let options = support::options().prefix(it.prefix.clone());
    let other = it.server.open(options).await;
    let [ending] = &take(&other, 9).await?[..] else {
        panic!("one ending");
    };
    assert_eq!((&ending.id, ending.deleted), (&id, true));
    assert_eq!(ending.state.meta, state.meta);
    assert_eq!(ending.state.version(), state.version());
    assert_eq!(ending.state.abort, Some(AbortRequest { reason: None }));
    assert!(ending.state.ended.is_some());
    assert!(ending.request.is_empty());
    assert_eq!(ending.summary, "the summary");
    // That of another session with the id.
    other.delivered(&id, Epoch::first()).await?;
    it.store
        .postpone_ending(&id, ending.delivery, Duration::ZERO)
        .await?;
    assert_eq!(take(&other, 9).await?.len(), 1);
    for _ in 0..2 {
        other.delivered(&id, ending.state.epoch).await?;
    }
    assert!(is_gone(&it.store, &id).await);
    let left = vec![key("tombstone"), "{all}:tombstones".into()];
    assert_eq!(it.keys().await, sorted(left));
    Ok(())
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

async fn retried() -> Result<(), Failed> {
    let it = Scene::new().await;
    let new = with_outbox(KEPT);
    let id = end(&it.store, new.clone(), fixture::LONG).await?;
    it.store.delete(&id, DeleteMode::Now).await?;
    let again = it.store.create(&id, new).await;
    assert!(matches!(again, Err(StoreError::Gone(_))), "{again:?}");
    assert_eq!(it.store.orphans(9).await?.len(), 0);
    assert_eq!(take(&it.store, 9).await?.len(), 1);
    Ok(())
}

async fn used_again() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let id = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    it.store.delete(&id, DeleteMode::Now).await?;
    // As if the clock of the server had passed its end.
    it.key::<u64>("DEL", &format!("{{{id}}}:tombstone"), &[])
        .await;
    let created = it.store.create(&id, with_outbox(KEPT)).await?;
    assert!(matches!(created, Created::Created(_)));
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    let postponed = it.store.postpone_ending(&id, 0, Duration::ZERO).await;
    assert!(matches!(postponed, Err(StoreError::NotFound)));
    deliver(&mut it, &id).await?;
    assert!(it.store.state(&id).await.is_ok());
    Ok(())
}

async fn past_retention() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let id = end(&it.store, with_outbox(KEPT), Duration::ZERO).await?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(it.store.sweep(9).await?, 0);
    assert_eq!(fixture::texts(&it.store, &id).await, ["z"]);
    deliver(&mut it, &id).await?;
    assert!(is_gone(&it.store, &id).await);
    let listed = it.store.list(&Filter::default()).await?;
    assert!(listed.sessions.is_empty());
    // Nothing is left for the sweep.
    let tombstone = format!("{{{id}}}:tombstone");
    assert_eq!(
        it.keys().await,
        sorted(vec![tombstone, "{all}:tombstones".into()])
    );
    Ok(())
}

async fn own_retention() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    // Much longer than a few calls take on a loaded machine.
    let keep = Duration::from_secs(2);
    let id = end(&it.store, with_outbox(KEPT), keep).await?;
    let request = format!("{{{id}}}:request");
    assert_eq!(it.key::<u64>("EXISTS", &request, &[]).await, 1);
    deliver(&mut it, &id).await?;
    assert_eq!(it.key::<u64>("EXISTS", &request, &[]).await, 0);
    assert_eq!(it.members(&outbox::index()).await, [""; 0]);
    assert_eq!(fixture::texts(&it.store, &id).await, ["z"]);
    tokio::time::sleep(keep * 5 / 4).await;
    assert!(is_gone(&it.store, &id).await);
    assert_eq!(it.store.sweep(9).await?, 1);
    Ok(())
}

async fn past_its_time() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    // Much longer than a few calls take on a loaded machine.
    let kept = Duration::from_secs(2);
    let new = || NewSession {
        tombstone: Duration::from_millis(200),
        ..with_outbox(kept)
    };
    let expired = end(&it.store, new(), Duration::ZERO).await?;
    let deleted = end(&it.store, new(), Duration::ZERO).await?;
    it.store.delete(&deleted, DeleteMode::Now).await?;
    let longer = end(&it.store, new(), fixture::LONG).await?;
    assert_eq!(take(&it.store, 9).await?.len(), 3);
    tokio::time::sleep(kept * 5 / 4).await;
    // The session is kept; its ending and its request are not.
    assert_eq!(fixture::texts(&it.store, &longer).await, ["z"]);
    let request = format!("{{{longer}}}:request");
    assert_eq!(it.key::<u64>("EXISTS", &request, &[]).await, 0);
    for id in [&expired, &deleted, &longer] {
        let postponed = it.store.postpone_ending(id, 1, Duration::ZERO).await;
        assert!(
            matches!(postponed, Err(StoreError::NotFound | StoreError::Gone(_))),
            "{postponed:?}"
        );
    }
    it.store.delete(&longer, DeleteMode::Now).await?;
    tokio::time::sleep(kept).await;
    // Nobody asks for the endings of this service any more.
    while it.store.sweep(9).await? > 0 {}
    assert_eq!(it.keys().await, [""; 0]);
    Ok(())
}

async fn tombstone() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let short = Duration::from_millis(100);
    let new = || NewSession {
        tombstone: short,
        ..with_outbox(KEPT)
    };
    let id = end(&it.store, new(), fixture::LONG).await?;
    it.store.delete(&id, DeleteMode::Now).await?;
    tokio::time::sleep(short * 3).await;
    assert!(is_gone(&it.store, &id).await, "while the ending waits");
    let created = it.store.create(&id, new()).await;
    assert!(matches!(created, Err(StoreError::Gone(_))));
    deliver(&mut it, &id).await?;
    assert!(!is_gone(&it.store, &id).await, "its own time is over");
    let created = it.store.create(&id, new()).await?;
    assert!(matches!(created, Created::Created(_)));
    Ok(())
}

async fn spared() -> Result<(), Failed> {
    let mut it = Scene::with(support::options().max_tombstones(1)).await;
    let waits = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    // An entry of an earlier session with this id.
    it.key::<u64>("ZADD", "{all}:tombstones", &["1", waits.as_str()])
        .await;
    it.store.delete(&waits, DeleteMode::Now).await?;
    for _ in 0..3 {
        let (id, _) = it.create(Some("me"), "c", 1).await?.remove(0);
        it.store.delete(&id, DeleteMode::Now).await?;
        assert!(is_gone(&it.store, &waits).await);
    }
    assert_eq!(it.members("{all}:tombstones").await.len(), 1);
    deliver(&mut it, &waits).await?;
    assert_eq!(it.members("{all}:tombstones").await.len(), 1);
    Ok(())
}

async fn damaged() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(end(&it.store, with_outbox(KEPT), fixture::LONG).await?);
    }
    for (at, verb, key) in [(0, "RPUSH", "session"), (2, "SET", "ending")] {
        let key = format!("{{{}}}:{key}", made[at].as_str());
        it.key::<u64>("DEL", &key, &[]).await;
        if at == 2 {
            let session = format!("{{{}}}:session", made[at].as_str());
            it.key::<u64>("DEL", &session, &[]).await;
        }
        it.key::<()>(verb, &key, &["foreign"]).await;
    }
    for _ in 0..2 {
        let service = ServiceName::new(SERVICE);
        let taken = it.store.endings(&service, 9, Duration::ZERO).await?;
        let ids: HashSet<_> = taken.into_iter().map(|it| it.id).collect();
        assert_eq!(ids, HashSet::from([made[1].clone(), made[3].clone()]));
    }
    // Without the keys, their entries go too.
    for id in [&made[0], &made[2]] {
        for key in ["session", "ending", "log", "request", "tombstone"] {
            it.key::<u64>("DEL", &format!("{{{id}}}:{key}"), &[]).await;
        }
    }
    for id in [&made[1], &made[3]] {
        deliver(&mut it, id).await?;
    }
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    assert_eq!(it.members(&outbox::index()).await, [""; 0]);
    Ok(())
}
