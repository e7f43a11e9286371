use std::time::Duration;

use http::header;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    http::{
        fixture::{HttpFixture, fresh},
        request::TestRequest,
    },
    report::{CaseStop, ensure, ensure_eq},
};

async fn page(bed: &HttpFixture, id: &str, query: &str) -> Result<Value, CaseStop> {
    let call = TestRequest::get(id).query(query).accept("application/json");
    bed.send(call).await?.expect(200).await?.document().await
}

fn lsns(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().map_or(&[][..], Vec::as_slice);
    events
        .iter()
        .filter_map(|event| event["lsn"].as_u64())
        .collect()
}

pub(in crate::http) async fn a_page_has_what_the_stream_has(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let script = json!({"text": "a page", "thinking": "hm", "delayMs": 0});
    let (id, whole) = bed.finished(&script).await?;
    let page = page(&bed, &id, "after=0").await?;
    let events: Vec<Value> = whole
        .log()
        .into_iter()
        .map(|(lsn, event)| json!({"lsn": lsn, "event": event}))
        .collect();
    ensure_eq!(page["events"], Value::Array(events), "the events");
    ensure_eq!(page["next"], whole.events.len(), "next");
    ensure_eq!(page["tail"], whole.events.len(), "tail");
    ensure_eq!(page["status"], "complete", "status");
    Ok(())
}

pub(in crate::http) async fn what_is_no_number_is_refused(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, _) = bed.finished(&json!({"tokens": 1, "delayMs": 0})).await?;
    for query in [
        "limit=many",
        "limit=-1",
        "limit=1.5",
        "wait=soon",
        "wait=-1",
    ] {
        let call = TestRequest::get(&id)
            .query(query)
            .accept("application/json");
        bed.send(call)
            .await?
            .refused(400, "malformed-parameter")
            .await?;
    }
    Ok(())
}

pub(in crate::http) async fn no_document_is_kept_on_the_way(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let script = json!({"tokens": 1, "delayMs": 0});
    let json = "application/json";
    let started = bed.send(TestRequest::script(&script).accept(json)).await?;
    let started = started.expect(201).await?;
    let id = started.id()?;
    let page = bed.send(TestRequest::get(&id).accept(json)).await?;
    let absent = bed.send(TestRequest::get(&fresh())).await?;
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

pub(in crate::http) async fn pages_follow_one_another_to_the_end(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, _) = bed.finished(&json!({"tokens": 8, "delayMs": 0})).await?;
    let (mut after, mut all) = (0, Vec::<u64>::new());
    while after < 10 {
        let page = page(&bed, &id, &format!("limit=3&after={after}")).await?;
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
    let end = page(&bed, &id, "after=10").await?;
    ensure_eq!(lsns(&end), [0; 0], "the page after the end");
    ensure_eq!(end["next"], 10, "next of the page after the end");
    Ok(())
}

pub(in crate::http) async fn a_page_waits_for_the_first_new_event(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let id = fresh();
    let script = json!({"tokens": 3, "delayMs": 400});
    let call = TestRequest::script(&script)
        .under(&id)
        .accept("application/json");
    bed.send(call).await?.expect(201).await?;
    let first = page(&bed, &id, "after=0&wait=20").await?;
    ensure_eq!(lsns(&first), [1], "the page that comes first");
    let none = page(&bed, &id, "after=1").await?;
    if lsns(&none).is_empty() {
        ensure_eq!(none["next"], 1, "next of an empty page");
        ensure_eq!(none["status"], "streaming", "status of an empty page");
    }
    let begun = Instant::now();
    let second = page(&bed, &id, "after=1&wait=20").await?;
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

pub(in crate::http) async fn a_page_of_an_ended_session_waits_for_nothing(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, whole) = bed.finished(&json!({"tokens": 1, "delayMs": 0})).await?;
    let begun = Instant::now();
    let end = page(&bed, &id, &format!("after={}&wait=20", whole.events.len())).await?;
    ensure_eq!(lsns(&end), [0; 0], "events after the end");
    ensure!(
        begun.elapsed() < Duration::from_secs(5),
        "it waited for what can't come"
    );
    Ok(())
}

pub(in crate::http) async fn a_wait_that_is_over_comes_back_empty(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let id = fresh();
    let script = json!({"tokens": 1, "fault": {"at": 0, "kind": "hang"}});
    let call = TestRequest::script(&script)
        .under(&id)
        .accept("application/json");
    bed.send(call).await?.expect(201).await?;
    page(&bed, &id, "after=0&wait=20").await?;
    let begun = Instant::now();
    let empty = page(&bed, &id, "after=1&wait=1").await?;
    let waited = begun.elapsed();
    ensure_eq!(lsns(&empty), [0; 0], "events of a silent session");
    ensure!(
        waited >= Duration::from_millis(900),
        "it came back after {waited:?}, not 1 s"
    );
    bed.send(TestRequest::abort(&id)).await?.expect(202).await?;
    Ok(())
}
