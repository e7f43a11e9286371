//! Large values over a link that is slower than the timeout of a statement. The link holds bytes back by their
//! number.

use std::{fmt, time::Duration};

use libtest_mimic::Trial;
use tokio::task::JoinHandle;
use unbroken::{
    log::SessionId,
    store::{AfterAppend, Created, LeaseChange, NewSession, Store, StoreError, StoreExt, Token},
};
use unbroken_postgres::{Listen, Postgres, PostgresOptions};

use crate::{
    fixture::{chunk, maybe_applied, new, session, texts},
    machine::{Checked, Machine},
    proxy::{address, url_at},
    slow_link::SlowLink,
};

/// The bytes of a large value, and those that the link lets pass before it holds the rest back. The sockets
/// take some megabytes, after which the server waits.
const LARGE: usize = 24 << 20;
const PASSED: usize = 300 << 10;
/// The timeout of a statement without many bytes.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The seconds for which bytes are held back: longer than a call without many bytes waits for its reply.
const HELD: u32 = 8;

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    let mut trials = Vec::new();
    for prepared in [true, false] {
        let kind = if prepared { "prepared" } else { "unprepared" };
        trials.extend([
            machine.trial(
                format!("a_large_append_has_the_time_that_its_bytes_need_{kind}"),
                move |machine| appends(machine, prepared),
            ),
            machine.trial(
                format!("a_large_record_is_read_in_the_time_that_its_bytes_need_{kind}"),
                move |machine| reads(machine, prepared),
            ),
            machine.trial(
                format!("a_large_request_is_stored_and_claimed_in_the_time_that_it_needs_{kind}"),
                move |machine| requests(machine, prepared),
            ),
        ]);
    }
    trials.extend([
        machine.trial(
            "a_large_append_that_the_server_cancels_is_not_applied",
            cancelled,
        ),
        machine.trial("large_appends_leave_connections_for_renewals", several),
        machine.trial(
            "a_request_that_the_server_never_takes_is_refused_after_what_its_id_has",
            too_large,
        ),
    ]);
    trials
}

fn options(machine: &Machine, prepared: bool) -> PostgresOptions {
    machine
        .options()
        .statement_timeout(TIMEOUT)
        .min_bytes_per_second(LARGE / 32)
        .max_append_bytes(2 * LARGE)
        .prepared(prepared)
        .notify(false)
        .listen(Listen::poll(Duration::from_millis(100)))
}

/// Opens a store behind a link. Its role has the timeout too, as it may behind a pooler.
async fn behind_a_link(
    machine: &Machine,
    options: PostgresOptions,
) -> Result<(SlowLink, Postgres), Box<dyn std::error::Error + Send + Sync>> {
    // The migrations have no such timeout.
    let schema = PostgresOptions::new().schema(options.schema.clone());
    Postgres::open(&machine.url, schema).await?;
    let (host, port) = address(&machine.url);
    let link = SlowLink::start(format!("{host}:{port}")).await;
    let mut url = url_at(&machine.url, link.port());
    if !options.prepared {
        let limit = TIMEOUT.as_millis();
        url = format!("{url}&options=-c%20statement_timeout%3D{limit}");
    }
    let store = Postgres::open(&url, options).await?;
    Ok((link, store))
}

/// Sees that a call waits for bytes that are held back, for longer than a small statement has, while the renewals
/// of another session are answered. Then lets the bytes pass.
async fn outlasts<T: fmt::Debug>(
    link: &SlowLink,
    store: &Postgres,
    call: &JoinHandle<T>,
) -> Result<(), StoreError> {
    link.held().await;
    let (other, epoch) = session(store).await?;
    for _ in 0..HELD {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let owned = [(other.clone(), epoch)];
        let lease = LeaseChange::Extend(Duration::from_secs(60));
        for renewed in store.renew(&owned, lease).await {
            renewed?;
        }
    }
    assert!(!call.is_finished(), "it is given up too early");
    link.open();
    Ok(())
}

async fn appends(machine: Machine, prepared: bool) -> Checked {
    let (link, store) = behind_a_link(&machine, options(&machine, prepared)).await?;
    let (id, epoch) = session(&store).await?;
    for (lsn, after) in [(1, AfterAppend::Streaming), (2, crate::fixture::seal())] {
        let before = link.command_bytes();
        link.hold_commands_after(PASSED);
        let (to, its) = (store.clone(), id.clone());
        let large = chunk(lsn, epoch, &[&"x".repeat(LARGE)]);
        let append = tokio::spawn(async move { to.append(&its, large, after).await });
        outlasts(&link, &store, &append).await?;
        append.await??;
        let sent = link.command_bytes() - before;
        assert!(sent < 2 * LARGE, "it was sent once, not {sent} bytes");
    }
    assert_eq!(store.state(&id).await?.tail.get(), 2);
    Ok(())
}

/// Two large values at once, and a pool of two connections.
async fn several(machine: Machine) -> Checked {
    let options = options(&machine, true).pool_size(2).pool_wait(TIMEOUT);
    let (link, store) = behind_a_link(&machine, options).await?;
    let mut appends = Vec::new();
    link.hold_commands_after(PASSED);
    for _ in 0..2 {
        let (id, epoch) = session(&store).await?;
        let (to, large) = (store.clone(), chunk(1, epoch, &[&"x".repeat(LARGE)]));
        appends.push(tokio::spawn(async move {
            to.append(&id, large, AfterAppend::Streaming).await
        }));
    }
    outlasts(&link, &store, &appends[0]).await?;
    for append in appends {
        append.await??;
    }
    Ok(())
}

async fn reads(machine: Machine, prepared: bool) -> Checked {
    let (link, store) = behind_a_link(&machine, options(&machine, prepared)).await?;
    let (id, epoch) = session(&store).await?;
    let records = ["a", &"x".repeat(LARGE), "c"];
    for (lsn, record) in (1..).zip(records) {
        let chunk = chunk(lsn, epoch, &[record]);
        store.append(&id, chunk, AfterAppend::Streaming).await?;
    }
    let before = link.reply_bytes();
    link.hold_replies_after(PASSED);
    let (from, its) = (store.clone(), id.clone());
    let reading = tokio::spawn(async move { texts(&from, &its).await });
    outlasts(&link, &store, &reading).await?;
    assert!(reading.await?? == records, "all records are read");
    let received = link.reply_bytes() - before;
    assert!(received < 3 * LARGE, "not {received} bytes");
    Ok(())
}

async fn requests(machine: Machine, prepared: bool) -> Checked {
    let (link, store) = behind_a_link(&machine, options(&machine, prepared)).await?;
    let id = SessionId::random();
    let large = NewSession {
        request: vec![b'r'; LARGE].into(),
        ..new()
    };
    let request = large.request.clone();
    link.hold_commands_after(PASSED);
    let (to, its) = (store.clone(), id.clone());
    let creating = tokio::spawn(async move { to.create(&its, large).await });
    outlasts(&link, &store, &creating).await?;
    let Created::Created(epoch) = creating.await?? else {
        panic!("a random id is taken");
    };
    let owned = [(id.clone(), epoch)];
    for given in store.renew(&owned, LeaseChange::GiveBack).await {
        given?;
    }
    let token = Token::random();
    link.hold_replies_after(PASSED);
    let (of, its) = (store.clone(), id.clone());
    let lease = Duration::from_secs(60);
    let claiming = tokio::spawn(async move { of.claim(&its, epoch, token, lease).await });
    outlasts(&link, &store, &claiming).await?;
    let claimed = claiming.await??;
    assert!(claimed.request == request);
    let again = store.claim(&id, epoch, token, lease).await?;
    assert_eq!(again.epoch, claimed.epoch);
    Ok(())
}

async fn cancelled(machine: Machine) -> Checked {
    let options = options(&machine, true).min_bytes_per_second(usize::MAX);
    let (_link, store) = behind_a_link(&machine, options.clone()).await?;
    let (id, epoch) = session(&store).await?;
    // Another transaction has the row of the session for as long as it likes.
    let mut other = machine.client().await;
    let lock = other.transaction().await?;
    let row = format!(
        "SELECT number FROM \"{}\".sessions WHERE id = '{id}' FOR UPDATE",
        options.schema
    );
    lock.batch_execute(&row).await?;
    let large = chunk(1, epoch, &[&"x".repeat(1 << 20)]);
    let refused = store
        .append(&id, large.clone(), AfterAppend::Streaming)
        .await;
    assert_eq!(maybe_applied(&refused), Some(false), "{refused:?}");
    lock.rollback().await?;
    assert_eq!(store.state(&id).await?.tail.get(), 0);
    store.append(&id, large, AfterAppend::Streaming).await?;
    assert_eq!(store.state(&id).await?.tail.get(), 1);
    Ok(())
}

async fn too_large(machine: Machine) -> Checked {
    let store = machine.store().await;
    let max = PostgresOptions::MAX_APPEND_LIMIT;
    let large = NewSession {
        request: vec![0; max + 1].into(),
        ..new()
    };
    let refused = store.create(&SessionId::random(), large.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::TooLarge { max: is }) if is == max),
        "{refused:?}"
    );
    let (id, _) = session(&store).await?;
    let exists = store.create(&id, large).await;
    assert!(matches!(exists, Ok(Created::Exists(_))), "{exists:?}");
    Ok(())
}
