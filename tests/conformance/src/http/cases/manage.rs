use http::header;
use serde_json::{Value, json};

use crate::{
    http::{
        decode::ReceivedEvent,
        fixture::{HttpFixture, eventually, new_id},
        request::{TestRequest, chat_body},
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

/// A script that ends with an abort only.
fn endless(name: &str) -> Value {
    json!({"tokens": 100_000, "delayMs": 10, "tally": name})
}

async fn wait_until_dropped(server: &HttpFixture, name: &str) -> CaseResult {
    eventually!(
        server.provider_counts(name).await?.running == 0,
        "the provider's stream is dropped"
    );
    Ok(())
}

pub(crate) async fn abort_ends_the_session_for_every_reader(server: HttpFixture) -> CaseResult {
    let (id, name) = (new_id(), new_id());
    let mut starter = server
        .expect(TestRequest::script(&endless(&name)).session_id(&id), 200)
        .await?;
    let mut reader = server
        .expect(TestRequest::get(&id).accept("text/event-stream"), 200)
        .await?;
    let (mut one, mut two) = (starter.events(4).await?, reader.events(4).await?);
    let stop = server
        .expect(TestRequest::abort(&id), 202)
        .await?
        .document()
        .await?;
    ensure_eq!(stop["id"], id, "whose abort is confirmed");
    one.extend(starter.read_aborted().await?.events);
    two.extend(reader.read_aborted().await?.events);
    let content = |events: &[ReceivedEvent]| -> Vec<(u64, Value)> {
        events.iter().map(|it| (it.lsn, it.value.clone())).collect()
    };
    ensure_eq!(content(&one), content(&two), "what both readers got");
    ensure_eq!(
        one.last().map(ReceivedEvent::kind),
        Some("aborted"),
        "the ending"
    );
    wait_until_dropped(&server, &name).await?;
    let again = server
        .expect(TestRequest::abort(&id), 200)
        .await?
        .document()
        .await?;
    ensure_eq!(
        again["status"],
        "aborted",
        "status when it is aborted again"
    );
    let replay = server.read_to_end(TestRequest::get(&id)).await?;
    ensure_eq!(replay.events.len(), one.len(), "events of the replay");
    Ok(())
}

pub(crate) async fn abort_stops_a_provider_that_hangs(server: HttpFixture) -> CaseResult {
    let (id, name) = (new_id(), new_id());
    let silent = json!({"tokens": 1, "tally": name, "fault": {"at": 0, "kind": "hang"}});
    let answer = server
        .expect(TestRequest::script(&silent).session_id(&id), 200)
        .await?;
    eventually!(
        server.provider_counts(&name).await?.calls == 1,
        "the provider is called"
    );
    server.expect(TestRequest::abort(&id), 202).await?;
    let full = answer.read_to_end().await?;
    ensure_eq!(full.kinds(), ["session_info", "aborted"], "the events");
    wait_until_dropped(&server, &name).await
}

pub(crate) async fn abort_of_an_ended_session_changes_nothing(server: HttpFixture) -> CaseResult {
    let (id, full) = server
        .run_to_end(&json!({"tokens": 2, "delayMs": 0}))
        .await?;
    for _ in 0..2 {
        let answer = server.expect(TestRequest::abort(&id), 200).await?;
        ensure_eq!(answer.document().await?["status"], "complete", "status");
    }
    ensure_eq!(
        server.read_to_end(TestRequest::get(&id)).await?.raw,
        full.raw,
        "the replay"
    );
    Ok(())
}

pub(crate) async fn a_deleted_session_is_stopped_and_gone(server: HttpFixture) -> CaseResult {
    let (id, name) = (new_id(), new_id());
    let start = || TestRequest::script(&endless(&name)).session_id(&id);
    let mut reader = server.expect(start(), 200).await?;
    reader.events(3).await?;
    server.expect_empty(TestRequest::delete(&id), 204).await?;
    let ending = reader.read_aborted().await?;
    ensure_eq!(
        ending.ending()["type"],
        "aborted",
        "what its reader got at the end"
    );
    wait_until_dropped(&server, &name).await?;
    for request in [
        TestRequest::get(&id),
        TestRequest::get(&id).accept("application/json"),
        TestRequest::abort(&id),
        start(),
        TestRequest::start(&chat_body(&json!({"text": "another"}))).session_id(&id),
    ] {
        server.expect_problem(request, 410, "gone").await?;
    }
    server.expect_empty(TestRequest::delete(&id), 204).await?;
    ensure_eq!(
        server.provider_counts(&name).await?.calls,
        1,
        "calls of the provider"
    );
    Ok(())
}

pub(crate) async fn an_ended_session_can_be_deleted(server: HttpFixture) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 2, "delayMs": 0}))
        .await?;
    server.expect_empty(TestRequest::delete(&id), 204).await?;
    server
        .expect_problem(TestRequest::get(&id), 410, "gone")
        .await?;
    Ok(())
}

pub(crate) async fn an_absent_session_is_404(server: HttpFixture) -> CaseResult {
    let id = new_id();
    for request in [
        TestRequest::get(&id),
        TestRequest::get(&id).accept("text/event-stream").after(1),
        TestRequest::get(&id).accept("application/json"),
        TestRequest::abort(&id),
        TestRequest::delete(&id),
    ] {
        server.expect_problem(request, 404, "not-found").await?;
    }
    for path in [
        format!("/{id}/other"),
        format!("/{id}/abort/now"),
        format!("/a/{id}"),
    ] {
        server
            .expect_problem(TestRequest::new("GET", path), 404, "no-such-route")
            .await?;
    }
    Ok(())
}

pub(crate) async fn options_lists_the_allowed_methods(server: HttpFixture) -> CaseResult {
    let id = new_id();
    for (path, methods) in [
        (String::new(), "GET, HEAD, POST, OPTIONS"),
        (format!("/{id}"), "GET, HEAD, DELETE, OPTIONS"),
        (format!("/{id}/abort"), "POST, OPTIONS"),
        (format!("/{id}/inputs/a"), "POST, OPTIONS"),
    ] {
        let head = server
            .expect_empty(TestRequest::new("OPTIONS", path), 204)
            .await?;
        let allow = head
            .headers
            .get(header::ALLOW)
            .and_then(|it| it.to_str().ok());
        ensure_eq!(sorted(allow.unwrap_or_default()), sorted(methods), "Allow");
    }
    Ok(())
}

pub(crate) async fn an_unsupported_method_is_405_with_allow(server: HttpFixture) -> CaseResult {
    let id = new_id();
    for (method, path, allowed) in [
        ("PUT", String::new(), "POST"),
        ("DELETE", String::new(), "POST"),
        ("PATCH", format!("/{id}"), "DELETE"),
        ("POST", format!("/{id}"), "DELETE"),
        ("GET", format!("/{id}/abort"), "POST"),
    ] {
        let answer = server.send(TestRequest::new(method, path)).await?;
        let allow = answer.header(header::ALLOW).map(str::to_owned);
        answer.expect_problem(405, "method-not-allowed").await?;
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

pub(crate) async fn a_list_without_owners_is_403(server: HttpFixture) -> CaseResult {
    if server.target.stranger.is_some() {
        return Err(CaseStop::NotApplicable(
            "this server's policy has owners".into(),
        ));
    }
    server
        .expect_problem(TestRequest::new("GET", ""), 403, "forbidden")
        .await?;
    Ok(())
}

pub(crate) async fn a_list_has_the_callers_sessions_newest_first(
    server: HttpFixture,
) -> CaseResult {
    if server.target.stranger.is_none() {
        return Err(CaseStop::NotApplicable(
            "the target describes no second caller".into(),
        ));
    }
    let (chat, other) = (new_id(), new_id());
    let start = |id: &str, chat: &str, script: &Value| {
        let mut body = chat_body(script);
        body["chatId"] = json!(chat);
        TestRequest::start(&body).session_id(id)
    };
    let done = json!({"tokens": 1, "delayMs": 0});
    let silent = json!({"tokens": 1, "fault": {"at": 0, "kind": "hang"}});
    let ids: Vec<String> = std::iter::repeat_with(new_id).take(4).collect();
    server.read_to_end(start(&ids[0], &chat, &done)).await?;
    server.read_to_end(start(&ids[1], &other, &done)).await?;
    server
        .read_to_end(start(&new_id(), &chat, &done).by_stranger())
        .await?;
    server.read_to_end(start(&ids[2], &chat, &done)).await?;
    server.expect(start(&ids[3], &chat, &silent), 200).await?;
    // Lists may lag behind.
    let all = [&*ids[3], &*ids[2], &*ids[0]];
    eventually!(
        listed(&list(&server, &format!("chat={chat}")).await?) == all,
        "the list has the caller's sessions of the chat, newest first"
    );
    let streaming = list(&server, &format!("chat={chat}&status=streaming")).await?;
    ensure_eq!(listed(&streaming), all[..1], "what is streaming");
    let complete = list(&server, &format!("chat={chat}&status=complete")).await?;
    ensure_eq!(listed(&complete), all[1..], "what is complete");
    let first = list(&server, &format!("chat={chat}&limit=2")).await?;
    ensure_eq!(listed(&first), all[..2], "the first page of two");
    let next = first["next"].as_str().unwrap_or_default().to_owned();
    let rest = list(&server, &format!("chat={chat}&limit=2&after={next}")).await?;
    ensure_eq!(listed(&rest), all[2..], "the second page");
    ensure!(rest["next"].is_null(), "the last page has a next");
    let request = TestRequest::new("GET", "").query("status=asleep");
    server
        .expect_problem(request, 400, "malformed-parameter")
        .await?;
    server.expect(TestRequest::abort(&ids[3]), 202).await?;
    Ok(())
}

async fn list(server: &HttpFixture, query: &str) -> Result<Value, CaseStop> {
    let request = TestRequest::new("GET", "").query(query);
    server.expect(request, 200).await?.document().await
}

fn listed(page: &Value) -> Vec<&str> {
    let sessions = page["sessions"].as_array().map_or(&[][..], Vec::as_slice);
    sessions.iter().filter_map(|it| it["id"].as_str()).collect()
}
