//! Indexes are written apart from the sessions, and are corrected after a crash in between.

use std::num::NonZeroUsize;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{Epoch, Owner, SessionId},
    store::{
        Created, DeleteMode, Filter, LeaseChange, NewSession, StatusFilter, Store, StoreError,
        Token,
    },
};
use unbroken_redis::{
    Redis,
    redis::{self, FromRedisValue, aio::MultiplexedConnection},
};

use crate::support::{
    self, fixture,
    server::{self, Server},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial(
            "an_orphan_without_an_entry_is_found_after_a_renewal",
            missing,
            renewed,
        ),
        trial(
            "a_seal_that_is_not_in_the_index_is_noticed",
            missing,
            sealed,
        ),
        trial("entries_without_a_session_are_removed", missing, dangling),
        trial("a_create_that_is_refused_leaves_no_entry", missing, refused),
        trial("a_long_list_comes_in_pages", missing, pages),
        trial(
            "orphans_are_found_although_the_clock_was_set_back",
            missing,
            set_back,
        ),
        trial("an_expired_session_leaves_no_key", missing, nothing_left),
    ]
}

struct Scene {
    _server: Server,
    store: Redis,
    prefix: String,
    admin: MultiplexedConnection,
}

async fn scene() -> Scene {
    let server = Server::start(&[]).await;
    let options = support::options();
    let prefix = options.prefix.clone();
    Scene {
        store: server.open(options).await,
        prefix,
        admin: support::connect(&server.url()).await,
        _server: server,
    }
}

impl Scene {
    async fn index<T: FromRedisValue>(&mut self, verb: &str, index: &str, rest: &[&str]) -> T {
        let mut command = redis::cmd(verb);
        command.arg(format!("{}{index}", self.prefix)).arg(rest);
        let answer = command.query_async(&mut self.admin).await;
        answer.expect("a command of a test works")
    }

    async fn members(&mut self, index: &str) -> Vec<String> {
        self.index("ZRANGE", index, &["0", "-1"]).await
    }

    async fn orphan(&mut self) -> Result<(SessionId, Epoch), StoreError> {
        let (id, epoch) = fixture::created(&self.store).await;
        let owned = [(id.clone(), epoch)];
        for answer in self.store.renew(&owned, LeaseChange::GiveBack).await {
            answer?;
        }
        Ok((id, epoch))
    }

    async fn orphans(&self) -> Result<Vec<SessionId>, StoreError> {
        let orphans = self.store.orphans(100).await?;
        Ok(orphans.into_iter().map(|listed| listed.id).collect())
    }
}

async fn renewed() -> Result<(), Failed> {
    let mut it = scene().await;
    let (id, epoch) = it.orphan().await?;
    assert_eq!(it.orphans().await?, std::slice::from_ref(&id));
    let _: u64 = it.index("ZREM", "open", &[id.as_str()]).await;
    assert_eq!(it.orphans().await?, []);
    let owned = [(id.clone(), epoch)];
    for lease in [LeaseChange::Extend(fixture::LONG), LeaseChange::GiveBack] {
        for answer in it.store.renew(&owned, lease).await {
            answer?;
        }
    }
    assert_eq!(it.orphans().await?, [id]);
    Ok(())
}

async fn sealed() -> Result<(), Failed> {
    let mut it = scene().await;
    let (id, epoch) = fixture::created(&it.store).await;
    it.store
        .append(&id, fixture::chunk(1, epoch, &["z"]), fixture::sealed())
        .await?;
    let _: u64 = it.index("ZREM", "due", &[id.as_str()]).await;
    let _: u64 = it.index("ZADD", "open", &["1", id.as_str()]).await;
    assert_eq!(it.orphans().await?, []);
    assert_eq!(it.members("open").await, [""; 0]);
    assert_eq!(it.members("due").await, [id.as_str()]);
    Ok(())
}

async fn dangling() -> Result<(), Failed> {
    let mut it = scene().await;
    let nobody = SessionId::random();
    for index in ["all", "open", "due", "owner:me", "chat:c"] {
        let _: u64 = it.index("ZADD", index, &["1", nobody.as_str()]).await;
    }
    let mine = Filter {
        owner: Some(Owner::new("me")),
        ..Filter::default()
    };
    assert!(it.store.list(&mine).await?.sessions.is_empty());
    assert!(it.members("owner:me").await.is_empty());
    assert_eq!(it.orphans().await?, []);
    assert!(it.members("open").await.is_empty());
    assert_eq!(it.store.sweep(10).await?, 1);
    for index in ["all", "due"] {
        assert!(it.members(index).await.is_empty(), "{index}");
    }
    // An entry whose session is about to be created stays.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let now = now.as_micros().to_string();
    let _: u64 = it.index("ZADD", "all", &[&now, nobody.as_str()]).await;
    assert!(it.store.list(&Filter::default()).await?.sessions.is_empty());
    assert_eq!(it.members("all").await, [nobody.as_str()]);
    Ok(())
}

async fn refused() -> Result<(), Failed> {
    let mut it = scene().await;
    let id = SessionId::random();
    let create = |owner: &str| {
        let new = NewSession {
            token: Token::random(),
            ..fixture::new_of(owner)
        };
        it.store.create(&id, new)
    };
    let made = create("first").await?;
    assert!(matches!(made, Created::Created(_)));
    assert!(matches!(create("second").await?, Created::Exists(_)));
    it.store.delete(&id, DeleteMode::Now).await?;
    assert!(matches!(create("third").await, Err(StoreError::Gone(_))));
    for index in [
        "owner:first",
        "owner:second",
        "owner:third",
        "all",
        "open",
        "due",
    ] {
        assert!(it.members(index).await.is_empty(), "{index}");
    }
    Ok(())
}

async fn nothing_left() -> Result<(), Failed> {
    let mut it = scene().await;
    let (id, epoch) = (SessionId::random(), fixture::new_of("me"));
    let new = NewSession {
        tombstone: Duration::from_millis(300),
        ..epoch
    };
    let Created::Created(epoch) = it.store.create(&id, new).await? else {
        panic!("a random id was taken");
    };
    it.store
        .hold(&id, unbroken::store::Holder(1), Duration::from_millis(200))
        .await?;
    let then = unbroken::store::AfterAppend::Seal(unbroken::store::Seal {
        outcome: unbroken::log::Outcome::Complete,
        keep: Duration::from_millis(200),
    });
    it.store
        .append(&id, fixture::chunk(1, epoch, &["z"]), then)
        .await?;
    let request = format!("{{{id}}}:request");
    let requests: u64 = it.index("EXISTS", &request, &[]).await;
    assert_eq!(requests, 0, "nobody will claim it any more");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(it.store.sweep(10).await?, 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut it.admin)
        .await?;
    let keys: Vec<String> = {
        // The engine drops an expired key when it scans it; an access makes it do so now.
        let mut left = Vec::new();
        for key in keys {
            let there: u64 = redis::cmd("EXISTS")
                .arg(&key)
                .query_async(&mut it.admin)
                .await?;
            if there == 1 {
                left.push(key);
            }
        }
        left
    };
    assert_eq!(keys, [""; 0]);
    Ok(())
}

/// Checks sessions whose owner appends so often that it never has to renew.
async fn set_back() -> Result<(), Failed> {
    let mut it = scene().await;
    let lease = Duration::from_millis(300);
    let mut made = Vec::new();
    for _ in 0..200 {
        let (id, new) = (SessionId::random(), fixture::new_of("an owner"));
        let new = NewSession { lease, ..new };
        let Created::Created(epoch) = it.store.create(&id, new).await? else {
            panic!("a random id was taken");
        };
        fixture::push(&it.store, &id, epoch, 1, &["a"]).await?;
        made.push(id);
    }
    // As if the index had been written while the clock was an hour ahead.
    let open = format!("{}open", it.prefix);
    for id in &made {
        let mut ahead = redis::cmd("ZINCRBY");
        let ahead = ahead.arg(&open).arg(3_600_000_000_u64).arg(id.as_str());
        ahead.exec_async(&mut it.admin).await?;
    }
    tokio::time::sleep(lease * 2).await;
    let mut found = 0;
    // Each call returns a part.
    for _ in 0..3 {
        found = it.store.orphans(1000).await?.len();
    }
    assert_eq!(found, made.len());
    Ok(())
}

/// More sessions than one batch looks up.
async fn pages() -> Result<(), Failed> {
    let it = scene().await;
    let mut made = Vec::new();
    for at in 0..300 {
        let (id, epoch) = fixture::created(&it.store).await;
        if at % 3 == 0 {
            it.store
                .append(&id, fixture::chunk(1, epoch, &["z"]), fixture::sealed())
                .await?;
            made.insert(0, id);
        }
    }
    for limit in [7, 100, 1000] {
        let mut filter = Filter {
            status: Some(StatusFilter::Complete),
            limit: NonZeroUsize::new(limit),
            ..Filter::default()
        };
        let mut listed = Vec::new();
        loop {
            let page = it.store.list(&filter).await?;
            assert!(page.sessions.len() <= limit);
            listed.extend(page.sessions.into_iter().map(|listed| listed.id));
            filter.after = page.next;
            match &filter.after {
                None => break,
                Some(next) => {
                    assert!(next.len() <= 512 && next.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
        assert_eq!(listed, made);
    }
    for after in ["", "x", "1:", "1:short", "-1:abcdefghijklmnopqrstuvwxyz"] {
        let filter = Filter {
            after: Some(after.to_owned()),
            ..Filter::default()
        };
        let page = it.store.list(&filter).await?;
        assert!(page.sessions.is_empty() && page.next.is_none(), "{after}");
    }
    Ok(())
}
