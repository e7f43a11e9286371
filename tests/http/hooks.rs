//! The hooks `on_start` and `on_end`.

use std::time::Duration;

use tokio::sync::mpsc;
use unbroken::{
    durable::{SessionEnded, SessionStarted},
    log::{ErrorCode, Outcome},
    session::{Retention, Sessions},
    store::Memory,
};

use crate::{
    client::{SOON, With, empty, post, send},
    server::{Calls, MOUNT, Server, ask, at, driven, driven_with, id, until},
};

#[derive(Debug)]
enum Entry {
    Started(SessionStarted),
    Ended(Box<SessionEnded>),
}

struct HookLog(mpsc::UnboundedReceiver<Entry>);

impl HookLog {
    async fn next(&mut self) -> Entry {
        tokio::time::timeout(SOON, self.0.recv())
            .await
            .expect("an entry")
            .unwrap()
    }

    async fn started(&mut self) -> SessionStarted {
        match self.next().await {
            Entry::Started(started) => started,
            other @ Entry::Ended(_) => panic!("{other:?}"),
        }
    }

    async fn ended(&mut self) -> SessionEnded {
        match self.next().await {
            Entry::Ended(ended) => *ended,
            other @ Entry::Started(_) => panic!("{other:?}"),
        }
    }

    async fn nothing_more(&mut self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(self.0.try_recv().is_err());
    }
}

async fn hooked(sessions: Sessions) -> (Server, Calls, HookLog) {
    let (sender, received) = mpsc::unbounded_channel();
    let (server, calls) = driven_with(sessions, |layer| {
        let on_start = sender.clone();
        layer
            .on_start(move |it| {
                let sender = on_start.clone();
                async move {
                    // Slower than the provider: `on_end` waits for it.
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    let _ = sender.send(Entry::Started(it));
                }
            })
            .on_end(move |it| {
                let sender = sender.clone();
                async move {
                    let _ = sender.send(Entry::Ended(Box::new(it)));
                }
            })
    })
    .await;
    (server, calls, HookLog(received))
}

#[tokio::test]
async fn the_hooks_run_once_and_in_order() {
    let (server, calls, mut hooks) = hooked(Sessions::in_memory()).await;
    let request = || post(MOUNT, &ask("Hi")).with("x-session-id", id("hooks"));
    let answer = send(server.addr, request()).await;
    let call = calls.next().await;
    call.say("Hel");
    call.say("lo");
    drop(call);
    answer.whole().await;
    let started = hooks.started().await;
    assert_eq!(started.id.as_str(), id("hooks"));
    assert_eq!(started.request.messages[0].content, "Hi");
    let ended = hooks.ended().await;
    assert_eq!(ended.id, started.id);
    assert_eq!(ended.transcript.text(), "Hello");
    assert_eq!(ended.outcome, Outcome::Complete);
    send(server.addr, request()).await.whole().await;
    let abort = empty("POST", &format!("{}/abort", at(&id("hooks"))));
    send(server.addr, abort).await.whole().await;
    hooks.nothing_more().await;
}

#[tokio::test]
async fn on_end_of_an_aborted_session_has_the_answer_so_far() {
    let (server, calls, mut hooks) = hooked(Sessions::in_memory()).await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("aborted"));
    let mut answer = send(server.addr, request).await;
    let call = calls.next().await;
    call.say("so far");
    answer.until("so far").await;
    let abort = empty("POST", &format!("{}/abort", at(&id("aborted"))));
    send(server.addr, abort).await.whole().await;
    hooks.started().await;
    let ended = hooks.ended().await;
    assert_eq!(ended.outcome, Outcome::Aborted);
    assert_eq!(ended.transcript.text(), "so far");
}

#[tokio::test]
async fn the_hooks_do_not_count_as_a_reader_that_releases_a_session() {
    let retention = Retention::until_released().grace(Duration::ZERO);
    let sessions = Sessions::builder(Memory::new())
        .retention(retention)
        .build();
    let (server, calls, mut hooks) = hooked(sessions.clone()).await;
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let id = answer.id().parse().unwrap();
    let call = calls.next().await;
    drop(answer);
    // The session is used here, and by the hooks.
    let session = sessions.attach(&id).await.unwrap();
    until(async || session.clients() == 2).await;
    drop(session);
    call.say("unread");
    drop(call);
    hooks.started().await;
    assert_eq!(hooks.ended().await.transcript.text(), "unread");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(sessions.state(&id).await.is_ok(), "no client has had it");
}

#[tokio::test]
async fn a_layer_without_hooks_is_no_client_of_its_sessions() {
    let (server, calls) = driven().await;
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let id = answer.id().parse().unwrap();
    let _call = calls.next().await;
    drop(answer);
    let session = server.sessions.attach(&id).await.unwrap();
    until(async || session.clients() == 1).await;
}

#[tokio::test]
async fn on_end_of_a_session_that_a_shutdown_ends_has_run_when_the_shutdown_is_over() {
    let (server, calls, mut hooks) = hooked(Sessions::in_memory()).await;
    let mut answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let call = calls.next().await;
    call.say("so far");
    answer.until("so far").await;
    server.sessions.shutdown(Duration::ZERO).await;
    let _ = hooks.0.try_recv().expect("it has started");
    let Ok(Entry::Ended(ended)) = hooks.0.try_recv() else {
        panic!("it has not ended");
    };
    assert_eq!(ended.outcome, Outcome::Error(ErrorCode::Interrupted));
    assert_eq!(ended.transcript.text(), "so far");
    let whole = answer.whole().await;
    assert!(whole.clean);
    assert!(whole.text().contains(r#""code":"interrupted""#));
}
