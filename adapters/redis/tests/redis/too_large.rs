//! Values that a server does not take, whatever is tried: they are refused once, with the limit.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{ChatId, Digest, ErrorCode, Lsn, Outcome, Position, ServiceName, SessionId, Status},
    session::{Mark, SessionSpec, Sessions, Source, StartError},
    store::{Created, DeleteMode, NewSession, Store, StoreError, StoreExt},
};
use unbroken_redis::{Redis, redis};

use crate::support::{
    self, fixture, scene,
    server::{self, Server},
    trial,
};

const MIB: usize = 1 << 20;

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial(
            "a_request_above_the_bulk_length_of_the_server_is_too_large_and_leaves_nothing",
            missing,
            request,
        ),
        trial(
            "a_limit_that_the_server_hides_is_learned_from_its_refusal",
            missing,
            hidden,
        ),
        trial(
            "a_value_above_the_query_buffer_of_the_server_is_too_large",
            missing,
            query_buffer,
        ),
        trial(
            "a_start_is_refused_and_an_answer_ends_at_the_limit_while_others_go_on",
            missing,
            sessions,
        ),
    ]
}

fn with_request(bytes: usize) -> NewSession {
    NewSession {
        request: vec![b'r'; bytes].into(),
        ..scene::new(Some("somebody"), "a chat")
    }
}

fn is_too_large<T>(answer: &Result<T, StoreError>, limit: usize) -> bool {
    matches!(answer, Err(StoreError::TooLarge { max }) if *max == limit)
}

/// Returns the keys on the server, but for the number of their layout.
async fn keys(server: &Server) -> Result<Vec<String>, Failed> {
    let mut admin = support::connect(&server.url()).await;
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut admin).await?;
    keys.retain(|key| !key.ends_with(":layout"));
    Ok(keys)
}

async fn request() -> Result<(), Failed> {
    let server = Server::start(&["--proto-max-bulk-len", "1mb"]).await;
    let store = server.open(support::options()).await;
    refuses_requests(&store, &server, MIB).await
}

/// Checks that a request of `max` bytes is taken, and a longer one is refused after everything else.
async fn refuses_requests(store: &Redis, server: &Server, max: usize) -> Result<(), Failed> {
    let id = SessionId::random();
    for bytes in [max + 1, 3 * max] {
        let refused = store.create(&id, with_request(bytes)).await;
        assert!(is_too_large(&refused, max), "{bytes}: {refused:?}");
        assert_eq!(keys(server).await?, [""; 0], "nothing of it is left");
    }
    let new = with_request(max);
    let made = store.create(&id, new.clone()).await?;
    assert!(matches!(made, Created::Created(_)));
    // What the id has comes first.
    let other = store.create(&id, with_request(max + 1)).await?;
    assert!(matches!(other, Created::Exists(_)), "{other:?}");
    let chat = ChatId::new("a chat");
    let owner = new.meta.owner.clone();
    let listed = store.of_chat(owner.as_ref(), &chat, 10).await?;
    assert_eq!(listed.len(), 1, "the session is still in the indexes");
    store.delete(&id, DeleteMode::Now).await?;
    let gone = store.create(&id, with_request(max + 1)).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
    Ok(())
}

/// Repeats a call until it is answered. The refusal of a long value may be lost with the connection, which the
/// server closes.
async fn answered<T>(
    mut call: impl AsyncFnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    loop {
        match call().await {
            Err(error) if error.is_unavailable() => {}
            answer => return answer,
        }
    }
}

async fn hidden() -> Result<(), Failed> {
    let arguments = [
        "--proto-max-bulk-len",
        "2mb",
        "--rename-command",
        "CONFIG",
        "",
    ];
    // A server whose refusal of a request is the first one.
    let server = Server::start(&arguments).await;
    let store = server.open(support::options()).await;
    let id = SessionId::random();
    let made = store.create(&id, with_request(2 * MIB)).await?;
    assert!(matches!(made, Created::Created(_)), "it takes that much");
    let other = answered(async || store.create(&id, with_request(2 * MIB + 1)).await).await?;
    assert!(matches!(other, Created::Exists(_)), "{other:?}");
    let chat = ChatId::new("a chat");
    let owner = with_request(0).meta.owner.clone();
    let listed = store.of_chat(owner.as_ref(), &chat, 10).await?;
    assert_eq!(listed.len(), 1, "the session is still in the indexes");
    let refused = store
        .create(&SessionId::random(), with_request(MIB + 1))
        .await;
    assert!(is_too_large(&refused, MIB), "{refused:?}");

    // And of an append.
    let server = Server::start(&arguments).await;
    let store = server.open(support::options()).await;
    let (id, epoch) = fixture::created(&store).await;
    fixture::push(&store, &id, epoch, 1, &["a"]).await?;
    let large = "a".repeat(3 * MIB);
    let records: [&str; 2] = [&large, "b"];
    let early = answered(async || fixture::push(&store, &id, epoch, 1, &records).await).await;
    assert!(
        matches!(early, Err(StoreError::Conflict { tail }) if tail == Lsn::new(1)),
        "the other errors come first: {early:?}"
    );
    let refused = fixture::push(&store, &id, epoch, 2, &[&large]).await;
    assert!(is_too_large(&refused, MIB), "{refused:?}");
    fixture::push(&store, &id, epoch, 2, &[&"b".repeat(MIB - 4)]).await?;
    assert_eq!(store.state(&id).await?.tail, Lsn::new(2));
    Ok(())
}

async fn query_buffer() -> Result<(), Failed> {
    let server = Server::start(&["--client-query-buffer-limit", "2mb"]).await;
    let store = server.open(support::options()).await;
    let max = 2 * MIB - (64 << 10);
    refuses_requests(&store, &server, max).await?;
    let (id, epoch) = fixture::created(&store).await;
    // The number of records and the size of the one take four bytes.
    let fits = "a".repeat(max - 5);
    fixture::push(&store, &id, epoch, 1, &[&fits]).await?;
    let refused = fixture::push(&store, &id, epoch, 2, &[&"a".repeat(max)]).await;
    assert!(is_too_large(&refused, max), "{refused:?}");
    Ok(())
}

/// A source of one record that may be as large as a session.
struct OneRecord(Option<usize>);

impl Source for OneRecord {
    fn poll_record(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut bytes::BytesMut,
    ) -> Poll<Option<Mark>> {
        Poll::Ready(self.0.take().map(|bytes| {
            out.resize(bytes, b'x');
            Mark::Barrier
        }))
    }
}

async fn sessions() -> Result<(), Failed> {
    for hides in [false, true] {
        let mut arguments = vec!["--proto-max-bulk-len", "1mb"];
        if hides {
            arguments.extend(["--rename-command", "CONFIG", ""]);
        }
        let server = Server::start(&arguments).await;
        let sessions = Sessions::builder(server.open(support::options()).await).build();
        let spec = |request: usize| {
            let service = ServiceName::new("a service");
            let id = SessionId::random();
            let spec = SessionSpec::new(id, service, Digest([1; 32]), "first".into());
            spec.request(vec![b'r'; request].into())
        };
        let started = sessions
            .start(sessions.permit(None)?, spec(2 * MIB), OneRecord(None))
            .await;
        let Err(StartError::Store(error)) = &started else {
            panic!("{started:?}");
        };
        assert!(is_too_large::<()>(&Err(error.clone()), MIB), "{error:?}");
        assert!(error.to_string().contains("1048576"), "{error}");

        for (bytes, outcome) in [
            (2 * MIB, Outcome::Error(ErrorCode::Limit)),
            (1000, Outcome::Complete),
        ] {
            let source = OneRecord(Some(bytes));
            let started = sessions.start(sessions.permit(None)?, spec(10), source);
            let session = started.await?.session;
            let mut reader = session.reader(Position::START).await?;
            while let Some(batch) = reader.next().await {
                batch?;
            }
            assert_eq!(reader.status(), Status::Ended(outcome), "{hides} {bytes}");
        }
    }
    Ok(())
}
