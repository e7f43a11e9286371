use std::time::Duration;

use http::header;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    http::{
        fixture::{HttpFixture, new_id},
        request::TestRequest,
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

async fn page(server: &HttpFixture, id: &str, query: &str) -> Result<Value, CaseStop> {
    let request = TestRequest::get(id).query(query).accept("application/json");
    server.expect(request, 200).await?.document().await
}

fn lsns(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().map_or(&[][..], Vec::as_slice);
    events
        .iter()
        .filter_map(|event| event["lsn"].as_u64())
        .collect()
}

pub(crate) async fn a_page_has_the_events_of_the_stream(server: HttpFixture) -> CaseResult {
    let script = json!({"text": "a page", "thinking": "hm", "delayMs": 0});
    let (id, full) = server.run_to_end(&script).await?;
    let page = page(&server, &id, "after=0").await?;
    let events: Vec<Value> = full
        .log()
        .into_iter()
        .map(|(lsn, event)| json!({"lsn": lsn, "event": event}))
        .collect();
    ensure_eq!(page["events"], Value::Array(events), "the events");
    ensure_eq!(page["next"], full.events.len(), "next");
    ensure_eq!(page["tail"], full.events.len(), "tail");
    ensure_eq!(page["status"], "complete", "status");
    Ok(())
}

pub(crate) async fn a_malformed_limit_or_wait_is_refused(server: HttpFixture) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 1, "delayMs": 0}))
        .await?;
    for query in [
        "limit=many",
        "limit=-1",
        "limit=1.5",
        "wait=soon",
        "wait=-1",
    ] {
        let request = TestRequest::get(&id)
            .query(query)
            .accept("application/json");
        server
            .expect_problem(request, 400, "malformed-parameter")
            .await?;
    }
    Ok(())
}

pub(crate) async fn documents_are_not_cached(server: HttpFixture) -> CaseResult {
    let script = json!({"tokens": 1, "delayMs": 0});
    let json = "application/json";
    let started = server
        .send(TestRequest::script(&script).accept(json))
        .await?;
    let started = started.expect(201).await?;
    let id = started.id()?;
    let page = server.send(TestRequest::get(&id).accept(json)).await?;
    let absent = server.send(TestRequest::get(&new_id())).await?;
    for (what, answer) in [("201", started), ("a page", page), ("a refusal", absent)] {
        let control = answer.header(header::CACHE_CONTROL)?;
        ensure!(
            control.contains("no-store"),
            "Cache-Control of {what} is {control}"
        );
        let sniff = answer.header(header::X_CONTENT_TYPE_OPTIONS)?;
        ensure_eq!(sniff, "nosniff", "X-Content-Type-Options");
    }
    Ok(())
}

pub(crate) async fn pages_together_have_every_event_once(server: HttpFixture) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 8, "delayMs": 0}))
        .await?;
    let (mut after, mut all) = (0, Vec::<u64>::new());
    while after < 10 {
        let page = page(&server, &id, &format!("limit=3&after={after}")).await?;
        let lsns = lsns(&page);
        ensure!(
            (1..=3).contains(&lsns.len()),
            "a page of three has {lsns:?}"
        );
        ensure_eq!(lsns[0], after + 1, "where a page begins");
        all.extend(&lsns);
        after = page["next"].as_u64().unwrap_or_default();
        ensure_eq!(Some(&after), lsns.last(), "next");
        ensure_eq!(page["tail"], 10, "tail");
    }
    ensure_eq!(all, (1..=10).collect::<Vec<u64>>(), "the LSNs of all pages");
    let end = page(&server, &id, "after=10").await?;
    ensure_eq!(lsns(&end), [0; 0], "the page after the end");
    ensure_eq!(end["next"], 10, "next of the page after the end");
    Ok(())
}

pub(crate) async fn a_page_waits_for_the_first_new_event(server: HttpFixture) -> CaseResult {
    let id = new_id();
    let script = json!({"tokens": 3, "delayMs": 400});
    let request = TestRequest::script(&script)
        .session_id(&id)
        .accept("application/json");
    server.expect(request, 201).await?;
    let first = page(&server, &id, "after=0&wait=20").await?;
    ensure_eq!(lsns(&first), [1], "the page that comes first");
    let none = page(&server, &id, "after=1").await?;
    if lsns(&none).is_empty() {
        ensure_eq!(none["next"], 1, "next of an empty page");
        ensure_eq!(none["status"], "streaming", "status of an empty page");
    }
    let begun = Instant::now();
    let second = page(&server, &id, "after=1&wait=20").await?;
    ensure!(
        !lsns(&second).is_empty(),
        "a page came back empty that should wait"
    );
    ensure!(
        begun.elapsed() < Duration::from_secs(8),
        "the page waits past the event"
    );
    Ok(())
}

pub(crate) async fn a_page_of_an_ended_session_does_not_wait(server: HttpFixture) -> CaseResult {
    let (id, full) = server
        .run_to_end(&json!({"tokens": 1, "delayMs": 0}))
        .await?;
    let begun = Instant::now();
    let end = page(
        &server,
        &id,
        &format!("after={}&wait=20", full.events.len()),
    )
    .await?;
    ensure_eq!(lsns(&end), [0; 0], "events after the end");
    ensure!(
        begun.elapsed() < Duration::from_secs(5),
        "it waited for what can't come"
    );
    Ok(())
}

pub(crate) async fn a_page_without_new_events_is_empty_after_its_wait(
    server: HttpFixture,
) -> CaseResult {
    let id = new_id();
    let script = json!({"tokens": 1, "fault": {"at": 0, "kind": "hang"}});
    let request = TestRequest::script(&script)
        .session_id(&id)
        .accept("application/json");
    server.expect(request, 201).await?;
    page(&server, &id, "after=0&wait=20").await?;
    let begun = Instant::now();
    let empty = page(&server, &id, "after=1&wait=1").await?;
    let waited = begun.elapsed();
    ensure_eq!(lsns(&empty), [0; 0], "events of a silent session");
    ensure!(
        waited >= Duration::from_millis(900),
        "it came back after {waited:?}, not 1 s"
    );
    server.expect(TestRequest::abort(&id), 202).await?;
    Ok(())
}
