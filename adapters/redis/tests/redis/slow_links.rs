//! Large values over a link that is slower than the timeout of a small command. The link holds bytes back by
//! their number.

use std::{fmt, time::Duration};

use libtest_mimic::{Failed, Trial};
use tokio::task::JoinHandle;
use unbroken::{
    log::{Chunk, Epoch, Position, SessionId},
    store::{AfterAppend, Appended, Created, LeaseChange, Store, StoreError, StoreExt, Token},
};
use unbroken_redis::{Redis, RedisOptions};

use crate::support::{
    self, fixture,
    server::{self, Server},
    slow_link::SlowLink,
    trial,
};

/// The bytes of a large value, and those that the link lets pass before it holds the rest back.
const LARGE: usize = 2 << 20;
const PASSED: usize = 300 << 10;
/// The timeout of a command without many bytes.
const TIMEOUT: Duration = Duration::from_secs(4);

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial(
            "a_large_append_has_the_time_that_its_bytes_need_and_renewals_do_not_wait",
            missing,
            append,
        ),
        trial(
            "a_large_record_is_read_in_the_time_that_its_bytes_need",
            missing,
            read,
        ),
        trial(
            "a_claim_waits_for_a_large_request_and_is_repeatable",
            missing,
            claim,
        ),
        trial(
            "a_create_with_a_large_request_has_the_time_that_its_bytes_need",
            missing,
            create,
        ),
        trial(
            "a_large_append_without_an_answer_in_its_time_may_be_applied_and_is_repeated",
            missing,
            silent,
        ),
    ]
}

/// A server, a link to it that can be held, and a store behind that link.
struct Scene {
    _server: Server,
    link: SlowLink,
    store: Redis,
}

impl Scene {
    async fn new(options: RedisOptions) -> Self {
        let server = Server::start(&[]).await;
        let link = SlowLink::start(format!("127.0.0.1:{}", server.port)).await;
        let opened = Redis::open(&format!("redis://127.0.0.1:{}", link.port()), options).await;
        let scene = Self {
            store: opened.expect("the server opens"),
            _server: server,
            link,
        };
        // The server has the scripts from now on, and doesn't get a large value twice.
        let (id, epoch) = scene.session().await;
        fixture::push(&scene.store, &id, epoch, 1, &["a"])
            .await
            .expect("an append");
        scene.give_back(&id, epoch).await;
        let claimed = scene.store.claim(&id, epoch, Token(1), fixture::LONG).await;
        assert_eq!(claimed.expect("a claim").request, "the request");
        fixture::texts(&scene.store, &id).await;
        scene
    }

    async fn session(&self) -> (SessionId, Epoch) {
        fixture::created(&self.store).await
    }

    async fn give_back(&self, id: &SessionId, epoch: Epoch) {
        let owned = [(id.clone(), epoch)];
        for renewed in self.store.renew(&owned, LeaseChange::GiveBack).await {
            renewed.expect("a lease is given back");
        }
    }

    /// Sees that a call waits for bytes that are held back, for longer than a small command has, while the
    /// renewals of another session are answered. Then lets the bytes pass.
    async fn outlasts<T: fmt::Debug>(&self, call: &JoinHandle<T>) {
        self.link.held().await;
        let other = SessionId::random();
        let new = fixture::new_of("another");
        let Ok(Created::Created(epoch)) = self.store.create(&other, new).await else {
            panic!("a small command waits behind a large one");
        };
        for _ in 0..3 {
            tokio::time::sleep(TIMEOUT / 2).await;
            let owned = [(other.clone(), epoch)];
            let lease = LeaseChange::Extend(fixture::LONG);
            for renewed in self.store.renew(&owned, lease).await {
                renewed.expect("a renewal is answered in its time");
            }
        }
        assert!(!call.is_finished(), "it is given up too early");
        self.link.open();
    }
}

/// Returns options for a link on which a large value has more than half a minute.
fn patient() -> RedisOptions {
    support::options()
        .response_timeout(TIMEOUT)
        .min_bytes_per_second(LARGE / 32)
}

fn large() -> String {
    "x".repeat(LARGE)
}

fn pushed(store: &Redis, id: &SessionId, chunk: Chunk) -> JoinHandle<Result<Appended, StoreError>> {
    let (store, id) = (store.clone(), id.clone());
    tokio::spawn(async move { store.append(&id, chunk, AfterAppend::Streaming).await })
}

async fn append() -> Result<(), Failed> {
    let it = Scene::new(patient()).await;
    let (id, epoch) = it.session().await;
    let before = it.link.command_bytes();
    it.link.hold_commands_after(PASSED);
    let append = pushed(&it.store, &id, fixture::chunk(1, epoch, &[&large()]));
    it.outlasts(&append).await;
    append.await??;
    let sent = it.link.command_bytes() - before;
    assert!(sent < 2 * LARGE, "it was sent once, not {sent} bytes");
    assert_eq!(it.store.state(&id).await?.tail.get(), 1);
    Ok(())
}

async fn read() -> Result<(), Failed> {
    let it = Scene::new(patient()).await;
    let (id, epoch) = it.session().await;
    let records = ["a", &large(), "c"];
    for (lsn, record) in (1..).zip(records) {
        fixture::push(&it.store, &id, epoch, lsn, &[record]).await?;
    }
    let before = it.link.reply_bytes();
    it.link.hold_replies_after(PASSED);
    let reading = {
        let (store, id) = (it.store.clone(), id.clone());
        tokio::spawn(async move { fixture::texts(&store, &id).await })
    };
    it.outlasts(&reading).await;
    assert!(reading.await? == records, "all records are read");
    let received = it.link.reply_bytes() - before;
    assert!(received < 4 * LARGE, "not {received} bytes");
    let after = Position::after(unbroken::log::Lsn::new(2));
    let page = it.store.read(&id, after, 1000).await?;
    assert_eq!(page.chunks[0].records().next().unwrap().bytes, b"c");
    Ok(())
}

async fn claim() -> Result<(), Failed> {
    let it = Scene::new(patient()).await;
    let id = SessionId::random();
    let mut new = fixture::new_of("somebody");
    new.request = large().into();
    let Created::Created(epoch) = it.store.create(&id, new).await? else {
        panic!("a random id is taken");
    };
    it.give_back(&id, epoch).await;
    it.link.hold_replies_after(PASSED);
    let token = Token::random();
    let claiming = {
        let (store, id) = (it.store.clone(), id.clone());
        tokio::spawn(async move { store.claim(&id, epoch, token, fixture::LONG).await })
    };
    it.outlasts(&claiming).await;
    let claimed = claiming.await??;
    assert!(claimed.request == large());
    let again = it.store.claim(&id, epoch, token, fixture::LONG).await?;
    assert_eq!(again.epoch, claimed.epoch);
    assert!(again.request == large());
    Ok(())
}

async fn create() -> Result<(), Failed> {
    let it = Scene::new(patient()).await;
    let id = SessionId::random();
    let mut new = fixture::new_of("somebody");
    new.request = large().into();
    it.link.hold_commands_after(PASSED);
    let creating = {
        let (store, id) = (it.store.clone(), id.clone());
        tokio::spawn(async move { store.create(&id, new).await })
    };
    it.outlasts(&creating).await;
    assert!(matches!(creating.await??, Created::Created(_)));
    Ok(())
}

async fn silent() -> Result<(), Failed> {
    let options = support::options()
        .response_timeout(TIMEOUT)
        .min_bytes_per_second(usize::MAX);
    let it = Scene::new(options).await;
    let (id, epoch) = it.session().await;
    let chunk = fixture::chunk(1, epoch, &[&large()]);
    it.link.hold_commands_after(PASSED);
    let lost = pushed(&it.store, &id, chunk.clone()).await?;
    let error = lost.expect_err("the rest is held back for ever");
    assert!(fixture::is_unavailable(&error, true), "{error:?}");
    // Another connection takes the place of the one that was given up; small commands have their own.
    assert_eq!(it.store.state(&id).await?.tail.get(), 0);
    it.link.open();
    while let Err(error) = pushed(&it.store, &id, chunk.clone()).await? {
        assert!(error.is_unavailable(), "{error:?}");
    }
    assert_eq!(it.store.state(&id).await?.tail.get(), 1);
    Ok(())
}
