//! Servers that take endings, postpone and deliver them.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libtest_mimic::Trial;
use tokio::task::JoinSet;
use unbroken::{
    log::SessionId,
    store::{Created, NewSession, Store, StoreError},
};

use super::servers::{HOUR, SECOND, Servers, sealed, service, take_one};
use crate::{
    fixture::{chunk, new, new_with_outbox, seal, texts},
    machine::{Checked, Machine},
};

pub(super) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("servers_that_take_endings_at_once_share_them", shared),
        machine.trial("an_ending_is_taken_again_when_its_lease_is_over", again),
        machine.trial("only_the_last_taker_postpones_an_ending", postponed),
        machine.trial("a_call_takes_as_many_large_requests_as_it_can_move", large),
        machine.trial("servers_take_large_requests_beside_each_other", beside),
        machine.trial(
            "the_request_of_a_session_without_an_outbox_is_dropped",
            without,
        ),
    ]
}

async fn shared(machine: Machine) -> Checked {
    const ENDINGS: usize = 150;
    const ROUNDS: u32 = 3;
    let servers = Servers::open(&machine, machine.options()).await?;
    let mut all = HashSet::new();
    for _ in 0..ENDINGS {
        all.insert(sealed(&servers.one, new_with_outbox(HOUR), HOUR).await?);
    }
    for round in 1..=ROUNDS {
        let mut takers = JoinSet::new();
        for taker in 0..8 {
            let store = if taker % 2 == 0 {
                &servers.one
            } else {
                &servers.other
            };
            let store = store.clone();
            takers.spawn(async move {
                let mut mine = Vec::new();
                // A taker may find nothing because another is about to take it.
                for _ in 0..ENDINGS {
                    let taken = store.endings(&service(), 1 + taker, HOUR).await?;
                    assert!(taken.len() <= 1 + taker);
                    mine.extend(taken);
                }
                Ok::<_, StoreError>(mine)
            });
        }
        let mut taken = HashMap::new();
        while let Some(mine) = takers.join_next().await {
            for ending in mine?? {
                assert_eq!(ending.delivery, round);
                assert!(taken.insert(ending.id, ending.delivery).is_none());
            }
        }
        assert_eq!(taken.len(), ENDINGS);
        assert!(taken.keys().all(|id| all.contains(id)));
        assert!(
            servers
                .other
                .endings(&service(), 10, HOUR)
                .await?
                .is_empty()
        );
        // All are given back at once.
        for id in &all {
            servers
                .one
                .postpone_ending(id, round, Duration::ZERO)
                .await?;
        }
    }
    let most = servers.one.endings(&service(), 1000, HOUR).await?;
    assert_eq!(most.len(), ENDINGS);
    Ok(())
}

async fn again(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(sealed(&servers.one, new_with_outbox(24 * HOUR), HOUR).await?);
    }
    let first = servers.one.endings(&service(), 2, 2 * HOUR).await?;
    assert!(first.iter().map(|it| &it.id).eq(&ids[..2]));
    let last = servers.other.endings(&service(), 2, HOUR).await?;
    assert!(last.iter().map(|it| &it.id).eq(&ids[2..]));
    servers.pass(HOUR).await?;
    let taken = servers.one.endings(&service(), 10, 2 * HOUR).await?;
    assert!(
        taken
            .iter()
            .map(|it| (&it.id, it.delivery))
            .eq([(&ids[2], 2)])
    );
    servers.pass(HOUR).await?;
    let taken = servers.other.endings(&service(), 10, HOUR).await?;
    assert!(
        taken
            .iter()
            .map(|it| (&it.id, it.delivery))
            .eq([(&ids[0], 2), (&ids[1], 2)])
    );
    assert!(taken[0].expires_in <= 22 * HOUR);
    // Those due first come first, not those that were sealed first.
    servers.other.postpone_ending(&ids[0], 2, SECOND).await?;
    servers.pass(HOUR).await?;
    let taken = servers.one.endings(&service(), 10, HOUR).await?;
    assert!(
        taken
            .iter()
            .map(|it| &it.id)
            .eq([&ids[0], &ids[2], &ids[1]])
    );
    Ok(())
}

async fn postponed(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let id = sealed(&servers.one, new_with_outbox(HOUR), HOUR).await?;
    let untaken = servers.one.postpone_ending(&id, 1, HOUR).await;
    assert!(matches!(untaken, Err(StoreError::Fenced)), "{untaken:?}");
    assert_eq!(take_one(&servers.one).await?.delivery, 1);
    servers
        .other
        .postpone_ending(&id, 1, Duration::ZERO)
        .await?;
    assert_eq!(take_one(&servers.other).await?.delivery, 2);
    for (delivery, fenced) in [(1, true), (2, false), (3, true), (u32::MAX, true)] {
        let postponed = servers.one.postpone_ending(&id, delivery, HOUR).await;
        assert_eq!(matches!(postponed, Err(StoreError::Fenced)), fenced);
        assert_eq!(postponed.is_ok(), !fenced);
    }
    assert!(servers.one.endings(&service(), 10, HOUR).await?.is_empty());
    servers.deliver(&servers.one, &id).await?;
    servers.deliver(&servers.other, &id).await?;
    for id in [&id, &SessionId::random()] {
        let late = servers.one.postpone_ending(id, 2, Duration::ZERO).await;
        assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    }
    assert!(servers.one.endings(&service(), 10, HOUR).await?.is_empty());
    Ok(())
}

async fn large(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    // A call takes 2 MiB, or one that is larger.
    let mut sizes = vec![300 << 10; 8];
    sizes.extend([3 << 20, 200 << 10, 10]);
    let mut ids = Vec::new();
    for (at, &size) in sizes.iter().enumerate() {
        let new = NewSession {
            request: vec![u8::try_from(at)?; size].into(),
            ..new_with_outbox(HOUR)
        };
        ids.push(sealed(&servers.one, new, HOUR).await?);
    }
    let mut at = 0;
    for count in [6, 2, 1, 2, 0] {
        let taken = servers.one.endings(&service(), 16, HOUR).await?;
        assert_eq!(taken.len(), count, "after {at}");
        for ending in taken {
            assert_eq!((&ending.id, ending.delivery), (&ids[at], 1));
            assert!(!ending.deleted);
            assert_eq!(ending.request.len(), sizes[at]);
            assert!(ending.request.iter().all(|byte| usize::from(*byte) == at));
            at += 1;
        }
    }
    assert_eq!(at, ids.len());
    Ok(())
}

async fn beside(machine: Machine) -> Checked {
    const WAITING: usize = 12;
    let servers = Servers::open(&machine, machine.options()).await?;
    let mut ids = Vec::new();
    for _ in 0..WAITING {
        let new = NewSession {
            request: vec![7; 300 << 10].into(),
            ..new_with_outbox(HOUR)
        };
        ids.push(sealed(&servers.one, new, HOUR).await?);
    }
    // The first server stops when it has locked the rows that it takes.
    let stop = format!(
        "CREATE FUNCTION @.stop() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_advisory_xact_lock(hashtext('@')); RETURN NEW; END $$;
         CREATE TRIGGER stop BEFORE UPDATE ON @.sessions
            FOR EACH ROW WHEN (OLD.id = '{}') EXECUTE FUNCTION @.stop();
         SELECT pg_advisory_lock(hashtext('@'))",
        ids[0]
    );
    servers.execute(&stop).await?;
    let store = servers.one.clone();
    let one = tokio::spawn(async move { store.endings(&service(), 16, HOUR).await });
    let stopped = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND NOT l.granted AND a.query LIKE '%\"@\".sessions%'";
    while servers.number(stopped).await? == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let other = servers.other.endings(&service(), 16, HOUR).await?;
    assert!(other.iter().map(|it| &it.id).eq(&ids[6..]));
    servers
        .execute("SELECT pg_advisory_unlock(hashtext('@'))")
        .await?;
    let one = one.await??;
    assert!(one.iter().map(|it| &it.id).eq(&ids[..6]));
    for ending in one.iter().chain(&other) {
        assert_eq!((ending.delivery, ending.request.len()), (1, 300 << 10));
    }
    Ok(())
}

async fn without(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let id = sealed(&servers.one, new(), HOUR).await?;
    assert_eq!(servers.requests().await?, 0);
    let rest = "SELECT count(*) FROM @.sessions WHERE summary IS NOT NULL OR ending_due IS NOT NULL \
        OR ending_until IS NOT NULL OR retained_until IS NOT NULL";
    assert_eq!(servers.number(rest).await?, 0);
    assert!(servers.one.endings(&service(), 10, HOUR).await?.is_empty());
    let late = servers.one.postpone_ending(&id, 0, HOUR).await;
    assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    servers.deliver(&servers.one, &id).await?;
    assert_eq!(texts(&servers.one, &id).await?, ["a"]);
    // A repeated seal puts nothing into the outbox either.
    let id = SessionId::random();
    let Created::Created(epoch) = servers.one.create(&id, new_with_outbox(HOUR)).await? else {
        unreachable!("ids are random");
    };
    let end = chunk(1, epoch, &["a"]);
    servers.one.append(&id, end.clone(), seal()).await?;
    take_one(&servers.one).await?;
    servers.deliver(&servers.one, &id).await?;
    servers.one.append(&id, end, seal()).await?;
    assert!(servers.one.endings(&service(), 10, HOUR).await?.is_empty());
    Ok(())
}
