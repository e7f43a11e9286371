//! A look into the outbox reads what it returns.

use libtest_mimic::Trial;
use unbroken::{
    log::{ServiceName, SessionId},
    store::{Created, Store},
};

use super::servers::{HOUR, service};
use crate::{
    counts::{CountedSchema, Rows},
    fixture::{chunk, new_with_outbox, seal},
    machine::{Checked, Machine},
};

/// The sessions of each kind beside those that are looked for.
const OTHERS: u32 = 1500;

pub(super) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("a_look_into_the_outbox_reads_what_it_returns", look),
        machine.trial(
            "a_look_into_the_outbox_reads_what_it_returns_by_a_plan_for_few_sessions",
            |machine| early_plan(machine, "VACUUM ANALYZE @.sessions"),
        ),
        machine.trial(
            "a_look_into_the_outbox_reads_what_it_returns_by_an_early_plan",
            |machine| early_plan(machine, "SELECT 1"),
        ),
        machine.trial("a_sweep_reads_only_the_endings_that_it_drops", sweep),
        machine.trial(
            "an_ended_session_is_put_and_removed_at_a_fixed_cost",
            delivery,
        ),
    ]
}

/// Returns ended sessions whose endings wait, the first ones longest.
fn waiting(count: u32) -> Rows<'static> {
    Rows {
        count,
        kind: "0",
        ending_due: "n::bigint",
        ending_until: "9000000000000000",
        ..Rows::default()
    }
}

/// Returns sessions whose endings are not due, of another service, delivered, and that run.
fn crowd() -> [Rows<'static>; 4] {
    let like = waiting(OTHERS);
    [
        Rows {
            ending_due: "8000000000000000 + n",
            ..like
        },
        Rows {
            service: "'another service'",
            ..like
        },
        Rows {
            kind: "0",
            ending_due: "NULL::bigint",
            ending_until: "NULL::bigint",
            ..like
        },
        Rows {
            count: OTHERS,
            ..Rows::default()
        },
    ]
}

async fn look(machine: Machine) -> Checked {
    const WAITING: u32 = 1000;
    const BATCH: i64 = 64;
    let schema = CountedSchema::new(&machine).await?;
    for rows in crowd().into_iter().chain([waiting(WAITING)]) {
        schema.fill(rows).await?;
    }
    let mut taken = 0;
    for statistics in ["SELECT 1", "ANALYZE @.sessions"] {
        schema.execute(statistics).await?;
        for limit in [0, 1, 16, 100] {
            let counts = schema.count(async |store| {
                let endings = store.endings(&service(), limit, HOUR).await?;
                assert_eq!(endings.len(), limit);
                Ok(())
            });
            let counts = counts.await?;
            // Each twice in the outbox, to measure and to lock it, and by its number. Entries of those that were taken before are dead in the
            // outbox, and each statement may visit them.
            let limit = i64::try_from(limit)?;
            let statements = (limit + BATCH - 1) / BATCH;
            let most = 3 * limit + 2 * (statements * taken + (statements - 1).max(0) * BATCH);
            assert!(
                counts.walked == 0 && counts.entries <= most,
                "{counts:?} of {limit} after {taken}"
            );
            taken += limit;
        }
    }
    let unknown = ServiceName::new("a third service");
    let counts = schema.count(async |store| {
        assert!(store.endings(&unknown, 100, HOUR).await?.is_empty());
        Ok(())
    });
    let counts = counts.await?;
    assert_eq!((counts.walked, counts.entries, counts.updates), (0, 0, 0));
    Ok(())
}

async fn early_plan(machine: Machine, statistics: &str) -> Checked {
    const LOOKS: i64 = 10;
    let mut schema = CountedSchema::new(&machine).await?;
    schema.options = schema.options.clone().pool_size(1);
    let few = Rows {
        count: 20,
        ..Rows::default()
    };
    schema.fill(few).await?;
    schema.execute(statistics).await?;
    let client = machine.client().await;
    let looks = schema.count(async |store| {
        // The server keeps the plan of a prepared statement after some runs.
        for _ in 0..LOOKS {
            assert!(store.endings(&service(), 10, HOUR).await?.is_empty());
            assert_eq!(store.sweep(10).await?, 0);
        }
        for rows in crowd().into_iter().chain([waiting(1000)]) {
            client.batch_execute(&schema.named(&rows.insert())).await?;
        }
        for _ in 0..LOOKS {
            let taken = store.endings(&service(), 10, HOUR).await?;
            assert_eq!(taken.len(), 10);
            assert_eq!(store.sweep(10).await?, 0);
        }
        Ok(())
    });
    let looks = looks.await?;
    // Dead ones are visited again until the server knows that nobody sees them.
    let most = LOOKS * 30 + 10 * LOOKS * LOOKS;
    assert!(looks.walked == 0 && looks.entries <= most, "{looks:?}");
    Ok(())
}

async fn sweep(machine: Machine) -> Checked {
    let schema = CountedSchema::new(&machine).await?;
    let over = Rows {
        count: 100,
        ending_until: "n::bigint",
        ..waiting(100)
    };
    for rows in crowd().into_iter().chain([over]) {
        schema.fill(rows).await?;
    }
    schema.execute("ANALYZE @.sessions").await?;
    let mut dropped = 0;
    for count in [40, 40, 20, 0] {
        let counts = schema.count(async |store| {
            assert_eq!(store.sweep(40).await?, 0);
            Ok(())
        });
        let counts = counts.await?;
        assert_eq!((counts.walked, counts.updates), (0, count), "{counts:?}");
        // Each by its time and by its number, in two statements, which may visit dead entries.
        let most = 2 * count + 32 + 2 * dropped;
        assert!(counts.entries <= most, "{counts:?} after {dropped}");
        dropped += count;
    }
    let left = "SELECT count(*) FROM @.sessions WHERE ending_until <= 100";
    assert_eq!(schema.number(left).await?, 0);
    Ok(())
}

async fn delivery(machine: Machine) -> Checked {
    let schema = CountedSchema::new(&machine).await?;
    for rows in crowd() {
        schema.fill(rows).await?;
    }
    schema.execute("ANALYZE @.sessions").await?;
    let id = SessionId::random();
    let counts = schema.count(async |store| {
        let created = store.create(&id, new_with_outbox(HOUR)).await?;
        let Created::Created(epoch) = created else {
            unreachable!("ids are random");
        };
        let end = chunk(1, epoch, &["a"]);
        store.append(&id, end, seal()).await?;
        assert_eq!(store.endings(&service(), 10, HOUR).await?.len(), 1);
        store.postpone_ending(&id, 1, HOUR).await?;
        store.delivered(&id, epoch).await?;
        Ok(())
    });
    let counts = counts.await?;
    assert_eq!((counts.walked, counts.updates), (0, 4));
    assert!(counts.entries <= 16, "{counts:?}");
    Ok(())
}
