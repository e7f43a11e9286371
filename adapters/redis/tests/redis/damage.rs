//! A key that another program has overwritten is an error that ends what waits, and hides no other session.

use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{ChatId, Lsn, Owner, Position, SessionId},
    session::ReadError,
    store::{
        AbortRequest, AfterAppend, DeleteMode, Filter, Holder, LeaseChange, Seen, Store,
        StoreError, StoreExt, StoredAnswer, Token,
    },
};

use crate::{
    registries,
    support::{
        self, fixture,
        scene::{self, Scene},
        server, trial,
    },
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    let mut trials = vec![
        trial("a_damaged_session_hides_no_other_one", missing, hidden),
        trial(
            "a_session_without_its_request_can_still_be_sealed",
            missing,
            request,
        ),
        trial(
            "the_look_at_an_absent_session_costs_as_much_as_at_that_of_another_owner",
            missing,
            absent,
        ),
    ];
    for key in ["session", "tombstone", "log", "answers", "holds"] {
        for value in ["string", "hash", "list"] {
            let name = format!("a_{value}_in_place_of_the_key_{key}_is_corrupt");
            trials.push(trial(name, missing, move || wrong(key, value)));
        }
    }
    for key in ["session", "log"] {
        let name = format!("a_reader_ends_when_the_key_{key}_is_overwritten");
        trials.push(trial(name, missing, move || reader(key)));
    }
    trials
}

/// Overwrites a key of a session with a value of some type, at once.
async fn overwrite(it: &mut Scene, id: &SessionId, key: &str, value: &str) {
    let (verb, rest): (_, &[_]) = match value {
        "string" => ("SET", &["foreign"]),
        "hash" => ("HSET", &["foreign", "value", "status", "complete"]),
        _ => ("RPUSH", &["foreign"]),
    };
    it.key::<()>(verb, "{foreign}", rest).await;
    let to = format!("{}{{{id}}}:{key}", it.prefix);
    it.key::<()>("RENAME", "{foreign}", &[&to]).await;
}

fn is_corrupt<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    match result {
        Err(StoreError::Corrupt { .. }) => true,
        Err(error @ StoreError::Unavailable { .. }) => panic!("it would be repeated: {error:?}"),
        _ => false,
    }
}

/// Returns the calls that say that the session is corrupt.
async fn corrupt_calls(
    it: &Scene,
    id: &SessionId,
    epoch: unbroken::log::Epoch,
) -> Vec<&'static str> {
    let store = &it.store;
    let mut corrupt = Vec::new();
    let mut add = |name, is| {
        if is {
            corrupt.push(name);
        }
    };
    add("state", is_corrupt(store.state(id).await));
    let wait = store.changed(id, Seen::by_owner(epoch), Duration::from_millis(10));
    add("changed", is_corrupt(wait.await));
    add(
        "read",
        is_corrupt(store.read(id, Position::START, 1000).await),
    );
    let owned = [(id.clone(), epoch)];
    let renewed = store.renew(&owned, LeaseChange::Extend(fixture::LONG));
    add("renew", is_corrupt(renewed.await.remove(0)));
    add(
        "abort",
        is_corrupt(store.abort(id, AbortRequest::default()).await),
    );
    add("answers", is_corrupt(store.answers(id, 0).await));
    add(
        "answer",
        is_corrupt(store.answer(id, StoredAnswer::new("a", "b")).await),
    );
    add(
        "hold",
        is_corrupt(store.hold(id, Holder(1), fixture::LONG).await),
    );
    let claimed = store.claim(id, epoch, Token::random(), fixture::LONG);
    add("claim", is_corrupt(claimed.await));
    let chunk = fixture::chunk(2, epoch, &["more"]);
    add(
        "append",
        is_corrupt(store.append(id, chunk, AfterAppend::Streaming).await),
    );
    add(
        "create",
        is_corrupt(store.create(id, scene::new(None, "c")).await),
    );
    let released = store.delete(id, DeleteMode::Released(Holder(1)));
    add("delete", is_corrupt(released.await));
    corrupt
}

async fn wrong(key: &str, value: &str) -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    fixture::push(&it.store, &id, epoch, 1, &["a"]).await?;
    if key == "tombstone" {
        it.store.delete(&id, DeleteMode::Now).await?;
    }
    overwrite(&mut it, &id, key, value).await;
    let expected: &[&str] = match (key, value) {
        // An id that is gone can be deleted again, whatever is left.
        ("tombstone", "string") => &[
            "state", "changed", "read", "renew", "abort", "answers", "answer", "hold", "claim",
            "append", "create",
        ],
        ("session" | "tombstone", _) => &[
            "state", "changed", "read", "renew", "abort", "answers", "answer", "hold", "claim",
            "append", "create", "delete",
        ],
        ("log", _) => &["read", "claim", "append"],
        // A hash, but not one that this store has written.
        ("answers", "hash") => &["answers"],
        ("answers", _) => &["answers", "answer"],
        _ => &["hold", "delete"],
    };
    let before = it.store.state(&id).await;
    let corrupt = corrupt_calls(&it, &id, epoch).await;
    if (key, value) == ("session", "hash") {
        // Without the fields of a session it is none, and the id is free.
        assert!(matches!(before, Err(StoreError::NotFound)));
        return Ok(());
    }
    for call in expected {
        assert!(corrupt.contains(call), "{call} among {corrupt:?}");
    }
    for call in &corrupt {
        assert!(expected.contains(call), "{call} needs no {key}");
    }
    // Without the key, the session is absent, or has lost what was in it.
    let _: u64 = it.key("DEL", &format!("{{{id}}}:{key}"), &[]).await;
    let state = it.store.state(&id).await;
    assert!(!is_corrupt(state));
    Ok(())
}

async fn hidden() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let made = it.create(Some("me"), "c", 3).await?;
    let owned: Vec<_> = made.clone();
    for answer in it.store.renew(&owned, LeaseChange::GiveBack).await {
        answer?;
    }
    overwrite(&mut it, &made[1].0, "session", "string").await;
    let expected = [&made[2].0, &made[0].0];
    let listed = it.store.list(&Filter::default()).await?.sessions;
    assert_eq!(listed.iter().map(|it| &it.id).collect::<Vec<_>>(), expected);
    let of_chat = it
        .store
        .of_chat(Some(&Owner::new("me")), &ChatId::new("c"), 9)
        .await?;
    assert_eq!(
        of_chat.iter().map(|it| &it.id).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(it.store.orphans(9).await?.len(), 2);

    let seal = AfterAppend::Seal(unbroken::store::Seal::new(
        unbroken::log::Outcome::Complete,
        Duration::ZERO,
    ));
    let expired = it.create_ended(Some("me"), "c", 3, seal).await?;
    overwrite(&mut it, &expired[0], "session", "list").await;
    assert_eq!(it.store.sweep(9).await?, 2);
    assert_eq!(it.store.sweep(9).await?, 0);
    // The entries go with the key.
    for id in [&made[1].0, &expired[0]] {
        let _: u64 = it.key("DEL", &format!("{{{id}}}:session"), &[]).await;
    }
    assert_eq!(it.store.sweep(9).await?, 1);
    assert_eq!(it.members("{all}:due").await, [""; 0]);
    Ok(())
}

async fn request() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    let owned = [(id.clone(), epoch)];
    it.store
        .renew(&owned, LeaseChange::GiveBack)
        .await
        .remove(0)?;
    overwrite(&mut it, &id, "request", "list").await;
    let claimed = it
        .store
        .claim(&id, epoch, Token::random(), fixture::LONG)
        .await?;
    assert!(claimed.request.is_empty());
    let end = fixture::chunk(1, claimed.epoch, &["z"]);
    it.store.append(&id, end, fixture::sealed()).await?;
    assert_eq!(fixture::texts(&it.store, &id).await, ["z"]);
    Ok(())
}

async fn absent() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (theirs, _) = it.create(Some("other"), "c", 1).await?.remove(0);
    let ended = it
        .create_ended(Some("other"), "c", 1, fixture::sealed())
        .await?
        .remove(0);
    let (deleted, _) = it.create(Some("other"), "c", 1).await?.remove(0);
    it.store.delete(&deleted, DeleteMode::Now).await?;
    let absent = SessionId::random();
    let mut costs = Vec::new();
    for id in [&absent, &theirs, &ended, &deleted] {
        let look = async |store: unbroken_redis::Redis| Ok(store.state(id).await.is_ok());
        let (found, cost) = it.cost(look).await?;
        assert_eq!(found, id == &theirs || id == &ended);
        costs.push(cost);
    }
    assert_eq!(costs[0].get("evalsha"), Some(&1));
    for cost in &costs {
        assert_eq!(cost, &costs[0]);
    }
    Ok(())
}

/// A session whose provider says nothing for now, read on its server and on another one.
async fn reader(key: &str) -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let options = support::options().prefix(it.prefix.clone());
    let one = registries::sessions(&it.server, options.clone()).await;
    let other = registries::sessions(&it.server, options).await;
    let id = SessionId::random();
    let (sender, _session) = registries::begin(&one, &id).await;
    let here = one.attach(&id).await?.reader(Position::START).await?;
    let there = other.attach(&id).await?.reader(Position::START).await?;
    let mut readers = [here, there];
    for reader in &mut readers {
        reader.next().await.ok_or("the first record")??;
    }
    overwrite(&mut it, &id, key, "string").await;
    if key == "log" {
        // The server that writes does not read its log.
        sender.send("the second record".to_owned())?;
    }
    for reader in &mut readers {
        let end = tokio::time::timeout(Duration::from_secs(20), reader.next()).await;
        match end.map_err(|_| format!("a reader hangs where its {key} is damaged"))? {
            Some(Err(ReadError::Corrupt { lsn })) => assert!(lsn <= Lsn::new(2)),
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(())
}
