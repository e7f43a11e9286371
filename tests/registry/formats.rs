//! Several formats in one registry.

use bytes::Bytes;
use tokio::time::Instant;
use unbroken::{
    log::{Chunk, Ending, Position, SessionId, Status},
    session::{Format, SessionSpec, SessionsBuilder, StartError},
    store::{AbortRequest, Memory, Store as _, StoreExt as _},
};

use crate::{
    builder,
    support::{TextFormat, channel_source, id, seconds, start, until},
    take_over::{LEASE, orphan_in},
};

/// Writes each ending in angle brackets.
#[derive(Debug)]
struct Bracketed;

impl Format for Bracketed {
    fn number(&self) -> u16 {
        2
    }

    fn ending(&self, ending: &Ending) -> Bytes {
        let text = TextFormat.ending(ending);
        format!("<{}>", String::from_utf8_lossy(&text)).into()
    }

    fn summary(&self, terminal: &[u8]) -> Bytes {
        let mut summary = b"summary of ".to_vec();
        summary.extend_from_slice(terminal);
        summary.into()
    }
}

fn both(store: &Memory) -> SessionsBuilder {
    SessionsBuilder::new(store.clone(), TextFormat)
        .format(Bracketed)
        .lease(LEASE)
}

/// Returns the last record of a session once it is sealed.
async fn terminal(store: &Memory, id: &SessionId) -> String {
    until("it is sealed", async || {
        let state = store.state(id).await.unwrap();
        state.status.outcome().is_some()
    })
    .await;
    let page = store.read(id, Position::START, 1 << 16).await.unwrap();
    let last = page.chunks.iter().flat_map(Chunk::records).last().unwrap();
    String::from_utf8(last.bytes.to_vec()).unwrap()
}

fn bracketed(name: &str) -> SessionSpec {
    start(&id(name)).format(Bracketed.number())
}

#[tokio::test(start_paused = true)]
async fn a_registry_seals_the_orphans_of_all_its_formats_each_in_its_own() {
    let store = Memory::new();
    let text = orphan_in(1, &store, "text", &["info"]).await;
    let brackets = orphan_in(2, &store, "brackets", &["info"]).await;
    let sessions = both(&store).build();
    let _ = sessions.attach(&id("wakes-the-sweeper")).await;
    assert_eq!(terminal(&store, &text).await, "interrupted");
    assert_eq!(terminal(&store, &brackets).await, "<interrupted>");
}

#[tokio::test(start_paused = true)]
async fn a_registry_leaves_the_orphans_of_other_formats_alone() {
    let store = Memory::new();
    let text = orphan_in(1, &store, "text", &["info"]).await;
    let brackets = orphan_in(2, &store, "brackets", &["info"]).await;
    let before = store.state(&brackets).await.unwrap();
    let sessions = SessionsBuilder::new(store.clone(), TextFormat)
        .lease(LEASE)
        .build();
    // The sweeper finds it, and a follower has it.
    let _followed = sessions.attach(&brackets).await.unwrap();
    assert_eq!(terminal(&store, &text).await, "interrupted");
    seconds(10 * LEASE.as_secs()).await;
    let after = store.state(&brackets).await.unwrap();
    assert_eq!(
        (after.epoch, after.status),
        (before.epoch, Status::Streaming)
    );
    let sessions = both(&store).build();
    let _ = sessions.attach(&id("wakes-the-sweeper")).await;
    assert_eq!(terminal(&store, &brackets).await, "<interrupted>");
}

#[tokio::test(start_paused = true)]
async fn a_writer_ends_a_session_in_the_format_that_its_start_names() {
    let store = Memory::new();
    let sessions = both(&store).build();
    for (spec, ending) in [
        (start(&id("default")), "aborted"),
        (start(&id("text")).format(1), "aborted"),
        (bracketed("brackets"), "<aborted>"),
    ] {
        let (one, (_teller, source)) = (spec.id.clone(), channel_source());
        let permit = sessions.permit(None).unwrap();
        let started = sessions.start(permit, spec, source).await.unwrap();
        let abort = AbortRequest::default();
        sessions.abort(&one, abort).await.unwrap();
        assert_eq!(terminal(&store, &one).await, ending);
        assert_eq!(
            started.session.meta().format,
            if ending == "aborted" { 1 } else { 2 }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_summary_of_an_ending_is_in_the_format_of_its_session() {
    let store = Memory::new();
    let sessions = both(&store).build();
    let keep = std::time::Duration::from_secs(60);
    for (spec, summary) in [
        (start(&id("text")), "complete"),
        (bracketed("brackets"), "summary of <complete>"),
    ] {
        let (one, (teller, source)) = (spec.id.clone(), channel_source());
        let permit = sessions.permit(None).unwrap();
        sessions
            .start(permit, spec.outbox(keep), source)
            .await
            .unwrap();
        drop(teller);
        terminal(&store, &one).await;
        let service = start(&one).service;
        let endings = store.endings(&service, 1, keep).await.unwrap();
        assert_eq!(
            (&endings[0].id, &*endings[0].summary),
            (&one, summary.as_bytes())
        );
        store.delivered(&one, endings[0].state.epoch).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_in_a_format_that_the_registry_does_not_know_is_refused() {
    let store = Memory::new();
    let sessions = both(&store).build();
    let (teller, source) = channel_source();
    let spec = start(&id("one")).format(3);
    let permit = sessions.permit(None).unwrap();
    let refused = sessions.start(permit, spec, source).await;
    assert!(
        matches!(refused, Err(StartError::UnknownFormat { format: 3 })),
        "{refused:?}"
    );
    assert!(teller.is_dropped() && !teller.was_polled());
    assert_eq!(sessions.running(), 0);
    assert!(store.state(&id("one")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_start_under_the_id_of_a_session_of_another_format_is_refused() {
    let store = Memory::new();
    let (here, there) = (both(&store).build(), both(&store).build());
    let (_teller, source) = channel_source();
    let permit = here.permit(None).unwrap();
    here.start(permit, bracketed("one"), source).await.unwrap();
    for sessions in [&here, &there] {
        for (spec, attaches) in [(start(&id("one")), false), (bracketed("one"), true)] {
            let (_teller, source) = channel_source();
            let permit = sessions.permit(None).unwrap();
            let started = sessions.start(permit, spec, source).await;
            match started {
                Ok(started) => assert!(attaches && !started.created),
                Err(StartError::InUse) => assert!(!attaches),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_one_format_is_not_begun_by_a_start_of_another() {
    let store = Memory::new();
    let one = orphan_in(2, &store, "one", &[]).await;
    let sessions = both(&store).build();
    let (teller, source) = channel_source();
    let began = Instant::now();
    let permit = sessions.permit(None).unwrap();
    let refused = sessions.start(permit, start(&one), source).await;
    assert!(matches!(refused, Err(StartError::InUse)), "{refused:?}");
    assert!(teller.is_dropped() && !teller.was_polled());
    assert!(began.elapsed() < LEASE);
    assert_eq!(terminal(&store, &one).await, "<interrupted>");
}

#[test]
#[should_panic(expected = "two formats of one registry have the number 1")]
fn a_second_format_of_one_number_is_refused() {
    #[derive(Debug)]
    struct Another;
    impl Format for Another {
        fn number(&self) -> u16 {
            TextFormat.number()
        }

        fn ending(&self, ending: &Ending) -> Bytes {
            TextFormat.ending(ending)
        }
    }
    let _ = builder().format(Bracketed).format(Another);
}
