//! Records of megabytes on two servers: pictures, arguments and results up to a session's own limit.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::future::try_join;
use libtest_mimic::Trial;
use serde_json::Value;
use unbroken::log::{DEFAULT_SESSION_BYTES, SessionId};

use crate::support::{
    Checked, Error,
    client::{AnswerSpec, Disconnected, ask, plain, read, read_until, start},
    cluster::Cluster,
    engine::Engine,
    in_time,
    received::{Event, Policy, Received},
};

/// A lease that no load of the machine outlasts, where no server is lost.
const UNTOUCHED: Duration = Duration::from_secs(120);
/// Longer than an append of megabytes takes while other tests keep the engine busy.
const LEASE: Duration = Duration::from_secs(10);
const MIB: usize = 1024 * 1024;
/// The room in a session for the events beside the record, and for what encloses its text.
const BESIDE: usize = 8 * 1024;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial(
            "a_record_of_megabytes_is_read_and_resumed_at_every_lsn_on_another_server",
            resumed,
        ));
        trials.push(engine.trial(
            "a_record_larger_than_a_session_ends_it_on_every_server",
            too_large,
        ));
        trials.push(engine.trial(
            "a_server_that_takes_over_has_the_record_of_megabytes",
            taken_over,
        ));
    }
    trials
}

fn spec(kind: &'static str, bytes: usize) -> AnswerSpec {
    AnswerSpec {
        record: Some((kind, bytes)),
        ..AnswerSpec::tokens(4, 20)
    }
}

/// Reads to the end of the body. Returns each event as it came, with its cursor.
async fn whole(server: SocketAddr, request: Request) -> Result<Vec<String>, Error> {
    let answer = ask(server, request).await?;
    let bytes = in_time("the end of a body", answer.rest()).await?;
    let bytes = bytes.map_err(|Disconnected| "the body was cut")?;
    let blocks = std::str::from_utf8(&bytes)?.split_inclusive("\n\n");
    let events = blocks.filter(|block| block.starts_with("id: "));
    Ok(events.map(str::to_owned).collect())
}

type Request = http::Request<http_body_util::Full<Bytes>>;

fn parse(block: &str) -> Option<Event> {
    let mut lines = block.lines();
    let cursor = lines.next()?.strip_prefix("id: ")?;
    Event::parse(cursor, lines.next()?.strip_prefix("data: ")?)
}

/// Reads the log as JSON, page by page. Returns its events.
async fn pages(server: SocketAddr, id: &str) -> Result<Vec<Value>, Error> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let page = ask(
            server,
            plain("GET", &format!("/{id}?after={}", events.len())),
        )
        .await?;
        let page = in_time("a page", page.json()).await??;
        let more = page["events"].as_array().ok_or("a page without events")?;
        if more.is_empty() {
            return Ok(events);
        }
        events.extend(more.iter().map(|event| event["event"].clone()));
    }
}

async fn resumed(engine: Engine) -> Checked {
    let cluster = Cluster::new(engine, UNTOUCHED, Policy::Fail.name())?;
    let (one, two) = (cluster.start().await?, cluster.start().await?);
    for (kind, bytes) in [
        ("picture", 4 * MIB),
        ("result", 6 * MIB),
        ("arguments", DEFAULT_SESSION_BYTES - BESIDE),
    ] {
        let id = SessionId::random();
        let id = id.as_str();
        let started = ask(one.addr, start(id, spec(kind, bytes))).await?;
        // It follows the log while the other server writes it.
        let live = whole(two.addr, read(id, None));
        let first = in_time("the end of the first body", started.rest());
        let (live, first) = try_join(live, first).await?;
        first.map_err(|Disconnected| "the first body was cut")?;
        let written = whole(one.addr, read(id, None)).await?;
        assert!(
            live == written,
            "{kind}: the bytes differ while it is written"
        );
        let large = written.iter().map(String::len).max();
        assert!(large > Some(bytes), "{kind}: one record has the bytes");
        let events: Option<Vec<_>> = written.iter().map(|block| parse(block)).collect();
        let events = events.ok_or("an event that can't be read")?;
        assert_eq!(events.last().map(Event::kind), Some("complete"), "{kind}");
        let of_pages = pages(two.addr, id).await?;
        assert!(
            of_pages.iter().eq(events.iter().map(|event| &event.data)),
            "{kind}: pages"
        );
        for (at, event) in events.iter().enumerate().take(events.len() - 1) {
            let rest = whole(two.addr, read(id, Some(event))).await?;
            assert!(
                rest == written[at + 1..],
                "{kind}: the bytes differ after {at}"
            );
        }
    }
    drop((one, two));
    cluster.clean_up().await
}

async fn too_large(engine: Engine) -> Checked {
    let cluster = Cluster::new(engine, UNTOUCHED, Policy::Fail.name())?;
    let (one, two) = (cluster.start().await?, cluster.start().await?);
    let id = SessionId::random();
    let spec = spec("arguments", DEFAULT_SESSION_BYTES);
    let first = whole(one.addr, start(id.as_str(), spec)).await?;
    assert!(whole(two.addr, read(id.as_str(), None)).await? == first);
    let last = first
        .last()
        .and_then(|block| parse(block))
        .ok_or("no end")?;
    assert_eq!(
        (last.kind(), &last.data["code"]),
        ("error", &"limit".into())
    );
    drop((one, two));
    cluster.clean_up().await
}

async fn taken_over(engine: Engine) -> Checked {
    let cluster = Cluster::new(engine, LEASE, Policy::Resume.name())?;
    let (one, two) = (cluster.start().await?, cluster.start().await?);
    let id = SessionId::random();
    let id = id.as_str();
    let spec = AnswerSpec {
        hang_at: Some(2),
        ..spec("picture", 4 * MIB)
    };
    // Its first part ends with the server.
    let mut before = ask(one.addr, start(id, spec)).await?;
    let is_second = |event: &Event| event.token().is_some_and(|token| token.number == 2);
    let hangs = |received: &Received| received.last().is_some_and(is_second);
    let mut received = Received::default();
    read_until(&mut before, &mut received, hangs).await?;
    let mut after = ask(two.addr, read(id, received.last())).await?;
    one.kill();
    read_until(&mut after, &mut received, |_| false).await?;

    let written = whole(two.addr, read(id, None)).await?;
    let events: Option<Vec<_>> = written.iter().map(|block| parse(block)).collect();
    assert!(
        events.as_deref() == Some(&received.0[..]),
        "the log has what was received"
    );
    let tokens: Vec<_> = received.tokens().map(|token| token.number).collect();
    assert_eq!(tokens, [1, 2, 3, 4]);
    let kinds: Vec<_> = received.0.iter().map(Event::kind).collect();
    assert_eq!(kinds[2..4], ["media", "text"]);
    assert_eq!(kinds.last(), Some(&"complete"));
    received.check_single_writer()?;
    assert_eq!(
        received.tags().len(),
        2,
        "another server has written the end"
    );
    for (at, event) in received.0.iter().enumerate().take(received.0.len() - 1) {
        let rest = whole(two.addr, read(id, Some(event))).await?;
        assert!(rest == written[at + 1..], "the bytes differ after {at}");
    }
    drop(two);
    cluster.clean_up().await
}
