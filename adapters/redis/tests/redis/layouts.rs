//! The layout of the keys: its number, and the values that it has in `layouts`.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path, time::Duration};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{ErrorCode, Outcome, SessionId, Status},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Holder, LeaseChange, NewSession, Seal,
        Store, StoreError, StoreExt, StoredAnswer, Token,
    },
};
use unbroken_redis::{Redis, RedisOpenError, redis};

use crate::support::{
    self, fixture,
    outbox::{KEPT, take, with_outbox},
    scene::{self, Scene},
    server, trial,
};

/// The number that this version writes.
const LATEST: u32 = 2;

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial("an_unknown_layout_is_refused_in_words", missing, unknown),
        trial(
            "this_version_writes_the_values_that_its_layout_has",
            missing,
            written,
        ),
        trial("the_values_of_each_layout_are_read", missing, read),
        trial(
            "an_earlier_layout_gets_the_number_of_this_version",
            missing,
            raised,
        ),
    ]
}

async fn unknown() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let number: String = it.key("GET", "layout", &[]).await;
    assert_eq!(number, LATEST.to_string());
    let options = || support::options().prefix(it.prefix.clone());
    Redis::open(&it.server.url(), options()).await?;
    for unknown in [&(LATEST + 1).to_string(), "0", ""] {
        let key = format!("{}layout", it.prefix);
        let mut set = redis::cmd("SET");
        set.arg(key).arg(unknown).exec_async(&mut it.admin).await?;
        let refused = Redis::open(&it.server.url(), options()).await;
        let Err(error @ RedisOpenError::Unsupported { .. }) = refused else {
            panic!("{refused:?}");
        };
        let told = format!("`{unknown}`, and this version knows {LATEST}");
        assert!(error.to_string().contains(&told), "{error}");
    }
    Ok(())
}

fn path(number: u32) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redis/layouts");
    folder.join(format!("{number}.txt"))
}

async fn raised() -> Result<(), Failed> {
    for earlier in 1..LATEST {
        let mut it = Scene::new().await;
        let number = earlier.to_string();
        it.key::<()>("SET", "layout", &[&number]).await;
        load(&mut it, &fs::read_to_string(path(earlier))?).await?;
        let options = support::options().prefix(it.prefix.clone());
        let store = Redis::open(&it.server.url(), options).await?;
        let number: String = it.key("GET", "layout", &[]).await;
        assert_eq!(number, LATEST.to_string());
        check_sessions(&store).await?;
        // A session of the earlier version has no outbox.
        let (ended, _) = outcomes().next().expect("an outcome");
        assert_eq!(store.state(&id(ended)).await?.meta.outbox, None);
        let sealed_by = store.state(&id(ended)).await?.epoch;
        store.delivered(&id(ended), sealed_by).await?;
        assert_eq!(fixture::texts(&store, &id(ended)).await, ["z"]);
        store.delete(&id(ended), DeleteMode::Now).await?;
        let gone = store.state(&id(ended)).await;
        assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
    }
    Ok(())
}

async fn written() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let mut texts = Texts::default();
    write_sessions(&it.store, &mut texts).await?;
    let dumped = dump(&mut it, &texts).await;
    let path = path(LATEST);
    // For a new number only: a fixture that is written never changes.
    if env::var_os("WRITE_FIXTURE").is_some() && !path.exists() {
        fs::write(&path, &dumped)?;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        dumped == expected,
        "this version writes other values than {}: give them the next number in layout.rs, and run this \
         test once with WRITE_FIXTURE=1\n{dumped}",
        path.display()
    );
    Ok(())
}

async fn read() -> Result<(), Failed> {
    for number in 1..=LATEST {
        let mut it = Scene::new().await;
        load(&mut it, &fs::read_to_string(path(number))?).await?;
        check_sessions(&it.store).await?;
        if number >= 2 {
            check_endings(&it.store).await?;
        }
    }
    Ok(())
}

fn id(number: usize) -> SessionId {
    let id = format!("a-session-of-a-fixture-{number}");
    id.parse().expect("an id")
}

fn outcomes() -> impl Iterator<Item = (usize, Outcome)> {
    let errors = ErrorCode::ALL.iter().copied().map(Outcome::Error);
    let all = [Outcome::Complete, Outcome::Aborted]
        .into_iter()
        .chain(errors);
    (2..).zip(all)
}

/// Writes sessions of every status, and a tombstone.
async fn write_sessions(store: &Redis, texts: &mut Texts) -> Result<(), Failed> {
    let epoch = create(store, 1, texts).await?;
    fixture::push(store, &id(1), epoch, 1, &["a", "", "c"]).await?;
    let answers = [
        StoredAnswer::new("a question", "\0yes"),
        StoredAnswer::closed("another"),
    ];
    for answer in answers {
        store.answer(&id(1), answer).await?;
    }
    let owned = [(id(1), epoch)];
    for renewed in store.renew(&owned, LeaseChange::GiveBack).await {
        renewed?;
    }
    let claimed = store.claim(&id(1), epoch, Token(8), fixture::LONG).await?;
    let epoch = claimed.epoch;
    texts.epoch(epoch);
    let chunk = fixture::chunk(4, epoch, &["d"]);
    store.append(&id(1), chunk, AfterAppend::Waiting).await?;
    let reason = Some("enough".into());
    store.abort(&id(1), AbortRequest { reason }).await?;
    for (number, outcome) in outcomes() {
        let epoch = create(store, number, texts).await?;
        store.hold(&id(number), Holder(7), fixture::LONG).await?;
        let seal = AfterAppend::Seal(Seal::new(outcome, fixture::LONG));
        let chunk = fixture::chunk(1, epoch, &["z"]);
        store.append(&id(number), chunk, seal).await?;
    }
    create(store, 20, texts).await?;
    store.delete(&id(20), DeleteMode::Now).await?;
    write_endings(store, texts).await
}

/// Writes a session with an outbox that runs, one whose ending waits, and one that was deleted meanwhile.
async fn write_endings(store: &Redis, texts: &mut Texts) -> Result<(), Failed> {
    for number in 30..33 {
        let new = NewSession {
            token: Token(7),
            ..with_outbox(KEPT)
        };
        let Created::Created(epoch) = store.create(&id(number), new).await? else {
            panic!("the server is empty");
        };
        texts.epoch(epoch);
        if number > 30 {
            let seal = Seal::new(Outcome::Complete, fixture::LONG).summary("the summary".into());
            let chunk = fixture::chunk(1, epoch, &["z"]);
            let then = AfterAppend::Seal(seal);
            store.append(&id(number), chunk, then).await?;
        }
    }
    store.delete(&id(32), DeleteMode::Now).await?;
    Ok(())
}

async fn check_endings(store: &Redis) -> Result<(), Failed> {
    let meta = with_outbox(KEPT).meta;
    for number in [30, 31] {
        assert_eq!(store.state(&id(number)).await?.meta, meta);
    }
    let gone = store.state(&id(32)).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
    // The times of a fixture are some minutes ahead.
    for number in [31, 32] {
        store
            .postpone_ending(&id(number), 0, Duration::ZERO)
            .await?;
    }
    let endings = take(store, 9).await?;
    let is: Vec<_> = endings
        .iter()
        .map(|it| (it.id.clone(), it.deleted, it.request.len()))
        .collect();
    let request = "the request".len();
    assert_eq!(is, [(id(31), false, request), (id(32), true, 0)]);
    for ending in &endings {
        assert_eq!(ending.state.meta, meta);
        assert_eq!(ending.summary, "the summary");
        store.delivered(&ending.id, ending.state.epoch).await?;
    }
    Ok(())
}

async fn create(
    store: &Redis,
    number: usize,
    texts: &mut Texts,
) -> Result<unbroken::log::Epoch, Failed> {
    let owner = (number % 2 == 1).then_some("an owner");
    let new = NewSession {
        token: Token(7),
        ..scene::new(owner, "a chat")
    };
    let Created::Created(epoch) = store.create(&id(number), new).await? else {
        panic!("the server is empty");
    };
    texts.epoch(epoch);
    Ok(epoch)
}

async fn check_sessions(store: &Redis) -> Result<(), Failed> {
    assert_eq!(fixture::texts(store, &id(1)).await, ["a", "", "c", "d"]);
    let state = store.state(&id(1)).await?;
    assert_eq!((state.epoch.counter, state.attempts), (2, 0));
    assert_eq!(state.status, Status::Waiting);
    let reason = Some("enough".into());
    assert_eq!(state.abort, Some(AbortRequest { reason }));
    assert_eq!(state.meta, scene::new(Some("an owner"), "a chat").meta);
    let answers = [
        StoredAnswer::new("a question", "\0yes"),
        StoredAnswer::closed("another"),
    ];
    assert_eq!(store.answers(&id(1), 0).await?, answers);
    for (number, outcome) in outcomes() {
        let state = store.state(&id(number)).await?;
        assert_eq!(state.status, Status::Ended(outcome));
        let ended = state.ended.expect("the time of its end is known");
        assert!(ended < fixture::LONG, "{ended:?}");
        assert_eq!(fixture::texts(store, &id(number)).await, ["z"]);
    }
    let gone = store.state(&id(20)).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
    let chat = unbroken::log::ChatId::new("a chat");
    let listed = store.of_chat(None, &chat, 100).await?;
    assert_eq!(listed.len(), outcomes().filter(|it| it.0 % 2 == 0).count());
    // A claimant gets the request.
    let owned = [(id(1), store.state(&id(1)).await?.epoch)];
    for renewed in store.renew(&owned, LeaseChange::GiveBack).await {
        renewed?;
    }
    let claimed = store
        .claim(&id(1), owned[0].1, Token(9), Duration::from_secs(60))
        .await?;
    assert_eq!(claimed.request, "the request");
    Ok(())
}

/// The random bits of epochs, which a dump has under fixed ones.
#[derive(Default)]
struct Texts(Vec<[u8; 8]>);

impl Texts {
    fn epoch(&mut self, epoch: unbroken::log::Epoch) {
        self.0.push(epoch.bits.to_be_bytes());
    }

    /// Escapes a value on one line. A time in microseconds becomes a word.
    fn escaped(&self, value: &[u8]) -> String {
        let mut value = value.to_vec();
        for bits in &self.0 {
            for at in 0..value.len().saturating_sub(7) {
                if value[at..].starts_with(bits) {
                    value[at..at + 8].copy_from_slice(b"the-bits");
                }
            }
        }
        let is_time = value.len() == 16 && value.iter().all(u8::is_ascii_digit);
        if is_time {
            return TIME.to_owned();
        }
        let mut line = String::new();
        for byte in value {
            match byte {
                b' ' => line.push_str("\\x20"),
                byte => write!(line, "{}", byte.escape_ascii()).expect("a string takes it"),
            }
        }
        line
    }
}

const TIME: &str = "<time>";

/// Writes down all keys: a line for each value of a key, after its kind and its name.
async fn dump(it: &mut Scene, texts: &Texts) -> String {
    let mut lines = String::new();
    for key in it.keys().await {
        let kind: String = it.key("TYPE", &key, &[]).await;
        let values: Vec<Vec<Vec<u8>>> = match kind.as_str() {
            "string" => vec![vec![it.key("GET", &key, &[]).await]],
            "hash" => {
                let fields: BTreeMap<Vec<u8>, Vec<u8>> = it.key("HGETALL", &key, &[]).await;
                fields.into_iter().map(|(k, v)| vec![k, v]).collect()
            }
            "zset" => {
                let members: Vec<(Vec<u8>, Vec<u8>)> =
                    it.key("ZRANGE", &key, &["0", "-1", "WITHSCORES"]).await;
                let mut members: Vec<_> = members
                    .into_iter()
                    .map(|(m, score)| vec![score, m])
                    .collect();
                members.sort_by(|a, b| a[1].cmp(&b[1]));
                members
            }
            "stream" => {
                let entries: Vec<(Vec<u8>, Vec<Vec<u8>>)> =
                    it.key("XRANGE", &key, &["-", "+"]).await;
                let entries = entries.into_iter();
                entries.map(|(id, it)| [vec![id], it].concat()).collect()
            }
            other => panic!("the store has no key of the type {other}"),
        };
        for value in values {
            let parts: Vec<_> = value.iter().map(|part| texts.escaped(part)).collect();
            let key = texts.escaped(key.as_bytes());
            writeln!(lines, "{kind} {key} {}", parts.join(" ")).expect("a string takes it");
        }
    }
    lines
}

/// Makes the keys of a dump, with times that are some minutes ahead.
async fn load(it: &mut Scene, dump: &str) -> Result<(), Failed> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut it.admin).await?;
    let time = ((seconds + 600) * 1_000_000 + micros).to_string();
    for line in dump.lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("a kind and a key");
        let (kind, key) = (word(), unescaped(word()));
        let key = [it.prefix.as_bytes(), &key].concat();
        let mut command = redis::cmd(match kind {
            "string" => "SET",
            "hash" => "HSET",
            "zset" => "ZADD",
            "stream" => "XADD",
            other => panic!("{other}"),
        });
        command.arg(key);
        for part in words {
            command.arg(match part {
                TIME => time.clone().into_bytes(),
                part => unescaped(part),
            });
        }
        command.exec_async(&mut it.admin).await?;
    }
    Ok(())
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (escaped, after) = rest.split_first().expect("an escape has a sign");
        rest = after;
        bytes.push(match escaped {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                let (digits, after) = rest.split_at(2);
                rest = after;
                let digits = std::str::from_utf8(digits).expect("two digits");
                u8::from_str_radix(digits, 16).expect("two digits")
            }
            sign => *sign,
        });
    }
    bytes
}
