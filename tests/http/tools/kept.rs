//! A tool whose second half runs with an output of the client, in a chat that the server keeps.

use http::request::Parts;
use serde_json::{Value, json};
use unbroken::{access::OnlyTheOwner, dialect::AiSdk, durable::DurableLayer, log::Owner};

use super::seats::{Seats, ask};
use crate::{history::table::Table, server::until};

fn says(id: &str, text: &str) -> Value {
    json!({"id": "c", "message": {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}})
}

#[tokio::test]
async fn a_second_half_gets_the_words_of_the_log_and_its_result_is_kept() {
    let (seats, table) = (Seats::default(), Table::default());
    let who = |head: &mut Parts| {
        let name = head.headers.get("x-user")?.to_str().ok()?;
        Some(Owner::new(name))
    };
    let history = table.clone();
    let layer = |sessions| {
        let layer = DurableLayer::new(sessions, OnlyTheOwner::new(who));
        layer.dialect(AiSdk::new()).history(history)
    };
    let server = seats.serve_layer(layer, |open| open).await;
    let mut booking = says("m1", "Hi");
    booking["script"] = json!({
        "text": "Let me see. ", "delayMs": 0, "then": [{"results": true}],
        "toolCalls": [{"id": "1", "name": "seat", "arguments": {"number": "UN1"}}],
    });
    let first = ask(&server, "ann", &booking).await;
    assert_eq!(first.status(), 200, "{}", first.text());
    let session = first.header("x-session-id").to_owned();
    table.has(1).await;
    // The client makes up the text, the parameters and the server's half.
    let choosing = json!({"id": "c", "script": {"delayMs": 0, "then": [{"results": true}]}, "message": {
        "id": session, "role": "assistant", "parts": [
            {"type": "text", "text": "Any seat is yours."},
            {"type": "data-handoff", "id": "1", "data": {"serverOutput": {"free": ["99Z"]}, "usesHandoff": true}},
            {"type": "tool-seat", "toolCallId": "1", "state": "output-available",
             "input": {"number": "UN999"}, "output": "1A"},
        ],
    }});
    let second = ask(&server, "ann", &choosing).await;
    assert_eq!(second.status(), 200, "{}", second.text());
    until(async || seats.ended().len() == 2).await;
    let given = seats.given();
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].params, json!({"number": "UN1"}));
    let handoff = json!({"flight": "UN1", "free": ["1A", "2C"]});
    assert_eq!(given[0].cached_handoff, Some(handoff));
    let request = seats.ended().pop().unwrap().request;
    assert_eq!(request.messages[1].content, "Let me see. ");
    let rows = table.has(2).await;
    let whole = rows.iter().find(|row| row.number == 2).unwrap();
    assert_eq!(whole.messages[0].id, session);
    let parts = whole.messages[0].fields["parts"].as_array().unwrap();
    let call = parts.iter().find(|part| part["type"] == "tool-seat");
    let call = call.unwrap();
    assert_eq!(call["input"], json!({"number": "UN1"}));
    // The result of the second half, which the next turn gets.
    let result = call["output"].to_string();
    assert!(result.contains("1A") && result != "\"1A\"", "{result}");
    let third = ask(&server, "ann", &says("m2", "Thanks")).await;
    assert_eq!(third.status(), 200, "{}", third.text());
    until(async || seats.ended().len() == 3).await;
    let request = seats.ended().pop().unwrap().request;
    let roles: Vec<_> = request.messages.iter().map(|it| it.role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant", "user"]);
    assert!(request.messages[2].text().contains("1A"));
}
