//! The outputs of a handoff count once, and need nothing of the conversation.

use serde_json::json;
use tokio::task::JoinSet;

use super::{
    counted::{of, text},
    seats::{Seats, ask, calling, choosing, hand_over, refused, results},
};
use crate::{
    client::{With, ndjson, post, send},
    server::{MOUNT, id},
};

#[tokio::test]
async fn a_client_that_sends_no_conversation_is_served_from_the_log() {
    let seats = Seats::default();
    let server = seats.serve(|fields| fields).await;
    let calls = json!([
        {"id": "1", "name": "seat", "arguments": {"number": "UN1"}},
        {"id": "2", "name": "pay", "arguments": {}},
        {"id": "3", "name": "time", "arguments": {}},
    ]);
    let first = ask(&server, "ann", &calling(calls)).await;
    let session = first.header("x-session-id").to_owned();
    let mut next = choosing("2C");
    let time = json!({"callId": "3", "toolName": "time", "clientOutput": "noon"});
    next["isomorphicClientOutputs"]
        .as_array_mut()
        .unwrap()
        .push(time);
    let whole = ask(&server, "ann", &next).await;
    let events = ndjson(whole.text());
    assert_eq!(events[0].1["continues"], session);
    let mut results: Vec<_> = of(&events, "tool_result")
        .into_iter()
        .map(|result| result["content"].as_str().unwrap())
        .collect();
    results.sort_unstable();
    assert_eq!(results, ["booked 2C", "noon"]);
    // The model has the server's result of the first answer too, in the order of the calls.
    assert!(text(&events).contains("paid"), "{}", text(&events));
    let request = seats.ended().pop().unwrap().request;
    assert_eq!(request.messages[0].content, "Hi");
    assert_eq!(request.messages[1].tool_calls.len(), 3);
}

#[tokio::test]
async fn outputs_count_once() {
    let seats = Seats::default();
    let server = seats.serve(|fields| fields).await;
    let session = hand_over(&server).await;
    let first = ask(&server, "ann", &choosing("1A")).await;
    assert_eq!(results(&first)[0]["content"], "booked 1A");
    // The same request reads the answer that it started.
    let again = ask(&server, "ann", &choosing("1A")).await;
    assert_eq!(again.header("x-session-id"), first.header("x-session-id"));
    assert_eq!(again.bytes, first.bytes);
    // Another one is refused, whatever names the session.
    let mut named = choosing("2C");
    named["continues"] = session.into();
    for other in [choosing("2C"), named] {
        refused(
            &ask(&server, "ann", &other).await,
            409,
            "output-given",
            "before",
        );
        let request = post(MOUNT, &other)
            .with("x-user", "ann")
            .with("x-session-id", id("other"));
        let whole = send(server.addr, request).await.whole().await;
        refused(&whole, 409, "output-given", "before");
    }
    assert_eq!((seats.models(), seats.given().len()), (2, 1));
}

#[tokio::test]
async fn of_many_outputs_at_once_one_counts() {
    for own_ids in [false, true] {
        let seats = Seats::default();
        let server = seats.serve(|fields| fields).await;
        hand_over(&server).await;
        let mut racing = JoinSet::new();
        for at in 0..24 {
            // The same seat in other bytes.
            let mut body = choosing("1A");
            body["script"]["delayMs"] = at.into();
            let mut request = post(MOUNT, &body).with("x-user", "ann");
            if own_ids {
                request = request.with("x-session-id", id(&format!("racer-{at}")));
            }
            let addr = server.addr;
            racing.spawn(async move { send(addr, request).await.whole().await.status() });
        }
        let statuses = racing.join_all().await;
        let started = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(started, 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409)));
        assert_eq!((seats.models(), seats.given().len()), (2, 1));
    }
}

#[tokio::test]
async fn a_follow_up_that_failed_gives_outputs_back_unless_a_second_half_ran() {
    let seats = Seats::default();
    let server = seats.serve(|fields| fields).await;
    let calls = json!([{"id": "1", "name": "time", "arguments": {}}]);
    ask(&server, "ann", &calling(calls)).await;
    let mut next = choosing("noon");
    next["isomorphicClientOutputs"][0]["toolName"] = "time".into();
    let mut failing = next.clone();
    failing["script"] = json!({"then": [{"text": "x", "fault": {"at": 0, "kind": "error"}}]});
    let whole = ask(&server, "ann", &failing).await;
    assert!(
        whole.text().contains(r#""type":"error""#),
        "{}",
        whole.text()
    );
    let request = post(MOUNT, &next)
        .with("x-user", "ann")
        .with("x-session-id", id("again"));
    let whole = send(server.addr, request).await.whole().await;
    assert_eq!(results(&whole)[0]["content"], "noon");

    let server = seats.serve(|fields| fields).await;
    let mut booking = super::seats::booking();
    booking["chatId"] = "d".into();
    ask(&server, "ann", &booking).await;
    let mut failing = choosing("1A");
    failing["chatId"] = "d".into();
    failing["script"] = json!({"then": [{"text": "x", "fault": {"at": 0, "kind": "error"}}]});
    let whole = ask(&server, "ann", &failing).await;
    assert!(
        whole.text().contains(r#""type":"error""#),
        "{}",
        whole.text()
    );
    let mut next = choosing("2C");
    next["chatId"] = "d".into();
    refused(
        &ask(&server, "ann", &next).await,
        409,
        "output-given",
        "before",
    );
    assert_eq!(seats.given().len(), 1);
}

#[tokio::test]
async fn without_a_chat_a_client_names_the_session() {
    let seats = Seats::default();
    let server = seats.serve(|fields| fields).await;
    let mut booking = super::seats::booking();
    booking.as_object_mut().unwrap().remove("chatId");
    let first = ask(&server, "ann", &booking).await;
    let mut next = choosing("1A");
    next.as_object_mut().unwrap().remove("chatId");
    refused(
        &ask(&server, "ann", &next).await,
        422,
        "not-open",
        "continues",
    );
    next["continues"] = first.header("x-session-id").into();
    // Under an id of the client nothing could tell a second follow-up.
    let own = post(MOUNT, &next)
        .with("x-user", "ann")
        .with("x-session-id", id("own"));
    let whole = send(server.addr, own).await.whole().await;
    refused(&whole, 422, "wrong-shape", "chatId");
    assert_eq!(
        results(&ask(&server, "ann", &next).await)[0]["content"],
        "booked 1A"
    );
    next["isomorphicClientOutputs"][0]["clientOutput"] = "2C".into();
    refused(
        &ask(&server, "ann", &next).await,
        409,
        "output-given",
        "before",
    );
    assert_eq!(seats.given().len(), 1);
}
