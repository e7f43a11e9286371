//! Lists and looks for the sessions of a chat read their page, however many sessions others have.

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc};

use libtest_mimic::Trial;
use unbroken::{
    log::{ChatId, Owner, SessionId},
    store::{AfterAppend, Filter, Listed, Listing, SessionMeta, StatusFilter, Store, StoreExt},
};
use unbroken_postgres::{
    Listen, Postgres,
    deadpool_postgres::{Manager, Pool},
    tokio_postgres::NoTls,
};

use crate::{
    counts::{CountedSchema, Counts, Rows},
    fixture::{chunk, new, seal, session},
    machine::{Checked, Machine},
};

/// The sessions of each kind that others have.
const OTHERS: u32 = 1500;
/// The size of a page.
const PAGE: u8 = 10;
/// The statuses that a list without one merges: each is a range of an index.
const RANGES: i64 = 5;

const STATUSES: [Option<StatusFilter>; 6] = [
    None,
    Some(StatusFilter::Streaming),
    Some(StatusFilter::Waiting),
    Some(StatusFilter::Complete),
    Some(StatusFilter::Aborted),
    Some(StatusFilter::Error),
];

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial(
            "a_look_for_a_chat_costs_the_same_beside_thousands_of_others",
            of_chat,
        ),
        machine.trial(
            "a_look_for_a_chat_costs_the_same_by_a_plan_from_before_the_others_came",
            early_plan,
        ),
        machine.trial(
            "a_look_for_a_chat_without_an_owner_finds_no_owned_session",
            without_owner,
        ),
        machine.trial("each_list_reads_its_page_only", pages),
        machine.trial("lists_are_not_planned_for_each_execution", planned_once),
        machine.trial(
            "a_list_passes_over_expired_sessions_in_bounded_steps",
            expired,
        ),
        machine.trial(
            "a_look_for_a_chat_finds_sessions_behind_expired_ones",
            behind_expired,
        ),
        machine.trial("appends_leave_every_index_as_it_is", appends),
    ]
}

/// Returns an owner's sessions in one chat: running, waiting, and of each outcome.
fn mine(count: u32) -> Rows<'static> {
    Rows {
        count,
        owner: "'an owner'",
        chat: "'the chat'",
        kind: "CASE WHEN n % 5 < 3 THEN n % 5 END",
        waiting: "n % 5 = 4",
        ..Rows::default()
    }
}

/// Returns sessions of others: in a chat of the same name, without an owner, of the same owner in other
/// chats, and in none.
fn crowd() -> [Rows<'static>; 4] {
    let like = mine(OTHERS);
    let owner = "convert_to('other ' || n % 3, 'UTF8')";
    let chat = "convert_to('chat ' || n, 'UTF8')";
    let none = "NULL";
    [
        Rows { owner, ..like },
        Rows {
            owner: none,
            ..like
        },
        Rows { chat, ..like },
        Rows {
            owner,
            chat: none,
            ..like
        },
    ]
}

async fn look(store: &Postgres, limit: usize) -> Checked {
    let (owner, chat) = (Owner::new("an owner"), ChatId::new("the chat"));
    let found = store.of_chat(Some(&owner), &chat, limit).await?;
    assert_eq!(found.len(), limit.min(5));
    let running = found.iter().map(|it| it.state.status.outcome().is_none());
    assert!(running.eq([true, true, false, false, false].into_iter().take(limit)));
    Ok(())
}

async fn of_chat(machine: Machine) -> Checked {
    const LIMITS: [usize; 3] = [1, 5, 100];
    let schema = CountedSchema::new(&machine).await?;
    schema.fill(mine(5)).await?;
    let mut alone = Vec::new();
    for limit in LIMITS {
        let look = schema.count(async |store| look(&store, limit).await);
        alone.push(look.await?);
    }
    for rows in crowd() {
        schema.fill(rows).await?;
    }
    // With and without statistics.
    for statistics in ["SELECT 1", "ANALYZE @.sessions"] {
        schema.execute(statistics).await?;
        for (limit, alone) in LIMITS.into_iter().zip(&alone) {
            let beside = schema.count(async |store| look(&store, limit).await);
            let beside = beside.await?;
            assert_eq!(beside, *alone);
            assert_eq!((beside.walked, beside.scans), (0, RANGES));
            assert!(beside.entries <= 5, "{beside:?} for at most {limit}");
        }
    }
    Ok(())
}

async fn early_plan(machine: Machine) -> Checked {
    const LOOKS: i64 = 10;
    let mut schema = CountedSchema::new(&machine).await?;
    schema.options = schema.options.pool_size(1);
    let client = machine.client().await;
    let looks = schema.count(async |store| {
        // The server keeps the plan of a prepared statement after some runs.
        let (owner, chat) = (Owner::new("an owner"), ChatId::new("the chat"));
        for _ in 0..LOOKS {
            assert!(store.of_chat(Some(&owner), &chat, 10).await?.is_empty());
        }
        for rows in crowd().into_iter().chain([mine(5)]) {
            client.batch_execute(&schema.named(&rows.insert())).await?;
        }
        for _ in 0..LOOKS {
            look(&store, 10).await?;
        }
        Ok(())
    });
    let looks = looks.await?;
    assert_eq!((looks.walked, looks.entries), (0, LOOKS * 5), "{looks:?}");
    Ok(())
}

async fn without_owner(machine: Machine) -> Checked {
    let chat = ChatId::new("the chat");
    let store = machine.store().await;
    for owner in [Some("an owner"), None, Some("an owner"), None, Some("x")] {
        let mut new = new();
        new.meta = Arc::new(SessionMeta {
            owner: owner.map(Owner::new),
            chat: Some(chat.clone()),
            ..SessionMeta::clone(&new.meta)
        });
        store.create(&SessionId::random(), new).await?;
    }
    for owner in [None, Some(Owner::new("an owner"))] {
        let found = store.of_chat(owner.as_ref(), &chat, 10).await?;
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|it| it.state.meta.owner == owner));
    }
    Ok(())
}

async fn pages(machine: Machine) -> Checked {
    let schema = CountedSchema::new(&machine).await?;
    for rows in crowd().into_iter().chain([mine(200)]).chain(crowd()) {
        schema.fill(rows).await?;
    }
    for statistics in ["SELECT 1", "ANALYZE @.sessions"] {
        schema.execute(statistics).await?;
        for (owner, chat) in [(false, false), (true, false), (false, true), (true, true)] {
            for status in STATUSES {
                let mut filter = Filter {
                    owner: owner.then(|| Owner::new("an owner")),
                    chat: chat.then(|| ChatId::new("the chat")),
                    status,
                    after: None,
                    limit: NonZeroUsize::new(PAGE.into()),
                };
                for _ in 0..2 {
                    let mut next = None;
                    let page = schema.count(async |store| {
                        next = full_page(&store, &filter).await?.next;
                        Ok(())
                    });
                    check_page(page.await?, &filter);
                    filter.after = next;
                }
            }
        }
    }
    Ok(())
}

async fn planned_once(machine: Machine) -> Checked {
    const LISTS: i64 = 20;
    let schema = CountedSchema::new(&machine).await?;
    for rows in crowd().into_iter().chain([mine(5)]) {
        schema.fill(rows).await?;
    }
    schema.execute("ANALYZE @.sessions").await?;
    let manager = Manager::new(machine.url.parse()?, NoTls);
    let pool = Pool::builder(manager).max_size(1).build()?;
    let options = schema.options.clone().listen(Listen::url(&machine.url)?);
    let store = Postgres::with_pool(pool.clone(), options).await?;
    for at in 0..LISTS {
        look(&store, 1 + usize::from(at % 2 == 0) * 100).await?;
        for (owner, chat) in [(false, false), (true, false), (false, true), (true, true)] {
            for status in STATUSES {
                let filter = Filter {
                    owner: owner.then(|| Owner::new(format!("other {}", at % 5))),
                    chat: chat.then(|| ChatId::new("the chat")),
                    status,
                    after: Some((1000 * at).to_string()),
                    limit: NonZeroUsize::new(1 + usize::from(at % 2 == 0) * 20),
                };
                store.list(&filter).await?;
            }
        }
    }
    let lists = "SELECT count(*), max(custom_plans), min(generic_plans) FROM pg_prepared_statements
        WHERE statement LIKE '%list_key%' AND statement NOT LIKE '%pg_prepared%'";
    let row = pool.get().await?.query_one(lists, &[]).await?;
    assert_eq!(row.get::<_, i64>(0), 25);
    // The server tries five times with the values at hand.
    assert_eq!((row.get::<_, i64>(1), row.get::<_, i64>(2)), (5, LISTS - 5));
    Ok(())
}

async fn full_page(store: &Postgres, filter: &Filter) -> Result<Listing, unbroken::BoxError> {
    let page = store.list(filter).await?;
    assert_eq!(page.sessions.len(), usize::from(PAGE), "{filter:?}");
    for Listed { state, .. } in &page.sessions {
        assert!(filter.owner.is_none() || state.meta.owner == filter.owner);
        assert!(filter.chat.is_none() || state.meta.chat == filter.chat);
    }
    Ok(page)
}

/// Checks that a list has read its page, one more, which shows that there is a next one, and the first
/// of each range that it merges.
fn check_page(counts: Counts, filter: &Filter) {
    let ranges = if filter.status.is_none() { RANGES } else { 1 };
    let most = i64::from(PAGE) + 1 + ranges;
    assert_eq!(counts.walked, 0, "{counts:?} for {filter:?}");
    assert!(counts.entries <= most, "{counts:?} for {filter:?}");
}

async fn expired(machine: Machine) -> Checked {
    const STATEMENTS: i64 = 8;
    let schema = CountedSchema::new(&machine).await?;
    let kind = "0";
    let owner = "'an owner'";
    let (kept, expired) = (
        Rows {
            count: 5,
            owner,
            kind,
            ..Rows::default()
        },
        Rows {
            count: OTHERS,
            kind,
            keep_until: "1",
            ..Rows::default()
        },
    );
    for rows in [kept, expired, kept] {
        schema.fill(rows).await?;
    }
    let mut filter = Filter {
        limit: NonZeroUsize::new(PAGE.into()),
        ..Filter::default()
    };
    let (mut seen, mut pages) = (HashSet::new(), 0);
    loop {
        let mut page = Listing::default();
        let counts = schema.count(async |store| {
            page = store.list(&filter).await?;
            Ok(())
        });
        let counts = counts.await?;
        let most = STATEMENTS * (i64::from(PAGE) + 1 + RANGES);
        assert!(counts.walked == 0 && counts.entries <= most, "{counts:?}");
        pages += 1;
        seen.extend(page.sessions.into_iter().map(|it| it.id));
        match page.next {
            Some(next) => filter.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen.len(), 10);
    assert!(pages > 2);
    Ok(())
}

async fn behind_expired(machine: Machine) -> Checked {
    let (owner, chat) = (Owner::new("an owner"), ChatId::new("the chat"));
    let schema = CountedSchema::new(&machine).await?;
    let kept = Rows {
        kind: "0",
        ..mine(2)
    };
    let expired = Rows {
        count: 100,
        keep_until: "1",
        ..kept
    };
    for rows in [kept, expired] {
        schema.fill(rows).await?;
    }
    let looks = schema.count(async |store| {
        for (limit, count) in [(0, 0), (1, 1), (2, 2), (3, 2)] {
            let found = store.of_chat(Some(&owner), &chat, limit).await?;
            assert_eq!(found.len(), count);
        }
        Ok(())
    });
    looks.await?;
    Ok(())
}

async fn appends(machine: Machine) -> Checked {
    const APPENDS: u8 = 200;
    let schema = CountedSchema::new(&machine).await?;
    let mut made = None;
    let create = schema.count(async |store| {
        made = Some(session(&store).await?);
        Ok(())
    });
    create.await?;
    let (id, epoch) = made.expect("it was made");
    for after in [AfterAppend::Streaming, AfterAppend::Waiting] {
        let counts = schema.count(async |store| {
            let mut next = store.state(&id).await?.tail.next();
            for _ in 0..APPENDS {
                let token = chunk(next.get(), epoch, &["a token"]);
                store.append(&id, token, after.clone()).await?;
                next = next.next();
            }
            Ok(())
        });
        let counts = counts.await?;
        assert_eq!(counts.updates, i64::from(APPENDS));
        // The others are the change of the status, a lease that is moved, and a page that is full.
        assert!(counts.heap_only * 100 >= counts.updates * 95, "{counts:?}");
    }
    let counts = schema.count(async |store| {
        let next = store.state(&id).await?.tail.next().get();
        store
            .append(&id, chunk(next, epoch, &["the end"]), seal())
            .await?;
        Ok(())
    });
    let counts = counts.await?;
    assert_eq!((counts.updates, counts.heap_only), (1, 0));
    Ok(())
}
