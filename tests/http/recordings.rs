//! Sessions that aren't of a chat, which the durable layer doesn't show.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use unbroken::{
    log::{Digest, ServiceName, SessionId, Status},
    record::RecordingFormat,
    session::{Format as _, Mark, SessionSpec, Sessions, Source},
    store::AbortRequest,
};

use crate::{
    client::{With, empty, get, post, send},
    server::{MOUNT, ask, at, driven_with, id},
};

/// A source that gives nothing.
struct Silent;

impl Source for Silent {
    fn poll_record(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        Poll::Pending
    }
}

/// Starts a session that is no chat's. Returns its id.
async fn record(sessions: &Sessions, name: &str) -> SessionId {
    let id: SessionId = id(name).parse().unwrap();
    let spec = SessionSpec::new(
        id.clone(),
        ServiceName::new("recorder"),
        Digest([7; 32]),
        Bytes::from_static(b"B"),
    );
    let spec = spec.format(RecordingFormat::new().number());
    let permit = sessions.permit(None).unwrap();
    sessions.start(permit, spec, Silent).await.unwrap();
    id
}

#[tokio::test]
async fn a_recording_is_absent_for_the_layer_of_chats() {
    let sessions = Sessions::in_memory();
    // One that this server writes, and one that it only follows.
    let store = unbroken::store::Memory::new();
    let elsewhere = Sessions::builder(store.clone()).build();
    let there = Sessions::builder(store).build();
    let recorded = record(&sessions, "here").await;
    let followed = record(&elsewhere, "there").await;
    for (sessions, recorded) in [(sessions, recorded), (there, followed)] {
        let (server, calls) = driven_with(sessions.clone(), |layer| layer).await;
        let (recorded, session) = (recorded.as_str(), at(recorded.as_str()));
        let chat = post(MOUNT, &ask("Hi")).with("x-session-id", id("chat"));
        send(server.addr, chat).await.until("session_info").await;
        let _call = calls.next().await;
        for request in [
            get(&session),
            get(&format!("{session}/log")),
            empty("POST", &format!("{session}/abort")),
            empty("DELETE", &session),
        ] {
            let path = request.uri().clone();
            let absent = send(server.addr, request).await.whole().await;
            assert_eq!(absent.status(), 404, "{path}");
        }
        let control = send(server.addr, get(&at(&id("chat")))).await;
        assert_eq!(control.status(), 200);
        // The id is in use, all the same.
        let start = post(MOUNT, &ask("Hi")).with("x-session-id", recorded);
        let refused = send(server.addr, start).await.whole().await;
        assert_eq!(refused.status(), 409);
        assert_eq!(refused.json()["type"], "urn:unbroken:id-in-use");
        assert!(calls.none().await);
        let state = sessions.state(&recorded.parse().unwrap()).await.unwrap();
        assert_eq!(state.status, Status::Streaming, "nothing has changed it");
    }
}

#[tokio::test]
async fn an_abort_of_a_recording_writes_its_terminal_record() {
    let sessions = Sessions::in_memory();
    let id = record(&sessions, "aborted").await;
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session
        .reader(unbroken::log::Position::START)
        .await
        .unwrap();
    sessions.abort(&id, AbortRequest::default()).await.unwrap();
    let mut records = Vec::new();
    while let Some(batch) = reader.next().await {
        let batch = batch.unwrap();
        let texts = batch.chunk().records();
        records.extend(texts.map(|it| String::from_utf8(it.bytes.to_vec()).unwrap()));
    }
    assert_eq!(records, ["B", r#"E{"outcome":"aborted"}"#]);
}
