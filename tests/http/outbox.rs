//! The outbox of a layer: each ending reaches its handler, whichever server is alive.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use unbroken::{
    chat::{ChatEvent, Complete, FinishReason, Usage},
    durable::{Outbox, SessionEnded},
    log::{ErrorCode, Outcome},
    session::Sessions,
    store::Memory,
};

use crate::{
    client::{SOON, With, empty, post, send},
    server::{Call, Calls, MOUNT, Server, ask, at, driven_with, id},
};

/// The endings that a handler has taken, which fails while `broken`.
struct Endings {
    taken: mpsc::UnboundedReceiver<SessionEnded>,
    broken: Arc<AtomicBool>,
}

impl Endings {
    async fn next(&mut self) -> SessionEnded {
        let next = tokio::time::timeout(SOON, self.taken.recv()).await;
        next.expect("an ending").unwrap()
    }

    async fn nothing_more(&mut self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(self.taken.try_recv().is_err());
    }
}

fn outbox() -> (Outbox, Endings) {
    let (sender, taken) = mpsc::unbounded_channel();
    let broken = Arc::new(AtomicBool::new(false));
    let fails = broken.clone();
    let outbox = Outbox::new(move |ended: SessionEnded| {
        let (sender, fails) = (sender.clone(), fails.load(SeqCst));
        async move {
            let _ = sender.send(ended);
            if fails {
                Err("as the test wanted")
            } else {
                Ok(())
            }
        }
    });
    (outbox, Endings { taken, broken })
}

async fn delivering(sessions: Sessions) -> (Server, Calls, Endings) {
    let (outbox, endings) = outbox();
    let (server, calls) = driven_with(sessions, |layer| layer.outbox(outbox)).await;
    (server, calls, endings)
}

fn complete(call: &Call) {
    let usage = Usage::new(7, 3);
    call.event(
        Complete::new()
            .finish_reason(FinishReason::Stop)
            .usage(usage)
            .into(),
    );
}

#[tokio::test]
async fn an_ending_has_the_request_the_answer_and_the_usage() {
    let (server, calls, mut endings) = delivering(Sessions::in_memory()).await;
    let mut body = ask("Hi");
    body["chatId"] = "a chat".into();
    let request = post(MOUNT, &body).with("x-session-id", id("taken"));
    let answer = send(server.addr, request).await;
    let call = calls.next().await;
    call.say("Hel");
    call.say("lo");
    complete(&call);
    drop(call);
    answer.whole().await;
    let ended = endings.next().await;
    assert_eq!(ended.id.as_str(), id("taken"));
    assert_eq!(ended.outcome, Outcome::Complete);
    assert_eq!(ended.request.messages[0].content, "Hi");
    assert_eq!(ended.request.session_id, Some(ended.id.clone()));
    assert_eq!(
        ended.chat.as_ref().map(unbroken::log::ChatId::as_str),
        Some("a chat")
    );
    assert_eq!(ended.transcript.text(), "Hello");
    assert_eq!(ended.transcript.messages().len(), 1);
    assert_eq!(ended.transcript.usage().unwrap().output_tokens, 3);
    assert_eq!((ended.delivery, ended.deleted), (1, false));
    endings.nothing_more().await;
}

#[tokio::test]
async fn a_failed_delivery_is_repeated_with_the_same_ending() {
    let (server, calls, mut endings) = delivering(Sessions::in_memory()).await;
    endings.broken.store(true, SeqCst);
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    calls.next().await.fail("as the test wanted");
    answer.whole().await;
    let first = endings.next().await;
    endings.broken.store(false, SeqCst);
    let second = endings.next().await;
    assert_eq!((first.delivery, second.delivery), (1, 2));
    assert_eq!(first.id, second.id);
    assert_eq!(first.ending_id, second.ending_id);
    assert_eq!(first.ending_id.len(), 32);
    for ended in [first, second] {
        assert_eq!(ended.outcome, Outcome::Error(ErrorCode::Provider));
        assert_eq!(ended.request.messages[0].content, "Hi");
    }
}

#[tokio::test]
async fn a_session_that_a_client_deletes_is_forgotten_but_for_its_usage() {
    let (server, calls, mut endings) = delivering(Sessions::in_memory()).await;
    endings.broken.store(true, SeqCst);
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("deleted"));
    let answer = send(server.addr, request).await;
    let call = calls.next().await;
    call.say("secret");
    complete(&call);
    drop(call);
    answer.whole().await;
    assert_eq!(endings.next().await.transcript.text(), "secret");
    let deleted = send(server.addr, empty("DELETE", &at(&id("deleted")))).await;
    assert_eq!(deleted.status(), 204);
    endings.broken.store(false, SeqCst);
    let ended = endings.next().await;
    assert!(ended.deleted);
    assert_eq!(ended.outcome, Outcome::Complete);
    assert_eq!(ended.request.messages, []);
    assert_eq!(ended.transcript.text(), "");
    assert_eq!(ended.transcript.usage().unwrap().input_tokens, 7);
    assert!(!format!("{ended:?}").contains("secret"));
}

#[tokio::test]
async fn a_running_session_that_a_client_deletes_has_an_ending() {
    let (server, calls, mut endings) = delivering(Sessions::in_memory()).await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("running"));
    let mut answer = send(server.addr, request).await;
    let call = calls.next().await;
    call.say("so far");
    answer.until("so far").await;
    let deleted = send(server.addr, empty("DELETE", &at(&id("running")))).await;
    assert_eq!(deleted.status(), 204);
    assert_eq!(endings.next().await.outcome, Outcome::Aborted);
}

#[tokio::test]
async fn a_server_delivers_what_another_has_started() {
    let store = Memory::new();
    let (first, calls, mut unused) = delivering(Sessions::builder(store.clone()).build()).await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("moved"));
    let mut answer = send(first.addr, request).await;
    let call = calls.next().await;
    call.say("so far");
    answer.until("so far").await;
    first.sessions.shutdown(Duration::ZERO).await;
    let (_second, _calls, mut endings) = delivering(Sessions::builder(store).build()).await;
    let ended = endings.next().await;
    assert_eq!(ended.outcome, Outcome::Error(ErrorCode::Interrupted));
    assert_eq!(ended.request.messages[0].content, "Hi");
    assert_eq!(ended.transcript.text(), "so far");
    unused.nothing_more().await;
}

#[tokio::test]
async fn a_terminal_event_that_has_the_text_leaves_it_out_of_the_summary() {
    let (server, calls, mut endings) = delivering(Sessions::in_memory()).await;
    endings.broken.store(true, SeqCst);
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("text"));
    let answer = send(server.addr, request).await;
    let call = calls.next().await;
    call.event(ChatEvent::from(Complete::new().text("secret")));
    assert!(answer.whole().await.text().contains("secret"));
    endings.next().await;
    send(server.addr, empty("DELETE", &at(&id("text")))).await;
    endings.broken.store(false, SeqCst);
    assert!(!format!("{:?}", endings.next().await).contains("secret"));
}

#[tokio::test]
async fn a_session_that_is_deleted_during_its_delivery_is_forgotten_too() {
    let sessions = Sessions::in_memory();
    let (sender, mut taken) = mpsc::unbounded_channel();
    let deleter = sessions.clone();
    // The store gives the ending with its request, and the session goes before its log is read.
    let reads_late = move |ended: SessionEnded| {
        let (sender, deleter) = (sender.clone(), deleter.clone());
        async move {
            let is_first = ended.delivery == 1;
            if is_first {
                deleter.delete(&ended.id).await?;
            }
            let _ = sender.send(ended);
            if is_first {
                Err(unbroken::BoxError::from("as the test wanted"))
            } else {
                Ok(())
            }
        }
    };
    let outbox = Outbox::new(reads_late);
    let (server, calls) = driven_with(sessions, |layer| layer.outbox(outbox)).await;
    let answer = send(server.addr, post(MOUNT, &ask("secret"))).await;
    complete(&calls.next().await);
    answer.whole().await;
    let mut next = async || {
        let next = tokio::time::timeout(SOON, taken.recv()).await;
        next.expect("an ending").unwrap()
    };
    assert!(!next().await.deleted);
    let again = next().await;
    assert!(again.deleted && again.request.messages.is_empty());
    server.sessions.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_session_id_that_is_used_again_has_another_ending_id() {
    let store = Memory::new();
    let sessions = Sessions::builder(store).tombstone(Duration::ZERO).build();
    let (server, calls, mut endings) = delivering(sessions).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("again"));
        let answer = send(server.addr, request).await;
        complete(&calls.next().await);
        answer.whole().await;
        let ended = endings.next().await;
        assert_eq!(ended.id.as_str(), id("again"));
        seen.push(ended.ending_id);
        let deleted = send(server.addr, empty("DELETE", &at(&id("again")))).await;
        assert_eq!(deleted.status(), 204);
    }
    assert_ne!(seen[0], seen[1]);
}
