//! What an application's books are told.

use std::time::Duration;

use tokio::sync::mpsc;
use unbroken::{
    durable::{SessionEnded, SessionStarted},
    log::Outcome,
    session::{Retention, Sessions},
    store::Memory,
};

use crate::{
    client::{SOON, With, empty, post, send},
    server::{Calls, MOUNT, Server, ask, at, driven_with, id, until},
};

#[derive(Debug)]
enum Entry {
    Started(SessionStarted),
    Ended(Box<SessionEnded>),
}

struct Books(mpsc::UnboundedReceiver<Entry>);

impl Books {
    async fn next(&mut self) -> Entry {
        tokio::time::timeout(SOON, self.0.recv())
            .await
            .expect("an entry")
            .unwrap()
    }

    async fn begun(&mut self) -> SessionStarted {
        match self.next().await {
            Entry::Started(begun) => begun,
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

async fn kept(sessions: Sessions) -> (Server, Calls, Books) {
    let (tell, told) = mpsc::unbounded_channel();
    let (server, calls) = driven_with(sessions, |layer| {
        let begun = tell.clone();
        layer
            .on_start(move |it| {
                let tell = begun.clone();
                async move {
                    // Slower than the provider: `on_end` waits for it all the same.
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    let _ = tell.send(Entry::Started(it));
                }
            })
            .on_end(move |it| {
                let tell = tell.clone();
                async move {
                    let _ = tell.send(Entry::Ended(Box::new(it)));
                }
            })
    })
    .await;
    (server, calls, Books(told))
}

#[tokio::test]
async fn the_beginning_and_the_end_are_told_once_and_in_order() {
    let (server, calls, mut books) = kept(Sessions::in_memory()).await;
    let request = || post(MOUNT, &ask("Hi")).with("x-session-id", id("books"));
    let answer = send(server.addr, request()).await;
    let call = calls.next().await;
    call.say("Hel");
    call.say("lo");
    drop(call);
    answer.whole().await;
    let begun = books.begun().await;
    assert_eq!(begun.id.as_str(), id("books"));
    assert_eq!(begun.request.messages[0].content, "Hi");
    let ended = books.ended().await;
    assert_eq!(ended.id, begun.id);
    assert_eq!(ended.transcript.text(), "Hello");
    assert_eq!(ended.outcome, Outcome::Complete);
    send(server.addr, request()).await.whole().await;
    let abort = empty("POST", &format!("{}/abort", at(&id("books"))));
    send(server.addr, abort).await.whole().await;
    books.nothing_more().await;
}

#[tokio::test]
async fn an_aborted_session_is_told_with_what_it_had_said() {
    let (server, calls, mut books) = kept(Sessions::in_memory()).await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("aborted"));
    let mut answer = send(server.addr, request).await;
    let call = calls.next().await;
    call.say("so far");
    answer.until("so far").await;
    let abort = empty("POST", &format!("{}/abort", at(&id("aborted"))));
    send(server.addr, abort).await.whole().await;
    books.begun().await;
    let ended = books.ended().await;
    assert_eq!(ended.outcome, Outcome::Aborted);
    assert_eq!(ended.transcript.text(), "so far");
}

#[tokio::test]
async fn the_books_are_no_reader_that_lets_a_session_go() {
    let retention = Retention::until_released().grace(Duration::ZERO);
    let sessions = Sessions::builder(Memory::new())
        .retention(retention)
        .build();
    let (server, calls, mut books) = kept(sessions.clone()).await;
    let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let id = answer.id().parse().unwrap();
    let call = calls.next().await;
    drop(answer);
    // The session is used by us here, and by the books.
    let session = sessions.attach(&id).await.unwrap();
    until(async || session.clients() == 2).await;
    drop(session);
    call.say("unread");
    drop(call);
    books.begun().await;
    assert_eq!(books.ended().await.transcript.text(), "unread");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(sessions.state(&id).await.is_ok(), "no client has had it");
}
