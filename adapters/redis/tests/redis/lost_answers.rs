//! A write whose reply is lost reports it, and is repeated without a second effect.

use std::{collections::HashSet, num::NonZeroUsize};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{Owner, SessionId},
    store::{Created, Filter, LeaseChange, Store, StoreExt, Token},
};
use unbroken_redis::Redis;

use crate::support::{
    self, fixture,
    proxy::Proxy,
    server::{self, Server},
    trial,
};

const TIMES: u32 = 1000;

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial("an_append_without_an_answer_is_repeated", missing, appends),
        trial("a_create_without_an_answer_is_repeated", missing, creates),
        trial("a_claim_without_an_answer_is_repeated", missing, claims),
    ]
}

/// A server, a proxy before it, a store through the proxy and one beside it.
struct Scene {
    _server: Server,
    proxy: Proxy,
    far: Redis,
    near: Redis,
}

async fn scene() -> Scene {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port)).await;
    let options = support::options();
    let far = Redis::open(&proxy.url(), options.clone()).await;
    let near = server.open(options).await;
    // The server has the scripts from now on, so a lost reply is not one of NOSCRIPT.
    let (id, epoch) = fixture::created(&near).await;
    fixture::push(&near, &id, epoch, 1, &["a"])
        .await
        .expect("an append");
    renew(&near, &id, epoch).await;
    near.claim(&id, epoch, Token::random(), fixture::LONG)
        .await
        .expect("a claim");
    Scene {
        _server: server,
        proxy,
        far: far.expect("the server opens"),
        near,
    }
}

/// Gives the lease back.
async fn renew(store: &Redis, id: &SessionId, epoch: unbroken::log::Epoch) {
    let answers = store
        .renew(&[(id.clone(), epoch)], LeaseChange::GiveBack)
        .await;
    assert!(answers[0].is_ok(), "{answers:?}");
}

async fn appends() -> Result<(), Failed> {
    let it = scene().await;
    let (id, epoch) = fixture::created(&it.near).await;
    let mut expected = Vec::new();
    for lsn in 1..=u64::from(TIMES) {
        let record = format!("record number {lsn}.");
        it.proxy.lose_answer_to(record.as_bytes());
        let lost = fixture::push(&it.far, &id, epoch, lsn, &[&record]).await;
        let error = lost.expect_err("the answer is lost");
        assert!(fixture::is_unavailable(&error, true), "{error:?}");
        assert!(!it.proxy.is_armed(), "something else failed: {error:?}");
        let tail = it.near.state(&id).await?.tail;
        assert_eq!(tail.get(), lsn, "it was applied");
        fixture::push(&it.far, &id, epoch, lsn, &[&record]).await?;
        expected.push(record);
    }
    assert_eq!(fixture::texts(&it.near, &id).await, expected);
    Ok(())
}

async fn creates() -> Result<(), Failed> {
    let it = scene().await;
    let owner = "the only one";
    let mut ids = HashSet::new();
    for _ in 0..TIMES {
        let (id, new) = (SessionId::random(), fixture::new_of(owner));
        it.proxy.lose_answer_to(&new.token.0.to_be_bytes());
        let lost = it.far.create(&id, new.clone()).await;
        let error = lost.expect_err("the answer is lost");
        assert!(fixture::is_unavailable(&error, true), "{error:?}");
        assert!(!it.proxy.is_armed(), "something else failed: {error:?}");
        let is = it.near.state(&id).await?.epoch;
        match it.far.create(&id, new).await? {
            Created::Created(epoch) => assert_eq!(epoch, is),
            exists @ Created::Exists(_) => panic!("{exists:?}"),
        }
        ids.insert(id);
    }
    let filter = Filter {
        owner: Some(Owner::new(owner)),
        limit: NonZeroUsize::new(2 * ids.len()),
        ..Filter::default()
    };
    let listed = it.near.list(&filter).await?.sessions;
    assert_eq!(listed.len(), ids.len());
    assert!(listed.iter().all(|listed| ids.contains(&listed.id)));
    Ok(())
}

async fn claims() -> Result<(), Failed> {
    let it = scene().await;
    let (id, mut epoch) = fixture::created(&it.near).await;
    for claim in 1..=u64::from(TIMES) {
        renew(&it.near, &id, epoch).await;
        let token = Token::random();
        it.proxy.lose_answer_to(&token.0.to_be_bytes());
        let lost = it.far.claim(&id, epoch, token, fixture::LONG).await;
        let error = lost.expect_err("the answer is lost");
        assert!(fixture::is_unavailable(&error, true), "{error:?}");
        assert!(!it.proxy.is_armed(), "something else failed: {error:?}");
        let claimed = it.far.claim(&id, epoch, token, fixture::LONG).await?;
        let state = it.near.state(&id).await?;
        assert_eq!((state.epoch.claims(), state.epoch), (claim, claimed.epoch));
        assert_eq!(claimed.request, "the request");
        epoch = claimed.epoch;
    }
    Ok(())
}
