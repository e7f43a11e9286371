//! Withdrawn sessions leave no row.

use futures_util::future::join;
use libtest_mimic::Trial;
use unbroken::{
    log::SessionId,
    store::{AfterAppend, Created, DeleteMode, Store, StoreError, StoredAnswer},
};

use crate::{
    counts::CountedSchema,
    fixture::{chunk, new},
    machine::{Checked, Machine},
};

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("a_withdrawn_session_leaves_no_row", nothing),
        machine.trial("a_write_at_the_same_time_leaves_no_row", racing),
    ]
}

const ROWS: &str = "SELECT (SELECT count(*) FROM @.sessions) + (SELECT count(*) FROM @.requests)
    + (SELECT count(*) FROM @.chunks) + (SELECT count(*) FROM @.answers)";

async fn nothing(machine: Machine) -> Checked {
    let schema = CountedSchema::new(&machine).await?;
    schema
        .count(async |store| {
            let id = SessionId::random();
            let mut former = None;
            for _ in 0..3 {
                let Created::Created(epoch) = store.create(&id, new()).await? else {
                    panic!("the id is in use");
                };
                if let Some(former) = former.replace(epoch) {
                    let stale = store.delete(&id, DeleteMode::Withdrawn(former)).await;
                    assert!(matches!(stale, Err(StoreError::Fenced)), "{stale:?}");
                }
                let first = chunk(1, epoch, &["a"]);
                store.append(&id, first, AfterAppend::Streaming).await?;
                let answer = StoredAnswer::new("a name", "an answer");
                store.answer(&id, answer).await?;
                store.delete(&id, DeleteMode::Withdrawn(epoch)).await?;
            }
            Ok(())
        })
        .await?;
    assert_eq!(schema.number(ROWS).await?, 0);
    Ok(())
}

async fn racing(machine: Machine) -> Checked {
    let schema = CountedSchema::new(&machine).await?;
    schema
        .count(async |store| {
            for _ in 0..100 {
                let id = SessionId::random();
                let Created::Created(epoch) = store.create(&id, new()).await? else {
                    panic!("the id is in use");
                };
                let first = chunk(1, epoch, &["a"]);
                let append = store.append(&id, first, AfterAppend::Streaming);
                let withdrawal = store.delete(&id, DeleteMode::Withdrawn(epoch));
                let (appended, withdrawn) = join(append, withdrawal).await;
                withdrawn?;
                if let Err(error) = appended {
                    assert!(matches!(error, StoreError::NotFound), "{error:?}");
                }
            }
            Ok(())
        })
        .await?;
    assert_eq!(schema.number(ROWS).await?, 0);
    Ok(())
}
