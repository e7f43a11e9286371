//! Outputs that were taken stay taken, whatever becomes of the session that took them.

use std::time::Duration;

use http::request::Parts;
use serde_json::{Value, json};
use unbroken::{
    access::{AnyoneWithTheId, OnlyTheOwner},
    durable::DurableLayer,
    log::Owner,
    session::Sessions,
};

use super::seats::{HANGING, Seats, ask, booking, calling, choosing, hand_over, refused, results};
use crate::{
    client::{Whole, With, empty, post, send},
    server::{MOUNT, Server, at, id, until},
};

/// Asks under an id that the client chose.
async fn ask_as(server: &Server, name: &str, body: &Value) -> Whole {
    let request = post(MOUNT, body).with("x-user", "ann");
    let request = request.with("x-session-id", id(name));
    send(server.addr, request).await.whole().await
}

fn given_before(whole: &Whole) {
    refused(whole, 409, "output-given", "before");
}

#[tokio::test]
async fn an_output_counts_once_also_after_its_follow_up_was_deleted() {
    for own_id in [false, true] {
        let seats = Seats::default();
        let server = seats.serve(|fields| fields).await;
        hand_over(&server).await;
        let first = if own_id {
            ask_as(&server, "one", &choosing("1A")).await
        } else {
            ask(&server, "ann", &choosing("1A")).await
        };
        assert_eq!(results(&first)[0]["content"], "booked 1A");
        let delete = empty("DELETE", &at(first.header("x-session-id"))).with("x-user", "ann");
        assert_eq!(send(server.addr, delete).await.status(), 204);
        for seat in ["1A", "2C"] {
            given_before(&ask(&server, "ann", &choosing(seat)).await);
            given_before(&ask_as(&server, "two", &choosing(seat)).await);
        }
        assert_eq!((seats.models(), seats.given().len()), (2, 1));
    }
}

#[tokio::test]
async fn without_a_chat_an_output_counts_once_also_after_its_follow_up_was_deleted() {
    let seats = Seats::default();
    let server = seats.serve(|fields| fields).await;
    let mut booking = booking();
    booking.as_object_mut().unwrap().remove("chatId");
    let first = ask(&server, "ann", &booking).await;
    let mut next = choosing("1A");
    next.as_object_mut().unwrap().remove("chatId");
    next["continues"] = first.header("x-session-id").into();
    let taken = ask(&server, "ann", &next).await;
    assert_eq!(results(&taken)[0]["content"], "booked 1A");
    seats.delete(taken.header("x-session-id")).await;
    for seat in ["1A", "2C"] {
        next["isomorphicClientOutputs"][0]["clientOutput"] = seat.into();
        given_before(&ask(&server, "ann", &next).await);
    }
    assert_eq!(seats.given().len(), 1);
}

#[tokio::test]
async fn a_second_half_that_has_begun_does_not_run_again_after_an_abort() {
    for own_id in [false, true] {
        let seats = Seats::default();
        let server = seats.serve(|fields| fields).await;
        hand_over(&server).await;
        let mut request = post(MOUNT, &choosing(HANGING)).with("x-user", "ann");
        if own_id {
            request = request.with("x-session-id", id("one"));
        }
        let stream = send(server.addr, request).await;
        let session = stream.header("x-session-id").to_owned();
        until(async || !seats.given().is_empty()).await;
        let abort = empty("POST", &format!("{}/abort", at(&session))).with("x-user", "ann");
        assert_eq!(send(server.addr, abort).await.status(), 202);
        let whole = stream.whole().await;
        assert!(whole.text().contains("aborted"), "{}", whole.text());
        given_before(&ask(&server, "ann", &choosing("1A")).await);
        given_before(&ask_as(&server, "two", &choosing("1A")).await);
        assert_eq!(seats.given().len(), 1);
    }
}

/// A layer whose starts wait for their provider.
fn waiting_layer(sessions: Sessions, service: &'static str) -> DurableLayer {
    let who = |head: &mut Parts| {
        let name = head.headers.get("x-user")?.to_str().ok()?;
        Some(Owner::new(name))
    };
    DurableLayer::new(sessions, OnlyTheOwner::new(who))
        .service_name(service)
        .ready_timeout(Duration::from_secs(3600))
}

#[tokio::test]
async fn a_follow_up_that_waits_for_its_provider_blocks_no_other_and_of_both_one_counts() {
    for on_another_server in [false, true] {
        let seats = Seats::default();
        let server = seats.serve_layer(|it| waiting_layer(it, "one"), |fields| fields);
        let other = seats.serve_layer(|it| waiting_layer(it, "two"), |fields| fields);
        let (server, other) = (server.await, other.await);
        hand_over(&server).await;
        seats.gate.close();
        let addr = server.addr;
        let request = post(MOUNT, &choosing("1A")).with("x-user", "ann");
        let request = request.with("x-session-id", id("one"));
        let waiting = tokio::spawn(async move { send(addr, request).await.whole().await });
        until(async || seats.gate.waiting() > 0).await;
        seats.gate.open();
        // The same outputs under another id, as a client sends them that has lost its patience.
        let next = if on_another_server { &other } else { &server };
        let taken = ask_as(next, "two", &choosing("2C")).await;
        assert_eq!(results(&taken)[0]["content"], "booked 2C");
        seats.gate.wake();
        given_before(&waiting.await.unwrap());
        assert_eq!(seats.given().len(), 1);
    }
}

#[tokio::test]
async fn outputs_that_failed_follow_ups_gave_back_are_taken_by_the_next() {
    let seats = Seats::default();
    let server = seats.serve(|fields| fields).await;
    let calls = json!([{"id": "1", "name": "time", "arguments": {}}]);
    ask(&server, "ann", &calling(calls)).await;
    let mut next = choosing("noon");
    next["isomorphicClientOutputs"][0]["toolName"] = "time".into();
    let mut failing = next.clone();
    failing["script"] = json!({"then": [{"text": "x", "fault": {"at": 0, "kind": "error"}}]});
    for at in 0..2 {
        failing["script"]["delayMs"] = at.into();
        for own_id in [false, true] {
            let whole = if own_id {
                ask_as(&server, &format!("failing-{at}"), &failing).await
            } else {
                ask(&server, "ann", &failing).await
            };
            assert_eq!(whole.status(), 200, "{}", whole.text());
            assert!(whole.text().contains(r#""type":"error""#));
        }
    }
    let taken = ask(&server, "ann", &next).await;
    assert_eq!(results(&taken)[0]["content"], "noon");
    given_before(&ask_as(&server, "late", &next).await);
}

#[tokio::test]
async fn a_session_that_is_named_confirms_outputs_however_many_of_its_chat_are_newer() {
    let seats = Seats::default();
    let layer = |sessions| DurableLayer::new(sessions, AnyoneWithTheId::new());
    let server = seats.serve_layer(layer, |fields| fields).await;
    let session = hand_over(&server).await;
    for _ in 0..64 {
        let hi = json!({
            "chatId": "c", "messages": [{"role": "user", "content": "Hi"}],
            "script": {"text": "x", "delayMs": 0},
        });
        assert_eq!(ask(&server, "x", &hi).await.status(), 200);
    }
    let mut named = choosing("1A");
    named["continues"] = session.into();
    let answer = ask(&server, "ann", &named).await;
    assert_eq!(results(&answer)[0]["content"], "booked 1A");
    named["isomorphicClientOutputs"][0]["clientOutput"] = "2C".into();
    given_before(&ask(&server, "ann", &named).await);
    // Another chat's name doesn't lead to it.
    named["chatId"] = "d".into();
    refused(&ask(&server, "ann", &named).await, 422, "not-open", "`1`");
    assert_eq!(seats.given().len(), 1);
}
