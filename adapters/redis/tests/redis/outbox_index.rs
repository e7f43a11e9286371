//! The entries of endings are written apart from the sessions, and are corrected after a crash in between.

use std::{collections::HashSet, time::Duration};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{Outcome, ServiceName, SessionId},
    store::{AfterAppend, Created, DeleteMode, NewSession, Seal, Store, StoreExt},
};

use crate::support::{
    self, fixture,
    outbox::{KEPT, SERVICE, deliver, end, index, is_gone, member, set_due, take, with_outbox},
    proxy::Proxy,
    scene::{SETS, Scene},
    server, trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial(
            "an_ending_whose_server_died_at_the_seal_is_found_with_the_orphans",
            missing,
            at_the_seal,
        ),
        trial(
            "an_ending_whose_seal_was_not_answered_is_found_with_the_orphans",
            missing,
            unanswered,
        ),
        trial(
            "a_session_stays_among_the_orphans_until_the_entry_of_its_ending_is_written",
            missing,
            refused,
        ),
        trial(
            "an_ending_whose_server_died_at_the_deletion_is_found_with_the_orphans",
            missing,
            at_the_deletion,
        ),
        trial(
            "a_deletion_writes_the_entry_of_an_ending_again",
            missing,
            by_the_deletion,
        ),
        trial(
            "a_lost_entry_of_an_ending_is_written_again_by_the_sweep",
            missing,
            by_the_sweep,
        ),
        trial("an_entry_that_lags_gives_no_ending_twice", missing, lagging),
        trial(
            "the_entry_of_a_delivered_ending_is_removed_when_it_is_met",
            missing,
            delivered,
        ),
        trial(
            "a_call_gives_no_ending_twice_although_its_lease_is_over_at_once",
            missing,
            without_lease,
        ),
        trial(
            "the_entry_of_an_earlier_session_is_removed_when_it_is_met",
            missing,
            earlier,
        ),
    ]
}

/// Makes the indexes those of a session that runs, whose lease is over.
async fn as_before_the_seal(it: &mut Scene, id: &SessionId) {
    for scope in ["all", "owner/me", "chat/c", "owner/me/chat/c"] {
        for set in SETS {
            let key = format!("{{{scope}}}:{set}");
            let score: Option<String> = it.key("ZSCORE", &key, &[id.as_str()]).await;
            let Some(score) = score else { continue };
            it.key::<u64>("ZREM", &key, &[id.as_str()]).await;
            let key = format!("{{{scope}}}:{}", SETS[0]);
            it.key::<u64>("ZADD", &key, &[&score, id.as_str()]).await;
        }
    }
    it.key::<u64>("ZREM", &index(), &[&member(id)]).await;
    it.key::<u64>("ZREM", "{all}:due", &[&member(id)]).await;
    it.key::<u64>("ZADD", "{all}:open", &["1", &member(id)])
        .await;
}

async fn at_the_seal() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let id = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    as_before_the_seal(&mut it, &id).await;
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    assert_eq!(it.store.orphans(9).await?.len(), 0);
    assert_eq!(it.members("{all}:open").await, [""; 0]);
    assert_eq!(it.members("{all}:due").await, [member(&id)]);
    assert_eq!(it.sets_with("all", &id).await, ["complete"]);
    let taken = take(&it.store, 9).await?;
    assert_eq!(taken.iter().map(|it| &it.id).collect::<Vec<_>>(), [&id]);
    Ok(())
}

/// The answer to the seal is lost, and with it all that its server would have written to the indexes.
async fn unanswered() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", it.server.port)).await;
    let options = support::options().prefix(it.prefix.clone());
    let far = unbroken_redis::Redis::open(&proxy.url(), options).await?;
    // The server has the scripts from now on.
    end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    take(&it.store, 9).await?;
    let lease = Duration::from_millis(300);
    let (id, new) = (SessionId::random(), with_outbox(KEPT));
    let Created::Created(epoch) = far.create(&id, NewSession { lease, ..new }).await? else {
        panic!("a random id was taken");
    };
    proxy.lose_answer_to(b"the last record");
    let seal = Seal::new(Outcome::Complete, fixture::LONG);
    let chunk = fixture::chunk(1, epoch, &["the last record"]);
    let lost = far.append(&id, chunk, AfterAppend::Seal(seal)).await;
    let error = lost.expect_err("the answer is lost");
    assert!(fixture::is_unavailable(&error, true), "{error:?}");
    assert_eq!(it.store.state(&id).await?.tail.get(), 1, "it was applied");
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    tokio::time::sleep(lease * 2).await;
    assert_eq!(it.store.orphans(9).await?.len(), 0);
    let taken = take(&it.store, 9).await?;
    assert_eq!(taken.iter().map(|it| &it.id).collect::<Vec<_>>(), [&id]);
    assert_eq!(it.members("{all}:open").await, [""; 0]);
    Ok(())
}

async fn refused() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    // In a cluster, its node may be down alone.
    it.key::<()>("SET", &index(), &["foreign"]).await;
    let id = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    it.key::<u64>("ZADD", "{all}:open", &["1", &member(&id)])
        .await;
    assert_eq!(it.store.orphans(9).await?.len(), 0);
    assert_eq!(it.members("{all}:open").await, [member(&id)]);
    it.key::<u64>("DEL", &index(), &[]).await;
    assert_eq!(it.store.orphans(9).await?.len(), 0);
    assert_eq!(it.members("{all}:open").await, [""; 0]);
    assert_eq!(take(&it.store, 9).await?.len(), 1);
    // Neither is a deleted one lost.
    it.store.delete(&id, DeleteMode::Now).await?;
    it.key::<u64>("DEL", &index(), &[]).await;
    it.key::<()>("SET", &index(), &["foreign"]).await;
    set_due(&mut it, &id).await;
    assert_eq!(it.store.sweep(9).await?, 0);
    it.key::<u64>("DEL", &index(), &[]).await;
    assert_eq!(it.store.sweep(9).await?, 0);
    assert_eq!(it.members(&index()).await, [member(&id)]);
    Ok(())
}

async fn at_the_deletion() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    // Its server died at the seal, and the one that deleted it died at the deletion.
    let early = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    let late = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    for id in [&early, &late] {
        it.store.delete(id, DeleteMode::Now).await?;
    }
    as_before_the_seal(&mut it, &early).await;
    it.key::<u64>("ZREM", &index(), &[&member(&late)]).await;
    set_due(&mut it, &late).await;
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    assert_eq!(it.store.orphans(9).await?.len(), 0);
    assert_eq!(it.store.sweep(9).await?, 0);
    assert_eq!(it.members("{all}:open").await, [""; 0]);
    assert_eq!(it.members("{all}:tombstones").await, [""; 0]);
    assert_eq!(it.members("{all}:due").await.len(), 2);
    let taken = take(&it.store, 9).await?;
    assert_eq!(
        taken.iter().map(|it| &it.id).collect::<HashSet<_>>(),
        HashSet::from([&early, &late])
    );
    assert!(taken.iter().all(|it| it.deleted));
    Ok(())
}

async fn by_the_deletion() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let id = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    as_before_the_seal(&mut it, &id).await;
    it.store.delete(&id, DeleteMode::Now).await?;
    assert_eq!(take(&it.store, 9).await?.len(), 1);
    assert_eq!(it.members("{all}:open").await, [""; 0]);
    assert_eq!(it.sets_with("all", &id).await, [""; 0]);
    Ok(())
}

async fn by_the_sweep() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(end(&it.store, with_outbox(KEPT), fixture::LONG).await?);
        // A time that is written again is off by as long as the write takes.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    it.key::<u64>("DEL", &index(), &[]).await;
    // The session is looked at within minutes, long before it expires.
    let (seconds, _): (u64, u64) = unbroken_redis::redis::cmd("TIME")
        .query_async(&mut it.admin)
        .await?;
    for id in &made {
        let score: f64 = it.key("ZSCORE", "{all}:due", &[&member(id)]).await;
        let ahead = score / 1e6 - f64::from(u32::try_from(seconds)?);
        assert!(ahead < 660.0, "{ahead}");
    }
    // In another order than that of the seals.
    for at in [2, 0, 1] {
        set_due(&mut it, &made[at]).await;
        assert_eq!(it.store.sweep(9).await?, 0);
    }
    let taken = take(&it.store, 9).await?;
    let ids: Vec<_> = taken.into_iter().map(|it| it.id).collect();
    assert_eq!(ids, made);
    // A look between does not shorten a lease.
    set_due(&mut it, &made[0]).await;
    assert_eq!(it.store.sweep(9).await?, 0);
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    Ok(())
}

async fn score(it: &mut Scene, id: &SessionId) -> f64 {
    it.key("ZSCORE", &index(), &[&member(id)]).await
}

async fn lagging() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let id = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    assert_eq!(take(&it.store, 9).await?.len(), 1);
    let leased = score(&mut it, &id).await;
    it.key::<u64>("ZADD", &index(), &["1", &member(&id)]).await;
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    let corrected = score(&mut it, &id).await;
    assert!(
        (corrected - leased).abs() < 10e6,
        "{corrected} instead of {leased}"
    );
    it.store.postpone_ending(&id, 1, Duration::ZERO).await?;
    assert_eq!(take(&it.store, 9).await?.len(), 1);
    Ok(())
}

async fn delivered() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let kept = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    let gone = end(&it.store, with_outbox(KEPT), Duration::ZERO).await?;
    for id in [&kept, &gone] {
        deliver(&mut it, id).await?;
        // As if its server had died before it wrote to the indexes.
        it.key::<u64>("ZADD", &index(), &["1", &member(id)]).await;
        it.key::<u64>("ZADD", "{all}:due", &["9000000000000000", &member(id)])
            .await;
    }
    it.key::<u64>("ZREM", "{all}:tombstones", &[gone.as_str()])
        .await;
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    assert_eq!(it.members(&index()).await, [""; 0]);
    assert_eq!(it.members("{all}:tombstones").await, [gone.as_str()]);
    assert_eq!(it.members("{all}:due").await, [member(&kept)]);
    let due: f64 = it.key("ZSCORE", "{all}:due", &[&member(&kept)]).await;
    assert!(due < 9e15, "the end of its retention: {due}");
    assert!(is_gone(&it.store, &gone).await);
    assert_eq!(fixture::texts(&it.store, &kept).await, ["z"]);
    Ok(())
}

async fn without_lease() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let id = end(&it.store, with_outbox(KEPT), fixture::LONG).await?;
    // Another entry, of an ending that isn't there, has a place of the first batch.
    let absent = member(&SessionId::random());
    it.key::<u64>("ZADD", &index(), &["1", &absent]).await;
    let service = ServiceName::new(SERVICE);
    let taken = it.store.endings(&service, 2, Duration::ZERO).await?;
    assert_eq!(taken.iter().map(|it| &it.id).collect::<Vec<_>>(), [&id]);
    Ok(())
}

async fn earlier() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let id = SessionId::random();
    it.key::<u64>("ZADD", &index(), &["1", &member(&id)]).await;
    let new = with_outbox(KEPT);
    it.store.create(&id, new).await?;
    assert_eq!(take(&it.store, 9).await?.len(), 0);
    assert_eq!(it.members(&index()).await, [""; 0]);
    assert_eq!(it.members("{all}:open").await, [member(&id)]);
    assert_eq!(it.sets_with("all", &id).await, ["streaming"]);
    Ok(())
}
