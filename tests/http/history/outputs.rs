use serde_json::{Value, json};
use unbroken::chat::{ChatEvent, Message, ToolCall};

use super::{Chats, says};
use crate::client::Whole;

/// A message of the assistant with an output for the call, as a client sends it back.
fn output(session: &str, call: &str, output: &str) -> Value {
    json!({"id": "c", "trigger": "submit-message", "messageId": session,
    "message": {"id": session, "role": "assistant", "parts": [
        {"type": "text", "text": "Any seat is yours."},
        {"type": "tool-seat", "toolCallId": call, "state": "output-available",
         "input": {"free": "all"}, "output": output},
    ]}})
}

fn problem(refused: &Whole) -> String {
    let urn = refused.json()["type"].as_str().unwrap().to_owned();
    urn.strip_prefix("urn:unbroken:").unwrap().to_owned()
}

/// A chat whose first answer has handed a call to the client. Returns its session.
async fn handed_over() -> (Chats, String) {
    let chats = Chats::new().await;
    let (answer, call) = chats.running(&says("m1", "Hi")).await;
    let session = answer.header("x-session-id").to_owned();
    call.say("Choose. ");
    let seat = ToolCall::new("1", "seat", json!({"free": "2C"}));
    call.event(ChatEvent::tool_calls([seat]));
    drop(call);
    answer.whole().await;
    (chats, session)
}

#[tokio::test]
async fn an_output_of_a_client_continues_the_message_that_is_kept() {
    for is_appended in [true, false] {
        let (chats, session) = handed_over().await;
        if is_appended {
            chats.table.has(1).await;
        }
        chats.table.hold();
        let next = output(&session, "1", "2C");
        let (answer, call) = chats.running(&next).await;
        let seat = ToolCall::new("1", "seat", json!({"free": "2C"}));
        assert_eq!(
            call.request.messages,
            [
                Message::user("Hi"),
                Message::assistant("Choose. ").tool_calls([seat]),
                Message::tool("1", "2C"),
            ]
        );
        // A page that is opened now gets the whole answer from its stream.
        assert_eq!(chats.page().await, ["user: Hi"]);
        let repeated = chats.send(&next).await;
        assert_eq!(
            repeated.header("x-session-id"),
            answer.header("x-session-id")
        );
        call.say("2C it is.");
        drop(call);
        for answer in [answer, repeated] {
            assert!(answer.whole().await.text().contains("2C it is."));
        }
        let again = chats.send(&next).await.whole().await;
        assert!(again.text().contains("2C it is."), "{}", again.text());
        let other = chats.refused(&output(&session, "1", "1A")).await;
        assert_eq!(
            (other.status(), problem(&other)),
            (409, "output-given".into())
        );
        assert!(chats.calls.none().await);
        assert_eq!(
            chats.page().await,
            ["user: Hi", "assistant: Choose. 2C it is."]
        );
        let got = chats.answered(&says("m2", "Thanks"), "Welcome").await;
        assert_eq!(
            got,
            [
                "user: Hi",
                "assistant: Choose. ",
                "tool: 2C",
                "assistant: 2C it is.",
                "user: Thanks"
            ]
        );
    }
}

#[tokio::test]
async fn an_exchange_that_continues_an_answer_has_it_as_a_whole() {
    let (chats, session) = handed_over().await;
    chats
        .answered(&output(&session, "1", "2C"), "2C it is.")
        .await;
    let rows = chats.table.has(2).await;
    let continued = rows.iter().find(|row| row.number == 2).unwrap();
    let [message] = &continued.messages[..] else {
        panic!("one message");
    };
    assert_eq!(message.id, session);
    assert_ne!(continued.session.as_str(), session);
    assert_eq!(
        message.fields["parts"],
        json!([
            {"type": "step-start"},
            {"type": "text", "text": "Choose. ", "state": "done"},
            {"type": "tool-seat", "toolCallId": "1", "state": "output-available",
             "input": {"free": "2C"}, "output": "2C"},
            {"type": "step-start"},
            {"type": "text", "text": "2C it is.", "state": "done"},
        ])
    );
}

#[tokio::test]
async fn an_output_that_no_session_has_asked_for_is_refused() {
    let (chats, session) = handed_over().await;
    let refused = chats.refused(&output(&session, "9", "2C")).await;
    assert_eq!(
        (refused.status(), problem(&refused)),
        (422, "not-open".into())
    );
    let refused = chats
        .refused(&output("0123456789abcdefghjkmnpqrs", "1", "2C"))
        .await;
    assert_eq!(refused.status(), 422);
    assert!(
        refused.text().contains("has no message"),
        "{}",
        refused.text()
    );
    assert!(chats.calls.none().await);
}
