use std::{collections::HashSet, time::Duration};

use http::header;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    http::{
        fixture::{HttpFixture, fresh},
        request::{TestRequest, following},
    },
    report::{CaseStop, ensure, ensure_eq},
};
use unbroken::headers::{ACCEL_BUFFERING, LAST_LSN, SESSION_ID, SESSION_STATUS, SESSION_TAIL};

/// Time enough for a head, if it waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(3);

pub(in crate::http) async fn an_answer_is_a_stream_of_events_from_lsn_1(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let script = json!({"thinking": "Hm well", "text": "Yes and no", "delayMs": 1});
    let whole = bed.whole(TestRequest::script(&script)).await?;
    let kinds = whole.kinds();
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
    ensure_eq!(whole.text(), "Yes and no", "the text");
    Ok(())
}

pub(in crate::http) async fn what_was_said_before_reaches_the_provider(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    // Without the assistant's message it is not the second turn, without the tool's there is no result.
    let call = json!({"id": "call_1", "name": "clock", "arguments": {}});
    let body = json!({
        "messages": [
            {"role": "user", "content": "What time is it?"},
            {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Half past nine."},
        ],
        "script": {"text": "the first turn", "delayMs": 0, "then": [{"results": true}]},
    });
    let whole = bed.whole(TestRequest::start(&body)).await?;
    ensure_eq!(whole.text(), "Half past nine.", "what the tool gave");
    Ok(())
}

pub(in crate::http) async fn session_info_says_what_a_session_can_do(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let mut answer = bed
        .send(TestRequest::script(&json!({"tokens": 1})))
        .await?
        .expect(200)
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

pub(in crate::http) async fn the_head_and_session_info_come_while_the_provider_is_silent(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let silent = json!({"tokens": 1, "fault": {"at": 0, "kind": "hang"}});
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let call = TestRequest::script(&silent).accept(accept);
        let mut answer = bed.send_within(call, AT_ONCE).await?.expect(200).await?;
        let id = answer.id()?;
        let first = tokio::time::timeout(AT_ONCE, answer.event()).await;
        let first = first.map_err(|_| CaseStop::Failed("the first event waits".to_owned()))??;
        ensure_eq!(first.kind(), "session_info", "the first event");
        let mut reader = bed
            .send_within(TestRequest::get(&id), AT_ONCE)
            .await?
            .expect(200)
            .await?;
        ensure_eq!(
            reader.event().await?.lsn,
            1,
            "what another reader gets first"
        );
        bed.send(TestRequest::abort(&id)).await?.expect(202).await?;
    }
    let call = TestRequest::script(&silent).accept("application/json");
    let answer = bed.send_within(call, AT_ONCE).await?.expect(201).await?;
    let id = answer.id()?;
    bed.send(TestRequest::abort(&id)).await?.expect(202).await?;
    Ok(())
}

pub(in crate::http) async fn the_head_says_which_session_it_is_and_how_it_stands(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let running = json!({"tokens": 5, "delayMs": 1});
    let started = bed
        .send(TestRequest::script(&running))
        .await?
        .expect(200)
        .await?;
    let id = started.id()?;
    ensure_eq!(
        started.header(SESSION_STATUS)?,
        "streaming",
        "status at the start"
    );
    let tail = started.header(SESSION_TAIL)?.parse::<u64>();
    ensure!(tail.is_ok(), "X-Session-Tail is no number: {tail:?}");
    started.whole().await?;
    let ended = bed.send(TestRequest::get(&id)).await?.expect(200).await?;
    ensure_eq!(ended.id()?, id, "X-Session-Id of a reader");
    ensure_eq!(
        ended.header(SESSION_STATUS)?,
        "complete",
        "status at the end"
    );
    ensure_eq!(ended.header(SESSION_TAIL)?, "7", "tail at the end");
    Ok(())
}

pub(in crate::http) async fn the_head_forbids_what_would_hold_the_stream_back(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let script = json!({"text": "a ".repeat(200), "delayMs": 0});
        let call = TestRequest::script(&script)
            .accept(accept)
            .with(header::ACCEPT_ENCODING, "gzip, deflate, br, zstd");
        let answer = bed.send(call).await?.expect(200).await?;
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
        answer.whole().await?;
    }
    Ok(())
}

/// nginx keeps this header to itself: it is for the proxy, not for who stands behind it.
pub(in crate::http) async fn the_head_tells_proxies_not_to_buffer(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let call = TestRequest::script(&json!({"tokens": 1, "delayMs": 0})).accept(accept);
        let answer = bed.send(call).await?.expect(200).await?;
        ensure_eq!(answer.header(ACCEL_BUFFERING)?, "no", "X-Accel-Buffering");
    }
    Ok(())
}

pub(in crate::http) async fn the_head_says_where_the_session_is_found(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let script = json!({"tokens": 1, "delayMs": 0});
    let streamed = bed
        .send(TestRequest::script(&script))
        .await?
        .expect(200)
        .await?;
    let id = streamed.id()?;
    let expected = format!("{}/{id}", bed.target.path());
    let Some(location) = streamed.optional(&header::CONTENT_LOCATION) else {
        return Err(CaseStop::NotApplicable(
            "the service doesn't know where it is mounted".into(),
        ));
    };
    ensure_eq!(location, expected, "Content-Location");
    streamed.whole().await?;
    let read = bed.send(TestRequest::get(&id)).await?.expect(200).await?;
    ensure_eq!(
        read.header(header::CONTENT_LOCATION)?,
        expected,
        "of a reader"
    );
    let call = TestRequest::script(&script).accept("application/json");
    let created = bed.send(call).await?.expect(201).await?;
    let expected = format!("{}/{}", bed.target.path(), created.id()?);
    ensure_eq!(
        created.header(header::LOCATION)?,
        expected,
        "Location of 201"
    );
    Ok(())
}

pub(in crate::http) async fn ids_that_the_server_makes_can_not_be_guessed(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let mut ids = HashSet::new();
    for _ in 0..20 {
        let script = json!({"tokens": 0, "delayMs": 0});
        let id = bed
            .send(TestRequest::script(&script))
            .await?
            .expect(200)
            .await?
            .id()?;
        let valid = id.parse::<unbroken::log::SessionId>();
        ensure!(
            valid.is_ok(),
            "the id {id:?} is none that a client may send back"
        );
        ensure!(ids.insert(id), "an id was given twice");
    }
    // 20 ids of at least 22 characters share no long beginning unless they count something.
    let heads: HashSet<_> = ids.iter().filter_map(|id| id.get(..8)).collect();
    ensure_eq!(
        heads.len(),
        ids.len(),
        "ids that differ within eight characters"
    );
    Ok(())
}

pub(in crate::http) async fn a_client_may_make_the_id(bed: HttpFixture) -> Result<(), CaseStop> {
    let script = json!({"text": "mine", "delayMs": 0});
    let unique = fresh();
    for id in [
        format!("{unique:0<22}")[..22].to_owned(),
        format!("{unique:A<128}"),
        format!("{unique}-Az09._~-"),
    ] {
        let answer = bed
            .send(TestRequest::script(&script).under(&id))
            .await?
            .expect(200)
            .await?;
        ensure_eq!(answer.id()?, id, "X-Session-Id");
        answer.whole().await?;
        ensure_eq!(
            bed.whole(TestRequest::get(&id)).await?.text(),
            "mine",
            "the answer of {id}"
        );
    }
    Ok(())
}

pub(in crate::http) async fn an_id_that_could_be_guessed_or_is_none_is_refused(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let script = json!({"tokens": 0, "delayMs": 0});
    let (short, long) = ("a".repeat(21), "a".repeat(129));
    let odd = [
        ".starts-with-a-dot-0123456789",
        "has-a-comma,0123456789abcdef",
    ];
    for id in [short.as_str(), long.as_str()].into_iter().chain(odd) {
        let by_header = TestRequest::script(&script).under(id);
        bed.send(by_header)
            .await?
            .refused(400, "malformed-id")
            .await?;
        let by_query = TestRequest::script(&script).query(&format!("sessionId={id}"));
        bed.send(by_query)
            .await?
            .refused(400, "malformed-id")
            .await?;
        bed.send(TestRequest::get(id))
            .await?
            .refused(400, "malformed-id")
            .await?;
    }
    Ok(())
}

pub(in crate::http) async fn the_same_request_under_the_same_id_attaches(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, name) = (fresh(), fresh());
    let script = json!({"tokens": 20, "delayMs": 15, "tally": name});
    let start = || TestRequest::script(&script).under(&id);
    let mut first = bed.send(start()).await?.expect(200).await?;
    let mut begun = first.events(5).await?;
    let second = bed.whole(start()).await?;
    begun.extend(first.whole().await?.events);
    ensure_eq!(begun, second.events, "what both got");
    let third = bed.whole(start()).await?;
    ensure_eq!(third.raw, second.raw, "what comes after the end");
    ensure_eq!(bed.tally(&name).await?.calls, 1, "calls of the provider");
    Ok(())
}

pub(in crate::http) async fn of_racing_starts_one_calls_the_provider(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, name) = (fresh(), fresh());
    let script = json!({"tokens": 5, "delayMs": 10, "tally": name});
    let mut racing = JoinSet::new();
    for _ in 0..16 {
        let (bed, call) = (bed.clone(), TestRequest::script(&script).under(&id));
        racing.spawn(async move { bed.whole(call).await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = racing.join_next().await {
        answers.push(answer.map_err(|error| CaseStop::Failed(error.to_string()))??);
    }
    for answer in &answers {
        ensure_eq!(answer.raw, answers[0].raw, "what two of them got");
    }
    ensure_eq!(bed.tally(&name).await?.calls, 1, "calls of the provider");
    Ok(())
}

pub(in crate::http) async fn another_request_under_the_same_id_is_a_conflict(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let id = fresh();
    let start = |text: &str| TestRequest::script(&json!({"text": text, "delayMs": 20})).under(&id);
    let answer = bed
        .send(start("one two three four five"))
        .await?
        .expect(200)
        .await?;
    bed.send(start("another"))
        .await?
        .refused(409, "id-in-use")
        .await?;
    let text = answer.whole().await?.text();
    ensure_eq!(text, "one two three four five", "the first answer");
    bed.send(start("another"))
        .await?
        .refused(409, "id-in-use")
        .await?;
    Ok(())
}

pub(in crate::http) async fn the_same_words_in_other_bytes_are_another_request(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let id = fresh();
    let body = following(&json!({"tokens": 1, "delayMs": 0})).to_string();
    let start = |body: String| TestRequest::new("POST", "").json(body).under(&id);
    bed.whole(start(body.clone())).await?;
    bed.send(start(body.replacen('{', "{ ", 1)))
        .await?
        .refused(409, "id-in-use")
        .await?;
    bed.whole(start(body)).await?;
    Ok(())
}

pub(in crate::http) async fn a_post_with_a_cursor_reconnects_and_starts_nothing(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let name = fresh();
    let script = json!({"tokens": 6, "delayMs": 1, "tally": name});
    let (id, whole) = bed.finished(&script).await?;
    for (lsn, at) in [(0, 0), (3, 3), (7, 7)] {
        // The body is not looked at.
        let call = TestRequest::new("POST", "").json("{").under(&id).after(lsn);
        let rest = bed
            .send(call)
            .await?
            .expect(200)
            .await?
            .from(lsn)
            .whole()
            .await?;
        ensure_eq!(rest.events, whole.events[at..], "what follows LSN {lsn}");
    }
    let at_end = TestRequest::start(&following(&script)).under(&id).after(8);
    bed.send(at_end).await?.empty(204).await?;
    let unknown = TestRequest::script(&script).under(&fresh()).after(0);
    bed.send(unknown).await?.refused(404, "not-found").await?;
    let nameless = TestRequest::script(&script).after(3);
    bed.send(nameless)
        .await?
        .refused(400, "malformed-id")
        .await?;
    ensure_eq!(bed.tally(&name).await?.calls, 1, "calls of the provider");
    Ok(())
}

pub(in crate::http) async fn query_twins_stand_in_for_headers_and_headers_win(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let script = json!({"tokens": 2, "delayMs": 0});
    let (by_query, by_header) = (fresh(), fresh());
    let call = TestRequest::script(&script).query(&format!("sessionId={by_query}"));
    let answer = bed.send(call).await?.expect(200).await?;
    ensure_eq!(answer.id()?, by_query, "the id of the query");
    answer.whole().await?;
    let call = TestRequest::script(&script)
        .query(&format!("sessionId={by_query}"))
        .with(SESSION_ID, &by_header);
    let answer = bed.send(call).await?.expect(200).await?;
    ensure_eq!(answer.id()?, by_header, "the id of the header");
    let query = format!("sessionId={by_query}&lastLsn=2");
    let call = TestRequest::script(&script).query(&query);
    let rest = bed
        .send(call)
        .await?
        .expect(200)
        .await?
        .from(2)
        .whole()
        .await?;
    ensure_eq!(rest.events.len(), 2, "events after the cursor of the query");
    let call = TestRequest::script(&script)
        .query(&query)
        .with(LAST_LSN, "3");
    let rest = bed
        .send(call)
        .await?
        .expect(200)
        .await?
        .from(3)
        .whole()
        .await?;
    ensure_eq!(
        rest.events.len(),
        1,
        "events after the cursor of the header"
    );
    Ok(())
}

pub(in crate::http) async fn a_client_that_wants_json_gets_201_and_reads_elsewhere(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, name) = (fresh(), fresh());
    let script = json!({"text": "read elsewhere", "delayMs": 20, "tally": name});
    let start = || {
        TestRequest::script(&script)
            .under(&id)
            .accept("application/json")
    };
    for _ in 0..2 {
        let created = bed.send(start()).await?.expect(201).await?;
        let content_type = created.header(header::CONTENT_TYPE)?;
        ensure_eq!(content_type, "application/json", "content type");
        let document = created.document().await?;
        ensure_eq!(document["id"], id, "id");
        ensure!(document["status"].is_string(), "no status in {document}");
        ensure!(document["tail"].is_u64(), "no tail in {document}");
    }
    let call = TestRequest::get(&id).accept("text/event-stream");
    ensure_eq!(bed.whole(call).await?.text(), "read elsewhere", "the text");
    ensure_eq!(bed.tally(&name).await?.calls, 1, "calls of the provider");
    Ok(())
}

pub(in crate::http) async fn sessions_at_the_same_time_stay_apart(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let mut running = JoinSet::new();
    for n in 0..20 {
        let (bed, text) = (bed.clone(), format!("this is the answer to question {n}"));
        running.spawn(async move {
            let script = json!({"text": text, "delayMs": 3});
            let answer = bed
                .send(TestRequest::script(&script))
                .await?
                .expect(200)
                .await?;
            let id = answer.id()?;
            ensure_eq!(answer.whole().await?.text(), text, "the answer");
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
