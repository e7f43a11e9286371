use serde_json::json;
use tower_layer::Layer as _;
use unbroken::{
    chat::{ChatEvent, ToolCall},
    dialect::Native,
    durable::HistoryError,
    log::ChatId,
    provider::scripted::{Script, Scripted},
    session::{Limits, Sessions},
};

use super::{Chats, again, layer, says, table::Table};
use crate::{
    client::{With, post, send},
    server::{MOUNT, driven_at},
};

#[tokio::test]
async fn a_message_alone_is_refused_by_a_server_without_a_history() {
    let sessions = Sessions::in_memory();
    let layer = layer(&sessions);
    let (server, calls) = driven_at(sessions, &layer).await;
    let ask = |body| send(server.addr, post(MOUNT, &body).with("x-user", "ann"));
    for body in [
        says("m1", "Hi"),
        again(says("m1", "Hi")),
        again(json!({"id": "c", "messageId": "m1"})),
    ] {
        let refused = ask(body).await.whole().await;
        assert_eq!(refused.status(), 422);
        let detail = refused.json()["detail"].to_string();
        for words in ["`DurableLayer::history`", "send all `messages`"] {
            assert!(detail.contains(words), "{detail}");
        }
    }
    assert!(calls.none().await);
    // The control.
    let mut all = says("m1", "Hi");
    all["messages"] = json!([all["message"].take()]);
    let answer = ask(all).await;
    assert_eq!(answer.status(), 200);
    drop(calls.next().await);
    let nothing = layer.chat_messages(None, &ChatId::new("c")).await;
    assert!(matches!(nothing, Err(HistoryError::Absent)), "{nothing:?}");
}

#[tokio::test]
async fn a_request_that_names_what_the_chat_does_not_have_is_refused() {
    let chats = Chats::new().await;
    chats.answered(&says("m1", "Hi"), "Hello").await;
    let answer = chats.table.has(1).await[0].session.to_string();
    let changed = |field: &str, value: serde_json::Value| {
        let mut body = says("m2", "And?");
        *body.pointer_mut(field).unwrap() = value;
        body
    };
    let named = |id: &str| again(json!({"id": "c", "messageId": id}));
    let other_chat = again(json!({"id": "d"}));
    let of_assistant = json!({"id": answer, "role": "assistant", "parts": []});
    let mut all = says("m2", "And?");
    all["messages"] = json!([all["message"].take()]);
    all["id"].take();
    for (body, words) in [
        (changed("/id", json!(null)), "`id` of their chat"),
        (all, "`id` of its chat"),
        (changed("/message/id", json!("")), "needs an `id`"),
        (changed("/message/id", json!(answer)), "that of an answer"),
        (changed("/message/parts", json!("Hi")), "`message`: "),
        (
            changed("/message/parts/0/type", json!("custom")),
            "`message.parts[0]`",
        ),
        (
            again(changed("/message", of_assistant)),
            "for a message of the user",
        ),
        (changed("/message", json!(null)), "no message to answer"),
        (named("m9"), "no message `m9`"),
        (other_chat, "no message of the user"),
    ] {
        let refused = chats.refused(&body).await;
        assert_eq!(refused.status(), 422, "{body}");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains(words), "{body}: {detail}");
    }
    assert!(chats.calls.none().await);
    assert_eq!(chats.table.rows().len(), 1);
}

#[tokio::test]
async fn a_message_is_as_long_as_a_record_at_most() {
    let limits = Limits::default().event_bytes(4096);
    let sessions = Sessions::builder(unbroken::store::Memory::new())
        .limits(limits)
        .build();
    let chats = Chats::with(sessions, |layer| layer).await;
    let long = "x".repeat(3000);
    assert_eq!(
        chats.answered(&says("m1", &long), "Hello").await[0].len(),
        3006
    );
    let refused = chats.refused(&says("m2", &"x".repeat(4096))).await;
    assert_eq!(refused.status(), 413);
    let detail = refused.json()["detail"].to_string();
    assert!(detail.contains("the message has "), "{detail}");
    assert!(detail.contains("`Limits::event_bytes`"), "{detail}");
}

#[tokio::test]
async fn an_answer_that_is_continued_is_as_long_as_a_record_at_most() {
    for (words, fits) in [(2, true), (9, false)] {
        let limits = Limits::default().event_bytes(4096);
        let sessions = Sessions::builder(unbroken::store::Memory::new())
            .limits(limits)
            .build();
        let chats = Chats::with(sessions, |layer| layer).await;
        let (answer, call) = chats.running(&says("m1", "Hi")).await;
        let session = answer.header("x-session-id").to_owned();
        for _ in 0..words {
            call.say(&"x".repeat(500));
        }
        call.event(ChatEvent::tool_calls([ToolCall::new(
            "1",
            "seat",
            json!({}),
        )]));
        drop(call);
        answer.whole().await;
        let part = json!({"type": "tool-seat", "toolCallId": "1", "state": "output-available",
            "input": {}, "output": "2C"});
        let next = json!({"id": "c", "messageId": session,
            "message": {"id": session, "role": "assistant", "parts": [part]}});
        if fits {
            chats.answered(&next, "2C it is.").await;
            continue;
        }
        let refused = chats.refused(&next).await;
        assert_eq!(refused.status(), 413);
        let detail = refused.json()["detail"].to_string();
        assert!(
            detail.contains("the answer that this request continues"),
            "{detail}"
        );
        assert!(detail.contains("`Limits::event_bytes`"), "{detail}");
    }
}

#[test]
#[should_panic(expected = "the dialect `native` has no form of messages that a history could keep")]
fn a_dialect_without_a_form_of_messages_is_refused_a_history() {
    let sessions = Sessions::in_memory();
    let layer = layer(&sessions).dialect(Native::new());
    let _refused = layer
        .history(Table::default())
        .layer(Scripted::new(Script::say("Hello")));
}
