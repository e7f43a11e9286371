use std::sync::{Arc, Mutex};

use unbroken::{
    durable::{Outbox, SessionEnded},
    log::{ChatId, Lsn, Owner},
    session::Sessions,
    store::Memory,
};
use unbroken_conformance::BrokenStore;

use super::{Chats, again, says};
use crate::{
    client::{With, empty, send},
    server::{at, until},
};

#[tokio::test]
async fn a_message_gets_the_last_answer_also_before_that_is_appended() {
    let chats = Chats::new().await;
    chats.table.hold();
    chats.answered(&says("m1", "Hi"), "Hello").await;
    chats.table.held(1).await;
    let got = chats.answered(&says("m2", "And?"), "No more").await;
    assert_eq!(got, ["user: Hi", "assistant: Hello", "user: And?"]);
    chats.table.held(2).await;
    let whole = [
        "user: Hi",
        "assistant: Hello",
        "user: And?",
        "assistant: No more",
    ];
    assert_eq!(chats.page().await, whole);
    assert_eq!(chats.table.rows(), []);
    for number in [1, 2] {
        chats.table.release(number).await;
        assert_eq!(chats.page().await, whole);
    }
    assert_eq!(chats.table.rows().len(), 2);
}

#[tokio::test]
async fn exchanges_that_are_appended_in_any_order_are_one_conversation() {
    let last = ["user: Hi", "assistant: Hello", "user: So?", "assistant: 4"];
    for order in [[1, 2, 3, 4], [4, 3, 2, 1], [3, 1, 4, 2]] {
        let chats = Chats::new().await;
        chats.table.hold();
        chats.answered(&says("m1", "Hi"), "Hello").await;
        chats.answered(&says("m2", "And?"), "No more").await;
        let got = chats.answered(&says("m2", "So?"), "3").await;
        assert_eq!(got, ["user: Hi", "assistant: Hello", "user: So?"]);
        chats.answered(&again(says("m2", "So?")), "4").await;
        chats.table.held(4).await;
        for number in order {
            chats.table.release(number).await;
            assert_eq!(chats.page().await, last, "{order:?} {number}");
        }
        assert_eq!(chats.table.rows().len(), 4);
    }
}

#[tokio::test]
async fn a_failed_append_is_repeated_and_counts_once() {
    let handled: Arc<Mutex<Vec<String>>> = Arc::default();
    let taken = handled.clone();
    let outbox = Outbox::new(move |ended: SessionEnded| {
        let mut taken = taken.lock().unwrap();
        taken.push(ended.ending_id);
        let fails = taken.len() == 1;
        std::future::ready(if fails {
            Err("as the test wanted")
        } else {
            Ok(())
        })
    });
    let chats = Chats::with(Sessions::in_memory(), |layer| layer.outbox(outbox)).await;
    chats.table.break_it(true);
    // A chat that can't be loaded begins no answer.
    let refused = chats.refused(&says("m1", "Hi")).await;
    assert_eq!(
        (refused.status(), refused.header("retry-after")),
        (503, "2")
    );
    assert!(chats.calls.none().await);
    chats.table.break_it(false);
    chats.table.hold();
    chats.answered(&says("m1", "Hi"), "Hello").await;
    chats.table.held(1).await;
    chats.table.break_it(true);
    chats.table.unhold(1);
    // The outbox of the application comes after the history.
    assert_eq!(handled.lock().unwrap().len(), 0);
    chats.table.held(2).await;
    chats.table.break_it(false);
    chats.table.release(1).await;
    chats.table.held(3).await;
    assert_eq!(handled.lock().unwrap().len(), 1);
    chats.table.release(1).await;
    until(async || handled.lock().unwrap().len() == 2).await;
    assert_eq!(chats.table.appended(), 2);
    let rows = chats.table.rows();
    assert_eq!(rows.len(), 1);
    assert!(
        handled
            .lock()
            .unwrap()
            .iter()
            .all(|it| *it == rows[0].ending_id)
    );
}

#[tokio::test]
async fn an_answer_that_ends_while_its_chat_is_loaded_is_shown_once_and_as_a_whole() {
    let chats = Chats::new().await;
    let (answer, call) = chats.running(&says("m1", "Hi")).await;
    call.say("Hel");
    let gate = chats.table.hold_load();
    let ends = async {
        chats.table.loading().await;
        call.say("lo");
        drop(call);
        answer.whole().await;
        chats.table.has(1).await;
        gate.add_permits(1);
    };
    let (page, ()) = tokio::join!(chats.page(), ends);
    assert_eq!(page, ["user: Hi", "assistant: Hello"]);
}

#[tokio::test]
async fn an_answer_is_continued_after_its_session_was_forgotten() {
    let sessions = Sessions::in_memory();
    let chats = Chats::with(sessions, |layer| layer).await;
    chats.answered(&says("m1", "Hi"), "Hello").await;
    let rows = chats.table.has(1).await;
    let session = &rows[0].session;
    until(async || chats.server.sessions.delete(session).await.is_ok()).await;
    let stream = empty("GET", &at("c/stream")).with("x-user", "ann");
    assert_eq!(send(chats.server.addr, stream).await.status(), 204);
    let got = chats.answered(&says("m2", "And?"), "No more").await;
    assert_eq!(got, ["user: Hi", "assistant: Hello", "user: And?"]);
}

#[tokio::test]
async fn an_answer_whose_log_is_damaged_is_left_out_and_the_chat_goes_on() {
    let store = Arc::new(BrokenStore::new(Memory::new()));
    let chats = Chats::with(Sessions::builder(store.clone()).build(), |layer| layer).await;
    chats.table.hold();
    chats.answered(&says("m1", "Hi"), "Hello").await;
    chats.answered(&says("m2", "And?"), "No more").await;
    chats.table.held(2).await;
    // Another server reads the logs from the store.
    let other = Chats::with(Sessions::builder(store.clone()).build(), |layer| layer).await;
    other.table.hold();
    let whole = [
        "user: Hi",
        "assistant: Hello",
        "user: And?",
        "assistant: No more",
    ];
    assert_eq!(other.page().await, whole);
    let (ann, chat) = (Owner::new("ann"), ChatId::new("c"));
    let newest_first = other
        .server
        .sessions
        .of_chat(Some(&ann), &chat, 2)
        .await
        .unwrap();
    for (session, page) in [(1, &whole[2..]), (0, &[])] {
        store.corrupt(&newest_first[session].id, Lsn::new(1));
        assert_eq!(other.page().await, page);
    }
    let got = other.answered(&says("m3", "So?"), "So").await;
    assert_eq!(got, ["user: So?"]);
    assert_eq!(other.page().await, ["user: So?", "assistant: So"]);
}
