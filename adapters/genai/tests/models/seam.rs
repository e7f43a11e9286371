//! Partial answers of Claude that another server resumes by a prefill.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt};
use unbroken::{DurableLayer, Sessions, access::AnyoneWithTheId, durable::Recovery, store::Memory};

use crate::{
    claude::{self, CLAUDE},
    stub::{Asked, Reply, Stub},
};

const ID: &str = "4kq8z1m0v7x2c5b9n3h6jr";
const PIECES: [&str; 6] = ["Paris", " became", " the ", "capital", " under", " Clovis."];

/// Returns an answer to a partial one, as Anthropic's server has it.
fn prefilled(asked: &Asked, said: &str) -> Reply {
    let messages = asked.body["messages"].as_array().unwrap();
    let content = &messages.last().unwrap()["content"];
    let last = content.as_str().or_else(|| {
        let parts = content.as_array()?;
        parts.last()?["text"].as_str()
    });
    if last.is_some_and(|text| text.ends_with(char::is_whitespace)) {
        let message = "messages: final assistant content cannot end with trailing whitespace";
        let error = json!({"type": "invalid_request_error", "message": message});
        let body = json!({"type": "error", "error": error}).to_string();
        return Reply::Status(400, "", body);
    }
    let pieces: Vec<String> = said.chars().map(String::from).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    Reply::Stream(claude::message([claude::text(0, &pieces)], "end_turn"))
}

/// Loses a server after so many pieces. The model answers the partial answer with `said`.
async fn taken_over(cut: usize, said: String, recovery: Recovery) -> (Vec<Value>, usize) {
    let begun = claude::message([claude::text(0, &PIECES[..cut])], "end_turn");
    let end = begun.find("event: content_block_stop").unwrap();
    let stub = Stub::answering(move |asked, number| match number {
        1 => Reply::Held(begun[..end].to_owned()),
        2 => prefilled(asked, &said),
        _ => prefilled(asked, "Rome."),
    })
    .await;
    let store = Memory::new();
    let sessions = || {
        let sessions = Sessions::builder(store.clone());
        sessions.lease(Duration::from_millis(400)).build()
    };
    let provider = stub.provider(CLAUDE).prefill(true);
    let layer = |sessions: &Sessions| {
        DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).recovery(recovery.clone())
    };
    let (first, second) = (sessions(), sessions());
    let body = json!({"messages": [{"role": "user", "content": "Hi"}]}).to_string();
    let request = Request::post("/").header("x-session-id", ID);
    let request = request
        .header("content-type", "application/json")
        .body(body);
    let service = layer(&first).layer(provider.clone());
    let response = service.oneshot(request.unwrap()).await.unwrap();
    let (mut body, mut seen) = (response.into_body(), String::new());
    while !seen.contains(&format!("\"{}\"", PIECES[cut - 1])) {
        let frame = body.frame().await.expect("more of the answer").unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    first.shutdown(Duration::ZERO).await;
    let request = Request::get(format!("/{ID}")).body(String::new()).unwrap();
    let response = layer(&second).layer(provider).oneshot(request).await;
    let whole = response.unwrap().into_body().collect().await.unwrap();
    let whole = whole.to_bytes();
    let lines = whole.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let events = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()["event"].take());
    (events.collect(), stub.asked().len())
}

fn text(events: &[Value]) -> String {
    let texts = events.iter().filter(|it| it["type"] == "text");
    texts.map(|it| it["content"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn at_each_cut_claude_goes_on_or_its_repeat_is_cut_off() {
    let whole = PIECES.concat();
    for cut in 1..PIECES.len() {
        let partial = PIECES[..cut].concat();
        // The model says the space again that it wasn't sent.
        let rest = whole[partial.trim_end().len()..].to_owned();
        for said in [rest, whole.clone()] {
            let what = format!("{cut}: {said}");
            let (events, asked) = taken_over(cut, said, Recovery::new().resume()).await;
            assert_eq!(text(&events), whole, "{what}: {events:?}");
            assert_eq!(events.last().unwrap()["type"], "complete", "{what}");
            assert_eq!(asked, 2);
        }
    }
}

#[tokio::test]
async fn an_answer_of_claude_that_begins_anew_is_declined() {
    let said = "Paris became the seat of kings.".to_owned();
    let recovery = Recovery::new().resume().restart();
    let (events, asked) = taken_over(5, said.clone(), recovery).await;
    let restarted = events.iter().position(|it| it["type"] == "restarted");
    let (before, after) = events.split_at(restarted.unwrap());
    assert_eq!(text(before), PIECES[..5].concat());
    assert_eq!((&*text(after), asked), ("Rome.", 3));

    // The control: the text as clients would have it.
    let recovery = Recovery::new().resume().check_seam(false);
    let (events, _) = taken_over(5, said.clone(), recovery).await;
    assert_eq!(text(&events), PIECES[..5].concat() + &said);
}
