use std::time::Duration;

use serde_json::{Value, json};
use unbroken::session::Sessions;

use super::counted::{Counted, after, calling, give, of, start, text};
use crate::{
    client::{empty, get, ndjson, send},
    server::{Server, at, until},
};

fn paying() -> Value {
    calling(json!([{"id": "1", "name": "pay", "arguments": {"sum": 7}}]))
}

/// Starts a session and reads up to so many questions. Returns its id and the last question.
async fn asked(server: &Server, request: &Value, questions: usize) -> (String, Value) {
    let mut stream = start(server, request).await;
    let id = stream.id();
    let mut read = String::new();
    while read.matches("input_request").count() < questions {
        let more = format!("\"lsn\":{},", read.lines().count() + 1);
        read = stream.until(&more).await.to_owned();
    }
    let whole = read.rfind('\n').unwrap();
    let events = ndjson(&read[..whole]);
    let question = of(&events, "input_request")[questions - 1].clone();
    (id, question)
}

async fn status(server: &Server, id: &str) -> String {
    let head = send(server.addr, empty("HEAD", &at(id))).await;
    head.header("x-session-status").to_owned()
}

#[tokio::test]
async fn an_approval_is_given_once_by_any_connection_after_a_reload() {
    let counted = Counted::default();
    let server = counted.server().await;
    let (id, question) = asked(&server, &paying(), 1).await;
    assert_eq!(
        (&question["kind"], &question["callId"]),
        (&json!("approval"), &json!("1"))
    );
    assert_eq!(status(&server, &id).await, "waiting");
    assert_eq!(counted.begun(), 0);
    let input = question["inputId"].as_str().unwrap();
    assert_eq!(
        give(&server, &id, input, json!({"action": "accept"})).await,
        202
    );
    let events = after(&server, &id, 0).await;
    assert_eq!(of(&events, "input_resolved")[0]["action"], "accept");
    assert_eq!(text(&events), "Let me see. paid 7");
    assert_eq!(counted.times("pay 7"), 1);
    assert_eq!(
        give(&server, &id, input, json!({"action": "decline"})).await,
        409
    );
}

#[tokio::test]
async fn of_two_simultaneous_answers_one_counts() {
    let counted = Counted::default();
    let server = counted.server().await;
    let mut paid = 0;
    for _ in 0..10 {
        let (id, question) = asked(&server, &paying(), 1).await;
        let input = question["inputId"].as_str().unwrap();
        let answer = |action: &str| give(&server, &id, input, json!({"action": action}));
        let (yes, no) = tokio::join!(answer("accept"), answer("decline"));
        let events = after(&server, &id, 0).await;
        let resolved = of(&events, "input_resolved");
        assert_eq!(resolved.len(), 1);
        match (yes, no) {
            (202, 409) => assert_eq!(resolved[0]["action"], "accept"),
            (409, 202) => assert_eq!(resolved[0]["action"], "decline"),
            both => panic!("{both:?}"),
        }
        paid += usize::from(yes == 202);
        assert_eq!(counted.times("pay 7"), paid);
    }
}

#[tokio::test]
async fn a_call_that_is_declined_does_not_run() {
    let counted = Counted::default();
    let server = counted.server().await;
    let (id, question) = asked(&server, &paying(), 1).await;
    let input = question["inputId"].as_str().unwrap();
    assert_eq!(
        give(&server, &id, input, json!({"action": "decline"})).await,
        202
    );
    let events = after(&server, &id, 0).await;
    assert_eq!(of(&events, "tool_error")[0]["message"], "the user declined");
    assert_eq!(counted.begun(), 0);
}

#[tokio::test]
async fn an_approval_times_out() {
    let counted = Counted::default();
    let tools = |tools: unbroken::tools::ToolLayer| tools.input_timeout(Duration::from_millis(300));
    let server = counted
        .serve(Sessions::in_memory(), tools, |layer| layer)
        .await;
    let (id, question) = asked(&server, &paying(), 1).await;
    assert_eq!(question["timeoutMs"], 300);
    let events = after(&server, &id, 0).await;
    assert_eq!(of(&events, "input_resolved")[0]["action"], "timeout");
    assert_eq!(events.last().unwrap().1["type"], "complete");
    assert_eq!(counted.begun(), 0);
    let input = question["inputId"].as_str().unwrap();
    assert_eq!(
        give(&server, &id, input, json!({"action": "accept"})).await,
        409
    );
}

#[tokio::test]
async fn a_question_is_repeated_until_the_answer_fits() {
    let server = Counted::default().server().await;
    let request = calling(json!([{"name": "ask", "arguments": {}}]));
    let (id, question) = asked(&server, &request, 1).await;
    let input = question["inputId"].as_str().unwrap();
    let seat = |seat: &str| json!({"action": "accept", "content": seat});
    assert_eq!(give(&server, &id, input, seat("the best")).await, 422);
    assert_eq!(give(&server, &id, input, seat("13A")).await, 202);
    let mut second = None;
    until(async || {
        let page = get(&at(&id)).map(|body| body);
        let (mut head, body) = page.into_parts();
        head.headers
            .insert("accept", "application/json".parse().unwrap());
        let page = send(server.addr, http::Request::from_parts(head, body)).await;
        let page = page.whole().await.json();
        let events = page["events"].as_array().unwrap().iter();
        let asked = events.filter(|it| it["event"]["type"] == "input_request");
        second = asked.map(|it| it["event"].clone()).nth(1);
        second.is_some()
    })
    .await;
    let second = second.unwrap();
    assert_eq!(second["message"], "There is no row 13. Which seat?");
    let input = second["inputId"].as_str().unwrap();
    assert_eq!(give(&server, &id, input, seat("14A")).await, 202);
    let events = after(&server, &id, 0).await;
    assert_eq!(text(&events), r#"Let me see. {"seat":"14A"}"#);
}

#[tokio::test]
async fn an_abort_ends_a_waiting_session() {
    let counted = Counted::default();
    let server = counted.server().await;
    let (id, question) = asked(&server, &paying(), 1).await;
    let abort = empty("POST", &format!("{}/abort", at(&id)));
    assert_eq!(send(server.addr, abort).await.status(), 202);
    let events = after(&server, &id, 0).await;
    assert_eq!(events.last().unwrap().1["type"], "aborted");
    assert_eq!(counted.begun(), 0);
    let input = question["inputId"].as_str().unwrap();
    assert_eq!(
        give(&server, &id, input, json!({"action": "accept"})).await,
        409
    );
}
