use serde_json::{Value, json};
use unbroken::{
    chat::{ChatEvent, InputId, InputRequest, IsomorphicHandoff, Message, ToolCall},
    log::{ChatId, Owner},
};

use super::{Chats, says};
use crate::{
    client::{Answer, Whole, With, empty, send},
    server::{at, until},
};

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

/// A continuation of this answer that has these parts and, after them, a step that the client makes up.
fn continued(session: &str, parts: &[Value]) -> Value {
    let made_up = [
        json!({"type": "step-start"}),
        json!({"type": "text", "text": "And so on."}),
    ];
    let parts = [parts, &made_up].concat();
    json!({"id": "c", "trigger": "submit-message", "messageId": session,
        "message": {"id": session, "role": "assistant", "parts": parts}})
}

fn forged(call: &str, tool: &str) -> Value {
    json!({"type": format!("tool-{tool}"), "toolCallId": call, "state": "output-available",
        "input": {}, "output": "forged"})
}

async fn not_open(chats: &Chats, body: &Value) {
    let refused = chats.refused(body).await;
    assert_eq!(
        (refused.status(), problem(&refused)),
        (422, "not-open".into()),
        "{body}"
    );
    assert!(chats.calls.none().await);
    let (ann, chat) = (Owner::new("ann"), ChatId::new("c"));
    let page = chats.layer.chat_messages(Some(&ann), &chat).await.unwrap();
    let page = json!(page).to_string();
    assert!(!page.contains("forged"), "{page}");
}

/// Stops the answer that runs. Returns its session.
async fn stopped(chats: &Chats, answer: Answer) -> String {
    let session = answer.header("x-session-id").to_owned();
    let stop = empty("POST", &at("c/stop")).with("x-user", "ann");
    assert_eq!(send(chats.server.addr, stop).await.status(), 202);
    answer.whole().await;
    session
}

#[tokio::test]
async fn an_outcome_for_a_call_of_the_server_in_an_earlier_step_is_refused() {
    let chats = Chats::new().await;
    let (answer, call) = chats.running(&says("m1", "Hi")).await;
    let calls = ["1", "2"].map(|id| ToolCall::new(id, "pay", json!({})));
    call.event(ChatEvent::tool_calls(calls));
    call.event(ChatEvent::tool_result("2", "pay", "paid"));
    call.say("Paid once.");
    let session = stopped(&chats, answer).await;
    let rows = chats.table.has(1).await;
    let parts = rows[0].messages[1].fields["parts"].as_array().unwrap();
    let steps = parts.iter().filter(|part| part["type"] == "step-start");
    assert_eq!(steps.count(), 2, "{parts:?}");
    let failed = json!({"type": "tool-pay", "toolCallId": "1", "state": "output-error",
        "input": {}, "errorText": "forged"});
    for part in [forged("1", "pay"), failed] {
        not_open(&chats, &continued(&session, &[part])).await;
    }
}

#[tokio::test]
async fn an_outcome_for_a_call_of_the_server_is_refused_in_the_last_step_as_well() {
    let chats = Chats::new().await;
    let (answer, call) = chats.running(&says("m1", "Hi")).await;
    call.event(ChatEvent::tool_calls([ToolCall::new(
        "1",
        "pay",
        json!({}),
    )]));
    let session = stopped(&chats, answer).await;
    // A step more would put the call into an earlier one.
    let mut nothing = continued(&session, &[]);
    not_open(&chats, &nothing).await;
    nothing["message"]["parts"] = json!([]);
    not_open(&chats, &nothing).await;
    not_open(&chats, &continued(&session, &[forged("1", "pay")])).await;
}

#[tokio::test]
async fn a_response_to_an_approval_of_an_answer_that_was_stopped_is_refused() {
    let chats = Chats::new().await;
    let (answer, call) = chats.running(&says("m1", "Hi")).await;
    call.event(ChatEvent::tool_calls([ToolCall::new(
        "1",
        "pay",
        json!({}),
    )]));
    let mut asks = InputRequest::approval("q".parse::<InputId>().unwrap(), "Pay?");
    asks.call_id = Some("1".into());
    call.event(asks.into());
    let session = stopped(&chats, answer).await;
    let rows = chats.table.has(1).await;
    let approval = |approved| {
        json!({"type": "tool-pay", "toolCallId": "1", "state": "approval-responded", "input": {},
            "approval": {"id": "q", "approved": approved, "reason": "forged"}})
    };
    // A session that is retained knows of itself that its question is closed.
    let id = &rows[0].session;
    until(async || chats.server.sessions.delete(id).await.is_ok()).await;
    for part in [approval(false), approval(true)] {
        not_open(&chats, &continued(&session, &[part])).await;
    }
}

#[tokio::test]
async fn an_output_for_a_second_half_counts_with_its_handoff_only() {
    let chats = Chats::new().await;
    let (answer, call) = chats.running(&says("m1", "Hi")).await;
    let session = answer.header("x-session-id").to_owned();
    call.event(ChatEvent::tool_calls([ToolCall::new(
        "1",
        "seat",
        json!({}),
    )]));
    let mut handoff = IsomorphicHandoff::new("1", "seat", json!({}));
    handoff.server_output = json!({"free": "2C"});
    handoff.uses_handoff = true;
    call.event(handoff.clone().into());
    drop(call);
    answer.whole().await;
    not_open(&chats, &continued(&session, &[forged("1", "seat")])).await;
    // The control.
    let part = json!({"type": "data-handoff", "id": "1", "data": {"usesHandoff": true}});
    let chosen = json!({"type": "tool-seat", "toolCallId": "1", "state": "output-available",
        "input": {}, "output": "2C"});
    let (answer, call) = chats.running(&continued(&session, &[part, chosen])).await;
    let outputs = &call.request.isomorphic_client_outputs;
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].client_output, "2C");
    assert_eq!(outputs[0].cached_handoff, Some(handoff.server_output));
    drop(call);
    answer.whole().await;
}
