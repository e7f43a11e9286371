//! Withdrawn sessions leave no key and no entry of an index, and harm no session that has their id next.

use futures_util::future::join_all;
use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{ChatId, Owner, SessionId},
    store::{Created, DeleteMode, Holder, Store, StoreError, StoredAnswer},
};

use crate::support::{
    scene::{self, Scene},
    server, trial,
};

const SCOPES: [&str; 4] = ["all", "owner/me", "chat/c", "owner/me/chat/c"];

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial("a_withdrawn_session_leaves_no_key", missing, nothing),
        trial(
            "a_withdrawal_removes_no_entry_of_a_later_session_with_the_id",
            missing,
            later,
        ),
        trial(
            "withdrawals_and_starts_of_one_id_at_once_leave_it_indexed",
            missing,
            racing,
        ),
        trial(
            "a_withdrawal_of_a_session_that_is_not_the_caller_s_leaves_its_entries",
            missing,
            refused,
        ),
    ]
}

async fn nothing() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    for owner in [Some("me"), None] {
        let (id, epoch) = it.create(owner, "c", 1).await?.remove(0);
        it.store
            .answer(&id, StoredAnswer::new("a name", "an answer"))
            .await?;
        let keep = std::time::Duration::from_secs(60);
        it.store.hold(&id, Holder(1), keep).await?;
        it.store.delete(&id, DeleteMode::Withdrawn(epoch)).await?;
        assert_eq!(it.keys().await, [""; 0]);
    }
    Ok(())
}

async fn later() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, mut epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    for _ in 0..20 {
        it.store.delete(&id, DeleteMode::Withdrawn(epoch)).await?;
        let made = it.store.create(&id, scene::new(Some("me"), "c")).await?;
        let Created::Created(next) = made else {
            return Err(format!("{made:?}").into());
        };
        let stale = it.store.delete(&id, DeleteMode::Withdrawn(epoch)).await;
        assert!(matches!(stale, Err(StoreError::Fenced)), "{stale:?}");
        is_indexed(&mut it, &id).await?;
        epoch = next;
    }
    Ok(())
}

/// Checks that a running session is in all of its indexes.
async fn is_indexed(it: &mut Scene, id: &SessionId) -> Result<(), Failed> {
    let (me, chat) = (Owner::new("me"), ChatId::new("c"));
    let found = it.store.of_chat(Some(&me), &chat, 9).await?;
    assert!(found.iter().any(|it| it.id == *id), "of_chat");
    for scope in SCOPES {
        let sets = it.sets_with(scope, id).await;
        assert_eq!(sets, ["streaming"], "{scope}");
    }
    let open = it.members("{all}:open").await;
    assert_eq!(open, [format!("{id}/+me/+c")]);
    Ok(())
}

async fn racing() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, mut epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    for _ in 0..50 {
        let store = it.store.clone();
        let starts = (0..4).map(|_| {
            let (store, id) = (store.clone(), id.clone());
            async move {
                // Until the id is free.
                loop {
                    let made = store.create(&id, scene::new(Some("me"), "c")).await?;
                    match made {
                        Created::Created(epoch) => return Ok::<_, StoreError>(Some(epoch)),
                        Created::Exists(state) if state.epoch != epoch => return Ok(None),
                        Created::Exists(_) => {}
                    }
                }
            }
        });
        let withdrawal = store.delete(&id, DeleteMode::Withdrawn(epoch));
        let (started, withdrawn) = tokio::join!(join_all(starts), withdrawal);
        withdrawn?;
        let mut made = Vec::new();
        for started in started {
            made.extend(started?);
        }
        assert_eq!(made.len(), 1, "one start creates it");
        is_indexed(&mut it, &id).await?;
        epoch = made[0];
    }
    Ok(())
}

async fn refused() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    let other = DeleteMode::Withdrawn(epoch.succeed());
    let fenced = it.store.delete(&id, other).await;
    assert!(matches!(fenced, Err(StoreError::Fenced)), "{fenced:?}");
    is_indexed(&mut it, &id).await
}
