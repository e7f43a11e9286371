use http::header;
use serde_json::{Value, json};

use crate::{
    http::{
        decode::ReceivedEvent,
        fixture::{HttpFixture, eventually, fresh},
        request::{TestRequest, following},
    },
    report::{CaseStop, ensure, ensure_eq},
};

/// An answer that goes on until somebody stops it.
fn endless(name: &str) -> Value {
    json!({"tokens": 100_000, "delayMs": 10, "tally": name})
}

async fn stopped(bed: &HttpFixture, name: &str) -> Result<(), CaseStop> {
    eventually!(
        bed.tally(name).await?.running == 0,
        "the provider's stream is dropped"
    );
    Ok(())
}

pub(in crate::http) async fn abort_stops_the_session_for_everyone(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, name) = (fresh(), fresh());
    let mut starter = bed
        .send(TestRequest::script(&endless(&name)).under(&id))
        .await?
        .expect(200)
        .await?;
    let mut reader = bed
        .send(TestRequest::get(&id).accept("text/event-stream"))
        .await?
        .expect(200)
        .await?;
    let (mut one, mut two) = (starter.events(4).await?, reader.events(4).await?);
    let stop = bed
        .send(TestRequest::abort(&id))
        .await?
        .expect(202)
        .await?
        .document()
        .await?;
    ensure_eq!(stop["id"], id, "whose abort is confirmed");
    one.extend(starter.stopped().await?.events);
    two.extend(reader.stopped().await?.events);
    let content = |events: &[ReceivedEvent]| -> Vec<(u64, Value)> {
        events.iter().map(|it| (it.lsn, it.value.clone())).collect()
    };
    ensure_eq!(content(&one), content(&two), "what both readers got");
    ensure_eq!(
        one.last().map(ReceivedEvent::kind),
        Some("aborted"),
        "the ending"
    );
    stopped(&bed, &name).await?;
    let again = bed
        .send(TestRequest::abort(&id))
        .await?
        .expect(200)
        .await?
        .document()
        .await?;
    ensure_eq!(
        again["status"],
        "aborted",
        "status when it is aborted again"
    );
    let replay = bed.whole(TestRequest::get(&id)).await?;
    ensure_eq!(replay.events.len(), one.len(), "events of the replay");
    Ok(())
}

pub(in crate::http) async fn abort_stops_a_provider_that_hangs(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, name) = (fresh(), fresh());
    let silent = json!({"tokens": 1, "tally": name, "fault": {"at": 0, "kind": "hang"}});
    let answer = bed
        .send(TestRequest::script(&silent).under(&id))
        .await?
        .expect(200)
        .await?;
    eventually!(bed.tally(&name).await?.calls == 1, "the provider is called");
    bed.send(TestRequest::abort(&id)).await?.expect(202).await?;
    let whole = answer.whole().await?;
    ensure_eq!(whole.kinds(), ["session_info", "aborted"], "the events");
    stopped(&bed, &name).await
}

pub(in crate::http) async fn abort_changes_nothing_of_what_has_ended(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, whole) = bed.finished(&json!({"tokens": 2, "delayMs": 0})).await?;
    for _ in 0..2 {
        let answer = bed.send(TestRequest::abort(&id)).await?.expect(200).await?;
        ensure_eq!(answer.document().await?["status"], "complete", "status");
    }
    ensure_eq!(
        bed.whole(TestRequest::get(&id)).await?.raw,
        whole.raw,
        "the replay"
    );
    Ok(())
}

pub(in crate::http) async fn what_is_deleted_is_stopped_and_gone(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, name) = (fresh(), fresh());
    let start = || TestRequest::script(&endless(&name)).under(&id);
    let mut reader = bed.send(start()).await?.expect(200).await?;
    reader.events(3).await?;
    bed.send(TestRequest::delete(&id)).await?.empty(204).await?;
    let ending = reader.stopped().await?;
    ensure_eq!(
        ending.ending()["type"],
        "aborted",
        "what its reader got at the end"
    );
    stopped(&bed, &name).await?;
    for call in [
        TestRequest::get(&id),
        TestRequest::get(&id).accept("application/json"),
        TestRequest::abort(&id),
        start(),
        TestRequest::start(&following(&json!({"text": "another"}))).under(&id),
    ] {
        bed.send(call).await?.refused(410, "gone").await?;
    }
    bed.send(TestRequest::delete(&id)).await?.empty(204).await?;
    ensure_eq!(bed.tally(&name).await?.calls, 1, "calls of the provider");
    Ok(())
}

pub(in crate::http) async fn what_has_ended_can_be_deleted(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, _) = bed.finished(&json!({"tokens": 2, "delayMs": 0})).await?;
    bed.send(TestRequest::delete(&id)).await?.empty(204).await?;
    bed.send(TestRequest::get(&id))
        .await?
        .refused(410, "gone")
        .await?;
    Ok(())
}

pub(in crate::http) async fn what_is_not_there_is_not_found(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let id = fresh();
    for call in [
        TestRequest::get(&id),
        TestRequest::get(&id).accept("text/event-stream").after(1),
        TestRequest::get(&id).accept("application/json"),
        TestRequest::abort(&id),
        TestRequest::delete(&id),
    ] {
        bed.send(call).await?.refused(404, "not-found").await?;
    }
    for path in [
        format!("/{id}/other"),
        format!("/{id}/abort/now"),
        format!("/a/{id}"),
    ] {
        bed.send(TestRequest::new("GET", path))
            .await?
            .refused(404, "no-such-route")
            .await?;
    }
    Ok(())
}

pub(in crate::http) async fn options_say_what_may_be_asked(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let id = fresh();
    for (path, methods) in [
        (String::new(), "GET, HEAD, POST, OPTIONS"),
        (format!("/{id}"), "GET, HEAD, DELETE, OPTIONS"),
        (format!("/{id}/abort"), "POST, OPTIONS"),
        (format!("/{id}/inputs/a"), "POST, OPTIONS"),
    ] {
        let head = bed
            .send(TestRequest::new("OPTIONS", path))
            .await?
            .empty(204)
            .await?;
        let allow = head
            .headers
            .get(header::ALLOW)
            .and_then(|it| it.to_str().ok());
        ensure_eq!(sorted(allow.unwrap_or_default()), sorted(methods), "Allow");
    }
    Ok(())
}

pub(in crate::http) async fn a_method_that_is_not_there_is_405_with_allow(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let id = fresh();
    for (method, path, allowed) in [
        ("PUT", String::new(), "POST"),
        ("DELETE", String::new(), "POST"),
        ("PATCH", format!("/{id}"), "DELETE"),
        ("POST", format!("/{id}"), "DELETE"),
        ("GET", format!("/{id}/abort"), "POST"),
    ] {
        let answer = bed.send(TestRequest::new(method, path)).await?;
        let allow = answer.header(header::ALLOW).map(str::to_owned);
        answer.refused(405, "method-not-allowed").await?;
        let allow = allow?;
        ensure!(
            allow.contains(allowed) && !allow.contains(method),
            "Allow of a refused {method} is {allow}"
        );
    }
    Ok(())
}

fn sorted(list: &str) -> Vec<&str> {
    let mut list: Vec<_> = list.split(',').map(str::trim).collect();
    list.sort_unstable();
    list
}

pub(in crate::http) async fn without_owners_nothing_is_listed(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    if bed.target.stranger.is_some() {
        return Err(CaseStop::NotApplicable(
            "this server's policy has owners".into(),
        ));
    }
    bed.send(TestRequest::new("GET", ""))
        .await?
        .refused(403, "forbidden")
        .await?;
    Ok(())
}

pub(in crate::http) async fn a_list_has_the_callers_own_newest_first(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    if bed.target.stranger.is_none() {
        return Err(CaseStop::NotApplicable(
            "the suite was told of no second caller".into(),
        ));
    }
    let (chat, other) = (fresh(), fresh());
    let start = |id: &str, chat: &str, script: &Value| {
        let mut body = following(script);
        body["chatId"] = json!(chat);
        TestRequest::start(&body).under(id)
    };
    let done = json!({"tokens": 1, "delayMs": 0});
    let silent = json!({"tokens": 1, "fault": {"at": 0, "kind": "hang"}});
    let ids: Vec<String> = std::iter::repeat_with(fresh).take(4).collect();
    bed.whole(start(&ids[0], &chat, &done)).await?;
    bed.whole(start(&ids[1], &other, &done)).await?;
    bed.whole(start(&fresh(), &chat, &done).by_stranger())
        .await?;
    bed.whole(start(&ids[2], &chat, &done)).await?;
    bed.send(start(&ids[3], &chat, &silent))
        .await?
        .expect(200)
        .await?;
    // A list may lag.
    let all = [&*ids[3], &*ids[2], &*ids[0]];
    eventually!(
        listed(&list(&bed, &format!("chat={chat}")).await?) == all,
        "the list has the caller's sessions of the chat, newest first"
    );
    let streaming = list(&bed, &format!("chat={chat}&status=streaming")).await?;
    ensure_eq!(listed(&streaming), all[..1], "what is streaming");
    let complete = list(&bed, &format!("chat={chat}&status=complete")).await?;
    ensure_eq!(listed(&complete), all[1..], "what is complete");
    let first = list(&bed, &format!("chat={chat}&limit=2")).await?;
    ensure_eq!(listed(&first), all[..2], "the first page of two");
    let next = first["next"].as_str().unwrap_or_default().to_owned();
    let rest = list(&bed, &format!("chat={chat}&limit=2&after={next}")).await?;
    ensure_eq!(listed(&rest), all[2..], "the second page");
    ensure!(rest["next"].is_null(), "the last page has a next");
    let call = TestRequest::new("GET", "").query("status=asleep");
    bed.send(call)
        .await?
        .refused(400, "malformed-parameter")
        .await?;
    bed.send(TestRequest::abort(&ids[3]))
        .await?
        .expect(202)
        .await?;
    Ok(())
}

async fn list(bed: &HttpFixture, query: &str) -> Result<Value, CaseStop> {
    let call = TestRequest::new("GET", "").query(query);
    bed.send(call).await?.expect(200).await?.document().await
}

fn listed(page: &Value) -> Vec<&str> {
    let sessions = page["sessions"].as_array().map_or(&[][..], Vec::as_slice);
    sessions.iter().filter_map(|it| it["id"].as_str()).collect()
}
