use std::{collections::HashSet, time::Duration};

use http::header;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    http::{
        fixture::{HttpFixture, new_id},
        request::{TestRequest, chat_body},
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};
use unbroken::headers::{ACCEL_BUFFERING, LAST_LSN, SESSION_ID, SESSION_STATUS, SESSION_TAIL};

/// The time within which a head comes that waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(3);

pub(crate) async fn an_answer_is_a_stream_of_events_from_lsn_1(server: HttpFixture) -> CaseResult {
    let script = json!({"thinking": "Hm well", "text": "Yes and no", "delayMs": 1});
    let full = server.read_to_end(TestRequest::script(&script)).await?;
    let kinds = full.kinds();
    let said = [
        "session_info",
        "thinking",
        "thinking",
        "text",
        "text",
        "text",
        "complete",
    ];
    ensure_eq!(kinds, said, "the events");
    ensure_eq!(full.text(), "Yes and no", "the text");
    Ok(())
}

pub(crate) async fn earlier_messages_reach_the_provider(server: HttpFixture) -> CaseResult {
    // The results of a round are those after the assistant's message with its calls.
    let request = json!({"id": "call_1", "name": "clock", "arguments": {}});
    let body = json!({
        "messages": [
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": "Let me see.", "tool_calls": [request]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Half past nine."},
            {"role": "user", "content": "Again, please."},
        ],
        "script": {"results": true, "delayMs": 0},
    });
    let full = server.read_to_end(TestRequest::start(&body)).await?;
    ensure_eq!(full.text(), "Half past nine.", "what the tool gave");
    Ok(())
}

pub(crate) async fn session_info_lists_the_capabilities(server: HttpFixture) -> CaseResult {
    let mut answer = server
        .expect(TestRequest::script(&json!({"tokens": 1})), 200)
        .await?;
    let info = answer.event().await?.value;
    let can = &info["capabilities"];
    ensure_eq!(info["type"], "session_info", "the first event");
    ensure!(
        can["thinking"].is_boolean() && can["streaming"].is_boolean() && can["tools"].is_array(),
        "capabilities are thinking, streaming and tools, not {can}"
    );
    ensure!(info.get("persona").is_some(), "session_info has no persona");
    Ok(())
}

pub(crate) async fn the_head_and_session_info_come_while_the_provider_is_silent(
    server: HttpFixture,
) -> CaseResult {
    let silent = json!({"tokens": 1, "fault": {"at": 0, "kind": "hang"}});
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let request = TestRequest::script(&silent).accept(accept);
        let mut answer = server
            .send_within(request, AT_ONCE)
            .await?
            .expect(200)
            .await?;
        let id = answer.id()?;
        let first = tokio::time::timeout(AT_ONCE, answer.event()).await;
        let first = first.map_err(|_| CaseStop::Failed("the first event waits".to_owned()))??;
        ensure_eq!(first.kind(), "session_info", "the first event");
        let mut reader = server
            .send_within(TestRequest::get(&id), AT_ONCE)
            .await?
            .expect(200)
            .await?;
        ensure_eq!(
            reader.event().await?.lsn,
            1,
            "what another reader gets first"
        );
        server.expect(TestRequest::abort(&id), 202).await?;
    }
    let request = TestRequest::script(&silent).accept("application/json");
    let answer = server
        .send_within(request, AT_ONCE)
        .await?
        .expect(201)
        .await?;
    let id = answer.id()?;
    server.expect(TestRequest::abort(&id), 202).await?;
    Ok(())
}

pub(crate) async fn the_head_has_the_session_id_status_and_tail(server: HttpFixture) -> CaseResult {
    let running = json!({"tokens": 5, "delayMs": 1});
    let started = server.expect(TestRequest::script(&running), 200).await?;
    let id = started.id()?;
    ensure_eq!(
        started.header(SESSION_STATUS)?,
        "streaming",
        "status at the start"
    );
    let tail = started.header(SESSION_TAIL)?.parse::<u64>();
    ensure!(tail.is_ok(), "X-Session-Tail is no number: {tail:?}");
    started.read_to_end().await?;
    let ended = server.expect(TestRequest::get(&id), 200).await?;
    ensure_eq!(ended.id()?, id, "X-Session-Id of a reader");
    ensure_eq!(
        ended.header(SESSION_STATUS)?,
        "complete",
        "status at the end"
    );
    ensure_eq!(ended.header(SESSION_TAIL)?, "7", "tail at the end");
    Ok(())
}

pub(crate) async fn the_head_forbids_caching_and_transforming(server: HttpFixture) -> CaseResult {
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let script = json!({"text": "a ".repeat(200), "delayMs": 0});
        let request = TestRequest::script(&script)
            .accept(accept)
            .header(header::ACCEPT_ENCODING, "gzip, deflate, br, zstd");
        let answer = server.expect(request, 200).await?;
        ensure_eq!(answer.header(header::CONTENT_TYPE)?, accept, "content type");
        let cache = answer.header(header::CACHE_CONTROL)?;
        ensure_eq!(cache, "no-store, no-transform", "Cache-Control");
        let sniff = answer.header(header::X_CONTENT_TYPE_OPTIONS)?;
        ensure_eq!(sniff, "nosniff", "X-Content-Type-Options");
        let vary = answer.head.headers.get_all(header::VARY).iter();
        let vary: Vec<_> = vary.filter_map(|names| names.to_str().ok()).collect();
        let mut listed = vary.iter().flat_map(|names| names.split(','));
        let accept = listed.any(|name| name.trim().eq_ignore_ascii_case("accept"));
        ensure!(accept, "Vary doesn't name Accept: {vary:?}");
        for without in [header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
            ensure!(
                answer.optional(&without).is_none(),
                "a stream has the header `{without}`"
            );
        }
        answer.read_to_end().await?;
    }
    Ok(())
}

/// Apart from the other headers, since nginx consumes this one.
pub(crate) async fn the_head_tells_proxies_not_to_buffer(server: HttpFixture) -> CaseResult {
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let request = TestRequest::script(&json!({"tokens": 1, "delayMs": 0})).accept(accept);
        let answer = server.expect(request, 200).await?;
        ensure_eq!(answer.header(ACCEL_BUFFERING)?, "no", "X-Accel-Buffering");
    }
    Ok(())
}

pub(crate) async fn the_head_has_the_location_of_the_session(server: HttpFixture) -> CaseResult {
    let script = json!({"tokens": 1, "delayMs": 0});
    let streamed = server.expect(TestRequest::script(&script), 200).await?;
    let id = streamed.id()?;
    let expected = format!("{}/{id}", server.target.path());
    let Some(location) = streamed.optional(&header::CONTENT_LOCATION) else {
        return Err(CaseStop::NotApplicable(
            "the service doesn't know where it is mounted".into(),
        ));
    };
    ensure_eq!(location, expected, "Content-Location");
    streamed.read_to_end().await?;
    let read = server.expect(TestRequest::get(&id), 200).await?;
    ensure_eq!(
        read.header(header::CONTENT_LOCATION)?,
        expected,
        "of a reader"
    );
    let request = TestRequest::script(&script).accept("application/json");
    let created = server.expect(request, 201).await?;
    let expected = format!("{}/{}", server.target.path(), created.id()?);
    ensure_eq!(
        created.header(header::LOCATION)?,
        expected,
        "Location of 201"
    );
    Ok(())
}

pub(crate) async fn ids_that_the_server_makes_are_random(server: HttpFixture) -> CaseResult {
    let mut ids = HashSet::new();
    for _ in 0..20 {
        let script = json!({"tokens": 0, "delayMs": 0});
        let id = server
            .expect(TestRequest::script(&script), 200)
            .await?
            .id()?;
        let valid = id.parse::<unbroken::log::SessionId>();
        ensure!(
            valid.is_ok(),
            "the id {id:?} is none that a client may send back"
        );
        ensure!(ids.insert(id), "an id was given twice");
    }
    // Random ids share no long prefix; counters do.
    let heads: HashSet<_> = ids.iter().filter_map(|id| id.get(..8)).collect();
    ensure_eq!(
        heads.len(),
        ids.len(),
        "ids that differ within eight characters"
    );
    Ok(())
}

pub(crate) async fn a_client_may_choose_the_id(server: HttpFixture) -> CaseResult {
    let script = json!({"text": "mine", "delayMs": 0});
    let unique = new_id();
    for id in [
        format!("{unique:0<22}")[..22].to_owned(),
        format!("{unique:A<128}"),
        format!("{unique}-Az09._~-"),
    ] {
        let answer = server
            .expect(TestRequest::script(&script).session_id(&id), 200)
            .await?;
        ensure_eq!(answer.id()?, id, "X-Session-Id");
        answer.read_to_end().await?;
        ensure_eq!(
            server.read_to_end(TestRequest::get(&id)).await?.text(),
            "mine",
            "the answer of {id}"
        );
    }
    Ok(())
}

pub(crate) async fn a_short_or_malformed_id_is_refused(server: HttpFixture) -> CaseResult {
    let script = json!({"tokens": 0, "delayMs": 0});
    let (short, long) = ("a".repeat(21), "a".repeat(129));
    let odd = [
        ".starts-with-a-dot-0123456789",
        "has-a-comma,0123456789abcdef",
    ];
    for id in [short.as_str(), long.as_str()].into_iter().chain(odd) {
        let by_header = TestRequest::script(&script).session_id(id);
        server
            .expect_problem(by_header, 400, "malformed-id")
            .await?;
        let by_query = TestRequest::script(&script).query(&format!("sessionId={id}"));
        server.expect_problem(by_query, 400, "malformed-id").await?;
        server
            .expect_problem(TestRequest::get(id), 400, "malformed-id")
            .await?;
    }
    Ok(())
}

pub(crate) async fn the_same_request_under_the_same_id_attaches(server: HttpFixture) -> CaseResult {
    let (id, name) = (new_id(), new_id());
    let script = json!({"tokens": 20, "delayMs": 15, "tally": name});
    let start = || TestRequest::script(&script).session_id(&id);
    let mut first = server.expect(start(), 200).await?;
    let mut begun = first.events(5).await?;
    let second = server.read_to_end(start()).await?;
    begun.extend(first.read_to_end().await?.events);
    ensure_eq!(begun, second.events, "what both got");
    let third = server.read_to_end(start()).await?;
    ensure_eq!(third.raw, second.raw, "what comes after the end");
    ensure_eq!(
        server.provider_counts(&name).await?.calls,
        1,
        "calls of the provider"
    );
    Ok(())
}

pub(crate) async fn of_racing_starts_one_calls_the_provider(server: HttpFixture) -> CaseResult {
    let (id, name) = (new_id(), new_id());
    let script = json!({"tokens": 5, "delayMs": 10, "tally": name});
    let mut racing = JoinSet::new();
    for _ in 0..16 {
        let (server, request) = (server.clone(), TestRequest::script(&script).session_id(&id));
        racing.spawn(async move { server.read_to_end(request).await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = racing.join_next().await {
        answers.push(answer.map_err(|error| CaseStop::Failed(error.to_string()))??);
    }
    for answer in &answers {
        ensure_eq!(answer.raw, answers[0].raw, "what two of them got");
    }
    ensure_eq!(
        server.provider_counts(&name).await?.calls,
        1,
        "calls of the provider"
    );
    Ok(())
}

pub(crate) async fn another_request_under_the_same_id_is_a_conflict(
    server: HttpFixture,
) -> CaseResult {
    let id = new_id();
    let start =
        |text: &str| TestRequest::script(&json!({"text": text, "delayMs": 20})).session_id(&id);
    let answer = server.expect(start("one two three four five"), 200).await?;
    server
        .expect_problem(start("another"), 409, "id-in-use")
        .await?;
    let text = answer.read_to_end().await?.text();
    ensure_eq!(text, "one two three four five", "the first answer");
    server
        .expect_problem(start("another"), 409, "id-in-use")
        .await?;
    Ok(())
}

pub(crate) async fn the_same_json_in_other_bytes_is_another_request(
    server: HttpFixture,
) -> CaseResult {
    let id = new_id();
    let body = chat_body(&json!({"tokens": 1, "delayMs": 0})).to_string();
    let start = |body: String| TestRequest::new("POST", "").json(body).session_id(&id);
    server.read_to_end(start(body.clone())).await?;
    server
        .expect_problem(start(body.replacen('{', "{ ", 1)), 409, "id-in-use")
        .await?;
    server.read_to_end(start(body)).await?;
    Ok(())
}

pub(crate) async fn a_post_with_a_cursor_reconnects_and_starts_nothing(
    server: HttpFixture,
) -> CaseResult {
    let name = new_id();
    let script = json!({"tokens": 6, "delayMs": 1, "tally": name});
    let (id, full) = server.run_to_end(&script).await?;
    for (lsn, at) in [(0, 0), (3, 3), (7, 7)] {
        // The body is ignored.
        let request = TestRequest::new("POST", "")
            .json("{")
            .session_id(&id)
            .after(lsn);
        let rest = server
            .expect(request, 200)
            .await?
            .continuing_after(lsn)
            .read_to_end()
            .await?;
        ensure_eq!(rest.events, full.events[at..], "what follows LSN {lsn}");
    }
    let at_end = TestRequest::start(&chat_body(&script))
        .session_id(&id)
        .after(8);
    server.expect_empty(at_end, 204).await?;
    let unknown = TestRequest::script(&script).session_id(&new_id()).after(0);
    server.expect_problem(unknown, 404, "not-found").await?;
    let nameless = TestRequest::script(&script).after(3);
    server.expect_problem(nameless, 400, "malformed-id").await?;
    ensure_eq!(
        server.provider_counts(&name).await?.calls,
        1,
        "calls of the provider"
    );
    Ok(())
}

pub(crate) async fn query_parameters_stand_in_for_headers_and_headers_win(
    server: HttpFixture,
) -> CaseResult {
    let script = json!({"tokens": 2, "delayMs": 0});
    let (by_query, by_header) = (new_id(), new_id());
    let request = TestRequest::script(&script).query(&format!("sessionId={by_query}"));
    let answer = server.expect(request, 200).await?;
    ensure_eq!(answer.id()?, by_query, "the id of the query");
    answer.read_to_end().await?;
    let request = TestRequest::script(&script)
        .query(&format!("sessionId={by_query}"))
        .header(SESSION_ID, &by_header);
    let answer = server.expect(request, 200).await?;
    ensure_eq!(answer.id()?, by_header, "the id of the header");
    let query = format!("sessionId={by_query}&lastLsn=2");
    let request = TestRequest::script(&script).query(&query);
    let rest = server
        .expect(request, 200)
        .await?
        .continuing_after(2)
        .read_to_end()
        .await?;
    ensure_eq!(rest.events.len(), 2, "events after the cursor of the query");
    let request = TestRequest::script(&script)
        .query(&query)
        .header(LAST_LSN, "3");
    let rest = server
        .expect(request, 200)
        .await?
        .continuing_after(3)
        .read_to_end()
        .await?;
    ensure_eq!(
        rest.events.len(),
        1,
        "events after the cursor of the header"
    );
    Ok(())
}

pub(crate) async fn a_start_as_json_is_201_without_a_stream(server: HttpFixture) -> CaseResult {
    let (id, name) = (new_id(), new_id());
    let script = json!({"text": "read elsewhere", "delayMs": 20, "tally": name});
    let start = || {
        TestRequest::script(&script)
            .session_id(&id)
            .accept("application/json")
    };
    for _ in 0..2 {
        let created = server.expect(start(), 201).await?;
        let content_type = created.header(header::CONTENT_TYPE)?;
        ensure_eq!(content_type, "application/json", "content type");
        let document = created.document().await?;
        ensure_eq!(document["id"], id, "id");
        ensure!(document["status"].is_string(), "no status in {document}");
        ensure!(document["tail"].is_u64(), "no tail in {document}");
    }
    let request = TestRequest::get(&id).accept("text/event-stream");
    ensure_eq!(
        server.read_to_end(request).await?.text(),
        "read elsewhere",
        "the text"
    );
    ensure_eq!(
        server.provider_counts(&name).await?.calls,
        1,
        "calls of the provider"
    );
    Ok(())
}

pub(crate) async fn concurrent_sessions_do_not_mix(server: HttpFixture) -> CaseResult {
    let mut running = JoinSet::new();
    for n in 0..20 {
        let (server, text) = (
            server.clone(),
            format!("this is the answer to question {n}"),
        );
        running.spawn(async move {
            let script = json!({"text": text, "delayMs": 3});
            let answer = server.expect(TestRequest::script(&script), 200).await?;
            let id = answer.id()?;
            ensure_eq!(answer.read_to_end().await?.text(), text, "the answer");
            Ok::<_, CaseStop>(id)
        });
    }
    let mut ids = HashSet::new();
    while let Some(id) = running.join_next().await {
        ids.insert(id.map_err(|error| CaseStop::Failed(error.to_string()))??);
    }
    ensure_eq!(ids.len(), 20, "different ids");
    Ok(())
}
