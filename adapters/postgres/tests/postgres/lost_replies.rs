//! Replies that are lost after the commit, a thousand times each, and calls that are dropped.

use std::time::Duration;

use libtest_mimic::Trial;
use unbroken::{
    log::SessionId,
    store::{AfterAppend, Created, LeaseChange, NewSession, Store, StoreExt, Token},
};
use unbroken_postgres::{Listen, Postgres};

use crate::{
    fixture::{chunk, maybe_applied, new, session, texts},
    machine::{Checked, Machine},
    proxy::Proxy,
};

const TIMES: u64 = 1000;

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("an_append_whose_reply_was_lost_is_repeated_once", appends),
        machine.trial("a_create_whose_reply_was_lost_is_repeated_once", creates),
        machine.trial("a_claim_whose_reply_was_lost_is_repeated_once", claims),
        machine.trial("a_token_names_one_claim", one_claim),
        machine.trial("without_a_connection_nothing_is_applied", unreachable),
        machine.trial(
            "an_append_whose_future_is_dropped_is_applied_once_or_not_at_all",
            dropped,
        ),
    ]
}

async fn behind_a_proxy(machine: &Machine, prepared: bool) -> Result<(Proxy, Postgres), String> {
    let proxy = Proxy::start(&machine.url)
        .await
        .map_err(|it| it.to_string())?;
    let options = machine
        .options()
        .pool_size(1)
        .prepared(prepared)
        .notify(false)
        .listen(Listen::poll(Duration::from_millis(100)));
    let store = Postgres::open(&proxy.url, options).await;
    Ok((proxy, store.map_err(|it| format!("{it:?}"))?))
}

async fn appends(machine: Machine) -> Checked {
    let (proxy, store) = behind_a_proxy(&machine, true).await?;
    let (id, epoch) = session(&store).await?;
    for lsn in 1..=TIMES {
        let chunk = chunk(lsn, epoch, &[&lsn.to_string()]);
        proxy.lose(1);
        let lost = store
            .append(&id, chunk.clone(), AfterAppend::Streaming)
            .await;
        assert_eq!(maybe_applied(&lost), Some(true));
        store.append(&id, chunk, AfterAppend::Streaming).await?;
    }
    assert_eq!(proxy.cuts() as u64, TIMES);
    let all: Vec<_> = (1..=TIMES).map(|lsn| lsn.to_string()).collect();
    assert_eq!(texts(&store, &id).await?, all);
    Ok(())
}

async fn creates(machine: Machine) -> Checked {
    let (proxy, store) = behind_a_proxy(&machine, false).await?;
    for _ in 0..TIMES {
        let (id, new): (_, NewSession) = (SessionId::random(), new());
        proxy.lose(1);
        let lost = store.create(&id, new.clone()).await;
        assert_eq!(maybe_applied(&lost), Some(true));
        let Created::Created(epoch) = store.create(&id, new).await? else {
            panic!("a repetition was taken for somebody else's");
        };
        assert_eq!(store.state(&id).await?.epoch, epoch);
    }
    assert_eq!(proxy.cuts() as u64, TIMES);
    Ok(())
}

async fn claims(machine: Machine) -> Checked {
    let (proxy, store) = behind_a_proxy(&machine, false).await?;
    let (id, mut epoch) = session(&store).await?;
    for answer in store
        .renew(&[(id.clone(), epoch)], LeaseChange::GiveBack)
        .await
    {
        answer?;
    }
    for time in 1..=TIMES {
        let token = Token::random();
        // The reply of the claim, or that of the statement after it.
        proxy.lose(1 + usize::from(time % 2 == 0));
        let lost = store.claim(&id, epoch, token, Duration::ZERO).await;
        assert_eq!(maybe_applied(&lost), Some(true));
        let claimed = store.claim(&id, epoch, token, Duration::ZERO).await?;
        assert_eq!(claimed.epoch.counter, epoch.counter + 1);
        assert_eq!(
            (claimed.state.epoch.claims(), claimed.state.attempts),
            (time, 0)
        );
        assert_eq!(claimed.request, "the request");
        epoch = claimed.epoch;
    }
    assert_eq!(proxy.cuts() as u64, TIMES);
    Ok(())
}

async fn one_claim(machine: Machine) -> Checked {
    let store = machine.store().await;
    let (id, epoch) = session(&store).await?;
    for answer in store
        .renew(&[(id.clone(), epoch)], LeaseChange::GiveBack)
        .await
    {
        answer?;
    }
    let token = Token::random();
    let claimed = store.claim(&id, epoch, token, Duration::ZERO).await?;
    for seen in [epoch, claimed.epoch] {
        let again = store.claim(&id, seen, token, Duration::ZERO).await?;
        assert_eq!(
            (again.epoch, again.state.epoch.claims()),
            (claimed.epoch, 1)
        );
    }
    Ok(())
}

async fn unreachable(machine: Machine) -> Checked {
    let (proxy, store) = behind_a_proxy(&machine, true).await?;
    let (id, epoch) = session(&store).await?;
    proxy.close();
    // The pool may not have noticed the cut connection: one call may then have been applied.
    let first = store.append(&id, chunk(1, epoch, &["a"]), AfterAppend::Streaming);
    assert!(maybe_applied(&first.await).is_some());
    let again = store.append(&id, chunk(1, epoch, &["a"]), AfterAppend::Streaming);
    assert_eq!(maybe_applied(&again.await), Some(false));
    let created = store.create(&SessionId::random(), new()).await;
    assert_eq!(maybe_applied(&created), Some(false));
    Ok(())
}

async fn dropped(machine: Machine) -> Checked {
    let store = machine.store().await;
    let (id, epoch) = session(&store).await?;
    for lsn in 1..=300 {
        let chunk = chunk(lsn, epoch, &[&lsn.to_string()]);
        let append = store.append(&id, chunk.clone(), AfterAppend::Streaming);
        let soon = Duration::from_micros(lsn * 7 % 1500);
        drop(tokio::time::timeout(soon, append).await);
        // The writer repeats the append, and it is applied once in either case.
        store.append(&id, chunk, AfterAppend::Streaming).await?;
    }
    let all: Vec<_> = (1..=300).map(|lsn| lsn.to_string()).collect();
    assert_eq!(texts(&store, &id).await?, all);
    Ok(())
}
