use http::header;
use serde_json::{Value, json};

use crate::{
    http::{
        fixture::HttpFixture,
        request::{TestRequest, chat_body},
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";

pub(crate) async fn accept_selects_the_encoding(server: HttpFixture) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 1, "delayMs": 0}))
        .await?;
    let none = server.expect(TestRequest::get(&id), 200).await?;
    ensure_eq!(none.header(header::CONTENT_TYPE)?, NDJSON, "without Accept");
    for (accept, expected) in [
        ("*/*", NDJSON),
        (NDJSON, NDJSON),
        (SSE, SSE),
        (JSON, JSON),
        ("text/*", SSE),
        ("text/event-stream, application/x-ndjson", NDJSON),
        ("text/event-stream;q=0.9, application/x-ndjson;q=0.8", SSE),
        ("text/event-stream, */*;q=0.5", SSE),
        ("application/x-ndjson;q=0, */*", SSE),
        ("application/json, */*;q=0.1", JSON),
        ("application/json, text/event-stream;q=0.1", SSE),
        ("application/json, application/x-ndjson;q=0.5", NDJSON),
        ("application/json, application/x-ndjson;q=0", JSON),
        ("Text/Event-Stream", SSE),
    ] {
        let answer = server
            .expect(TestRequest::get(&id).accept(accept), 200)
            .await?;
        let got = answer.header(header::CONTENT_TYPE)?;
        ensure_eq!(got, expected, "what comes for {accept}");
    }
    for none in ["text/html", "*/*;q=0", "application/json;q=0"] {
        server
            .expect_problem(TestRequest::get(&id).accept(none), 406, "not-acceptable")
            .await?;
    }
    Ok(())
}

pub(crate) async fn any_text_comes_back_unchanged(server: HttpFixture) -> CaseResult {
    let text = "line\nline\r\nreturn\rquote \" back\\slash \ttab é 漢字 😀 \u{2028}\u{2029}\u{feff} \
                \u{0}\u{7f} data: x\n\nid: 7\n\n: no comment \u{1F468}\u{200D}\u{1F469} end";
    let script = json!({"text": text, "delayMs": 0});
    let (id, live) = server.run_to_end(&script).await?;
    ensure_eq!(live.text(), text, "the text");
    let sse = server
        .read_to_end(TestRequest::get(&id).accept(SSE))
        .await?;
    ensure_eq!(sse.text(), text, "the text in server-sent events");
    Ok(())
}

pub(crate) async fn every_encoding_has_the_same_events(server: HttpFixture) -> CaseResult {
    let script = json!({
        "thinking": "Hm.",
        "text": "Let me see.",
        "toolCalls": [{"id": "call_7", "name": "now", "arguments": {"zone": "UTC"}}],
        "delayMs": 0,
    });
    let (id, ndjson) = server.run_to_end(&script).await?;
    let sse = server
        .read_to_end(TestRequest::get(&id).accept(SSE))
        .await?;
    ensure_eq!(sse.log(), ndjson.log(), "server-sent events and lines");
    let request = TestRequest::get(&id).accept(JSON);
    let page = server.expect(request, 200).await?.document().await?;
    let log: Vec<Value> = ndjson
        .log()
        .into_iter()
        .map(|(lsn, event)| json!({"lsn": lsn, "event": event}))
        .collect();
    ensure_eq!(page["events"], Value::Array(log), "the page and the lines");
    Ok(())
}

pub(crate) async fn tool_calls_are_events_and_a_finish_reason(server: HttpFixture) -> CaseResult {
    let script = json!({
        "text": "One moment.",
        "toolCalls": [{"id": "call_7", "name": "now", "arguments": {"zone": "UTC"}}],
        "delayMs": 0,
    });
    // A call of a client's tool ends the answer, with or without a tool layer.
    let mut body = chat_body(&script);
    body["isomorphicTools"] = json!([{
        "name": "now",
        "description": "What time it is.",
        "parameters": {"type": "object"},
    }]);
    let full = server.read_to_end(TestRequest::start(&body)).await?;
    let calls = full
        .events
        .iter()
        .find(|event| event.kind() == "tool_calls");
    let Some(calls) = calls else {
        return Err(CaseStop::Failed(format!(
            "no tool_calls among {:?}",
            full.kinds()
        )));
    };
    let call = &calls.value["calls"][0];
    ensure_eq!(call["id"], "call_7", "id");
    ensure_eq!(call["name"], "now", "name");
    ensure_eq!(call["arguments"], json!({"zone": "UTC"}), "arguments");
    ensure_eq!(full.ending()["finishReason"], "tool_calls", "finishReason");
    Ok(())
}

pub(crate) async fn ids_of_server_sent_events_are_lsn_and_tag(server: HttpFixture) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 3, "delayMs": 0}))
        .await?;
    // The decoder checks the grammar: `retry`, then `id` and `data`, no `event`.
    let full = server
        .read_to_end(TestRequest::get(&id).accept(SSE))
        .await?;
    for event in &full.events {
        let tag = event.cursor.split_once('.').map(|(_, tag)| tag);
        let short = tag.is_some_and(|tag| (1..=16).contains(&tag.len()));
        ensure!(short, "the id {:?} has no short tag", event.cursor);
    }
    Ok(())
}
