//! The outbox: endings that several servers take, of sessions that are kept, deleted or expired.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libtest_mimic::Trial;
use tokio::{task::JoinSet, time::Instant};
use unbroken::{
    log::{ChatId, Outcome, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Holder, NewSession, PendingEnding, Seal,
        SessionMeta, Store, StoreError, StoreExt,
    },
};
use unbroken_postgres::{Postgres, PostgresOptions, tokio_postgres::Client};

use crate::{
    fixture::{chunk, new, new_with_outbox, seal, texts},
    machine::{Checked, Machine},
};

type Error = Box<dyn std::error::Error + Send + Sync>;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("servers_that_take_endings_at_once_share_them", shared),
        machine.trial("an_ending_is_taken_again_when_its_lease_is_over", again),
        machine.trial("only_the_last_taker_postpones_an_ending", postponed),
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
        machine.trial("large_requests_are_taken_one_by_one", large),
        machine.trial(
            "the_request_of_a_session_without_an_outbox_is_dropped",
            without,
        ),
    ]
}

pub(crate) fn service() -> ServiceName {
    ServiceName::new("a service")
}

/// A schema, and two servers on it.
struct Servers {
    options: PostgresOptions,
    one: Postgres,
    other: Postgres,
    client: Client,
}

impl Servers {
    async fn open(machine: &Machine, options: PostgresOptions) -> Result<Self, Error> {
        Ok(Self {
            one: Postgres::open(&machine.url, options.clone()).await?,
            other: Postgres::open(&machine.url, options.clone()).await?,
            client: machine.client().await,
            options,
        })
    }

    async fn number(&self, query: &str) -> Result<i64, Error> {
        let query = query.replace('@', &self.options.schema);
        Ok(self.client.query_one(&query, &[]).await?.get(0))
    }

    async fn requests(&self) -> Result<i64, Error> {
        self.number("SELECT count(*) FROM @.requests").await
    }

    /// Moves all times of the sessions into the past.
    async fn pass(&self, time: Duration) -> Result<(), Error> {
        let pass = format!(
            "UPDATE @.sessions SET created = created - {0}, keep_until = keep_until - {0},
                lease_until = lease_until - {0}, lease_mark = lease_mark - {0}, deleted = deleted - {0},
                due = due - {0}, ending_due = ending_due - {0}, ending_until = ending_until - {0},
                retained_until = retained_until - {0}",
            time.as_micros()
        );
        let pass = pass.replace('@', &self.options.schema);
        Ok(self.client.batch_execute(&pass).await?)
    }
}

/// Creates a session and seals it.
async fn sealed(
    store: &Postgres,
    new: NewSession,
    keep: Duration,
) -> Result<SessionId, StoreError> {
    let id = SessionId::random();
    let Created::Created(epoch) = store.create(&id, new).await? else {
        unreachable!("ids are random");
    };
    let seal = Seal::new(Outcome::Aborted, keep).summary("the summary".into());
    let seal = AfterAppend::Seal(seal);
    store.append(&id, chunk(1, epoch, &["a"]), seal).await?;
    Ok(id)
}

async fn take_one(store: &Postgres) -> Result<PendingEnding, Error> {
    let mut taken = store.endings(&service(), 10, HOUR).await?;
    assert_eq!(taken.len(), 1);
    Ok(taken.remove(0))
}

fn is_gone<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Gone(_)))
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
    servers.one.delivered(&id).await?;
    servers.other.delivered(&id).await?;
    for id in [&id, &SessionId::random()] {
        let late = servers.one.postpone_ending(id, 2, Duration::ZERO).await;
        assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    }
    assert!(servers.one.endings(&service(), 10, HOUR).await?.is_empty());
    Ok(())
}

/// Counts the bytes that clients chose in rows of tombstones, apart from ids and owners, and the rest of an
/// ending.
const NAMED: &str = "SELECT count(*) FROM @.sessions WHERE chat IS NOT NULL OR service <> '' \
    OR abort_reason IS NOT NULL OR summary IS NOT NULL OR ending_due IS NOT NULL \
    OR ending_until IS NOT NULL OR retained_until IS NOT NULL OR deliveries <> 0 \
    OR deleted IS NULL OR tombstone_number IS NULL";

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
    assert_eq!(
        (&*ending.summary, &*ending.request),
        (&b"the summary"[..], &b""[..])
    );
    servers
        .other
        .postpone_ending(&id, 1, Duration::ZERO)
        .await?;
    assert_eq!(take_one(&servers.one).await?.delivery, 2);
    servers.one.delivered(&id).await?;
    servers.one.delivered(&id).await?;
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
    servers.one.delivered(&id).await?;
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
    servers.one.delivered(&id).await?;
    assert!(is_gone(&waiting.await?));
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(servers.requests().await?, 0);
    assert_eq!(servers.one.sweep(10).await?, 1);
    assert!(is_gone(&servers.one.state(&id).await));
    assert_eq!(servers.number(NAMED).await?, 0);
    // A retention that isn't over goes on.
    let id = sealed(&servers.one, new_with_outbox(4 * HOUR), 3 * HOUR).await?;
    servers.pass(2 * HOUR).await?;
    servers.one.delivered(&id).await?;
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
    servers.one.delivered(&id).await?;
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
    servers.pass(HOUR - SECOND * 20).await?;
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
    servers.one.delivered(&id).await?;
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
    servers.one.delivered(&waits).await?;
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

async fn large(machine: Machine) -> Checked {
    let servers = Servers::open(&machine, machine.options()).await?;
    let sizes = [300 << 10, 200 << 10, 200 << 10, 2 << 20, 10];
    let mut ids = Vec::new();
    for (at, size) in sizes.into_iter().enumerate() {
        let new = NewSession {
            request: vec![u8::try_from(at)?; size].into(),
            ..new_with_outbox(HOUR)
        };
        ids.push(sealed(&servers.one, new, HOUR).await?);
    }
    let mut at = 0;
    for count in [2, 1, 1, 1, 0] {
        let taken = servers.one.endings(&service(), 10, HOUR).await?;
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
    servers.one.delivered(&id).await?;
    assert_eq!(texts(&servers.one, &id).await?, ["a"]);
    // A repeated seal puts nothing into the outbox either.
    let id = SessionId::random();
    let Created::Created(epoch) = servers.one.create(&id, new_with_outbox(HOUR)).await? else {
        unreachable!("ids are random");
    };
    let end = chunk(1, epoch, &["a"]);
    servers.one.append(&id, end.clone(), seal()).await?;
    take_one(&servers.one).await?;
    servers.one.delivered(&id).await?;
    servers.one.append(&id, end, seal()).await?;
    assert!(servers.one.endings(&service(), 10, HOUR).await?.is_empty());
    Ok(())
}
