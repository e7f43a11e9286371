//! Sessions whose endings wait are kept, and what remains of those that are deleted.

use std::time::Duration;

use libtest_mimic::Trial;
use tokio::time::Instant;
use unbroken::{
    log::{ChatId, Outcome, SessionId},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Holder, NewSession, Seal, SessionMeta,
        Store, StoreError, StoreExt,
    },
};

use super::servers::{HOUR, NAMED, SECOND, Servers, is_gone, sealed, service, take_one};
use crate::{
    fixture::{chunk, new, new_with_outbox, texts},
    machine::{Checked, Machine},
};

pub(super) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial(
            "the_ending_of_a_deleted_session_keeps_what_names_it_until_the_delivery",
            deleted,
        ),
        machine.trial("a_session_is_not_released_before_its_ending", released),
        machine.trial("a_delivery_lets_a_session_expire", delivered),
        machine.trial("a_hold_outlasts_the_delivery", held),
        machine.trial("an_ending_whose_time_is_over_is_swept", over),
        machine.trial("a_tombstone_lasts_as_long_as_its_ending", tombstone),
        machine.trial("a_tombstone_with_an_ending_is_not_evicted", evicted),
    ]
}

async fn deleted(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let mut new = new_with_outbox(HOUR);
    new.meta = std::sync::Arc::new(SessionMeta {
        chat: Some(ChatId::new("the chat")),
        ..SessionMeta::clone(&new.meta)
    });
    let id = SessionId::random();
    let Created::Created(epoch) = servers.one.create(&id, new.clone()).await? else {
        unreachable!("ids are random");
    };
    let reason = Some("the reason".into());
    servers.one.abort(&id, AbortRequest { reason }).await?;
    let seal = Seal::new(Outcome::Aborted, HOUR).summary("the summary".into());
    let seal = AfterAppend::Seal(seal);
    servers
        .one
        .append(&id, chunk(1, epoch, &["a"]), seal)
        .await?;
    assert_eq!(servers.requests().await?, 1);
    servers.one.delete(&id, DeleteMode::Now).await?;
    for remains in ["requests", "chunks", "answers"] {
        let count = format!("SELECT count(*) FROM @.{remains}");
        assert_eq!(servers.number(&count).await?, 0, "{remains}");
    }
    let reasons = "SELECT count(*) FROM @.sessions WHERE abort_reason IS NOT NULL";
    assert_eq!(servers.number(reasons).await?, 0);
    for store in [&servers.one, &servers.other] {
        assert_eq!(store.sweep(10).await?, 0);
        assert!(is_gone(&store.state(&id).await));
        assert!(is_gone(&store.create(&id, new.clone()).await));
        store.delete(&id, DeleteMode::Now).await?;
        assert!(
            store
                .list(&unbroken::store::Filter::default())
                .await?
                .sessions
                .is_empty()
        );
        let chat = ChatId::new("the chat");
        assert!(
            store
                .of_chat(new.meta.owner.as_ref(), &chat, 10)
                .await?
                .is_empty()
        );
    }
    let ending = take_one(&servers.other).await?;
    assert_eq!((ending.id.clone(), ending.deleted), (id.clone(), true));
    assert_eq!(ending.state.meta, new.meta);
    assert_eq!(ending.state.status.outcome(), Some(Outcome::Aborted));
    assert_eq!(ending.state.abort, Some(AbortRequest { reason: None }));
    assert_eq!(
        (&*ending.summary, &*ending.request),
        (&b"the summary"[..], &b""[..])
    );
    servers
        .other
        .postpone_ending(&id, 1, Duration::ZERO)
        .await?;
    assert_eq!(take_one(&servers.one).await?.delivery, 2);
    servers.deliver(&servers.one, &id).await?;
    servers.deliver(&servers.one, &id).await?;
    assert_eq!(servers.number(NAMED).await?, 0);
    assert!(is_gone(&servers.other.state(&id).await));
    assert_eq!(servers.one.sweep(10).await?, 0);
    servers.pass(Duration::from_secs(61)).await?;
    assert!(matches!(
        servers.one.state(&id).await,
        Err(StoreError::NotFound)
    ));
    assert_eq!(servers.one.sweep(10).await?, 1);
    assert_eq!(servers.number("SELECT count(*) FROM @.sessions").await?, 0);
    Ok(())
}

async fn released(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let id = sealed(&servers.one, new_with_outbox(HOUR), HOUR).await?;
    let holder = Holder(1);
    let release = servers.one.delete(&id, DeleteMode::Released(holder)).await;
    assert!(matches!(release, Err(StoreError::Held)), "{release:?}");
    assert_eq!(texts(&servers.one, &id).await?, ["a"]);
    servers.deliver(&servers.one, &id).await?;
    servers
        .one
        .delete(&id, DeleteMode::Released(holder))
        .await?;
    assert!(is_gone(&servers.other.state(&id).await));
    // An ending whose time is over prevents nothing, though no sweep has come yet.
    let id = sealed(&servers.one, new_with_outbox(HOUR), 3 * HOUR).await?;
    servers.pass(2 * HOUR).await?;
    servers
        .one
        .delete(&id, DeleteMode::Released(holder))
        .await?;
    assert!(is_gone(&servers.other.state(&id).await));
    servers.one.sweep(10).await?;
    assert_eq!(servers.number(NAMED).await?, 0);
    Ok(())
}

async fn delivered(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let id = sealed(&servers.one, new_with_outbox(HOUR), Duration::ZERO).await?;
    assert_eq!(servers.one.sweep(10).await?, 0);
    let ending = take_one(&servers.other).await?;
    assert_eq!(&*ending.request, b"the request");
    assert!(!ending.deleted);
    assert_eq!(texts(&servers.one, &id).await?, ["a"]);
    let version = servers.other.state(&id).await?.version();
    let began = Instant::now();
    let (waiting, its) = (servers.other.clone(), id.clone());
    let waiting =
        tokio::spawn(async move { waiting.changed(&its, version.into(), 2 * SECOND).await });
    tokio::time::sleep(SECOND / 5).await;
    servers.deliver(&servers.one, &id).await?;
    assert!(is_gone(&waiting.await?));
    // A wait that nothing wakes lasts 2 seconds.
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
    assert_eq!(servers.requests().await?, 0);
    assert_eq!(servers.one.sweep(10).await?, 1);
    assert!(is_gone(&servers.one.state(&id).await));
    assert_eq!(servers.number(NAMED).await?, 0);
    // A retention that isn't over goes on.
    let id = sealed(&servers.one, new_with_outbox(4 * HOUR), 3 * HOUR).await?;
    servers.pass(2 * HOUR).await?;
    servers.deliver(&servers.one, &id).await?;
    assert_eq!(texts(&servers.one, &id).await?, ["a"]);
    servers.pass(HOUR).await?;
    assert!(is_gone(&servers.one.state(&id).await));
    servers.pass(Duration::from_secs(61)).await?;
    assert!(matches!(
        servers.one.state(&id).await,
        Err(StoreError::NotFound)
    ));
    Ok(())
}

async fn held(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let id = sealed(&servers.one, new_with_outbox(9 * HOUR), Duration::ZERO).await?;
    servers.one.hold(&id, Holder(1), 2 * HOUR).await?;
    servers.other.hold(&id, Holder(2), HOUR).await?;
    servers.deliver(&servers.one, &id).await?;
    assert_eq!(texts(&servers.other, &id).await?, ["a"]);
    servers.pass(HOUR + 59 * HOUR / 60).await?;
    assert_eq!(servers.one.sweep(10).await?, 0);
    assert_eq!(texts(&servers.other, &id).await?, ["a"]);
    servers.pass(HOUR / 60).await?;
    assert!(is_gone(&servers.other.state(&id).await));
    assert_eq!(servers.one.sweep(10).await?, 1);
    Ok(())
}

async fn over(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let long = NewSession {
        tombstone: 24 * HOUR,
        ..new_with_outbox(HOUR)
    };
    let kept = sealed(&servers.one, long.clone(), 9 * HOUR).await?;
    let expired = sealed(&servers.one, long.clone(), Duration::ZERO).await?;
    let gone = sealed(&servers.one, long.clone(), 9 * HOUR).await?;
    servers.one.delete(&gone, DeleteMode::Now).await?;
    assert_eq!(servers.one.endings(&service(), 10, SECOND).await?.len(), 3);
    servers.pass(3580 * SECOND).await?;
    assert_eq!(servers.one.sweep(10).await?, 0);
    let last = servers.one.endings(&service(), 10, SECOND).await?;
    assert_eq!(last.len(), 3);
    assert!(last.iter().all(|it| it.expires_in <= 20 * SECOND));
    servers.pass(SECOND * 20).await?;
    assert!(
        servers
            .one
            .endings(&service(), 10, SECOND)
            .await?
            .is_empty()
    );
    for id in [&kept, &expired, &gone] {
        let late = servers.one.postpone_ending(id, 2, SECOND).await;
        assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    }
    assert_eq!(servers.requests().await?, 2);
    assert_eq!(servers.one.sweep(10).await?, 2);
    assert_eq!(servers.requests().await?, 0);
    assert_eq!(texts(&servers.one, &kept).await?, ["a"]);
    let endings = "SELECT count(*) FROM @.sessions WHERE summary IS NOT NULL \
        OR ending_due IS NOT NULL OR ending_until IS NOT NULL";
    assert_eq!(servers.number(endings).await?, 0);
    let listed = servers
        .one
        .list(&unbroken::store::Filter::default())
        .await?;
    assert!(listed.sessions.iter().map(|it| &it.id).eq([&kept]));
    servers
        .one
        .delete(&kept, DeleteMode::Released(Holder(1)))
        .await?;
    assert_eq!(servers.number(NAMED).await?, 0);
    for id in [&kept, &expired, &gone] {
        assert!(is_gone(&servers.other.state(id).await));
    }
    Ok(())
}

async fn tombstone(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let short = NewSession {
        tombstone: SECOND,
        ..new_with_outbox(2 * HOUR)
    };
    let id = sealed(&servers.one, short.clone(), HOUR).await?;
    servers.one.delete(&id, DeleteMode::Now).await?;
    servers.pass(HOUR).await?;
    assert_eq!(servers.one.sweep(10).await?, 0);
    assert!(is_gone(&servers.one.state(&id).await));
    assert!(is_gone(&servers.other.create(&id, short.clone()).await));
    assert_eq!(take_one(&servers.other).await?.id, id);
    servers.deliver(&servers.one, &id).await?;
    assert!(matches!(
        servers.one.state(&id).await,
        Err(StoreError::NotFound)
    ));
    let made = servers.other.create(&id, short.clone()).await?;
    assert!(matches!(made, Created::Created(_)));
    // The time of the ending is over, and with it that of the tombstone.
    let id = sealed(&servers.one, short.clone(), HOUR).await?;
    servers.one.delete(&id, DeleteMode::Now).await?;
    servers.pass(2 * HOUR).await?;
    assert!(matches!(
        servers.one.state(&id).await,
        Err(StoreError::NotFound)
    ));
    let made = servers.other.create(&id, short).await?;
    assert!(matches!(made, Created::Created(_)));
    assert!(servers.one.endings(&service(), 10, HOUR).await?.is_empty());
    Ok(())
}

async fn evicted(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options().max_tombstones(1)).await?;
    let waits = sealed(&servers.one, new_with_outbox(HOUR), HOUR).await?;
    servers.one.delete(&waits, DeleteMode::Now).await?;
    let mut others = Vec::new();
    for _ in 0..3 {
        let id = sealed(&servers.one, new(), HOUR).await?;
        servers.one.delete(&id, DeleteMode::Now).await?;
        others.push(id);
    }
    assert_eq!(servers.one.sweep(10).await?, 2);
    assert!(is_gone(&servers.one.state(&waits).await));
    assert_eq!(take_one(&servers.one).await?.id, waits);
    // Its tombstone is the newest from now on.
    servers.deliver(&servers.one, &waits).await?;
    assert_eq!(servers.one.sweep(10).await?, 1);
    assert!(is_gone(&servers.one.state(&waits).await));
    for id in &others {
        assert!(matches!(
            servers.one.state(id).await,
            Err(StoreError::NotFound)
        ));
    }
    Ok(())
}
