use http::header;
use serde_json::json;

use crate::{
    http::{fixture::HttpFixture, request::TestRequest},
    report::{CaseResult, ensure, ensure_eq},
};
use unbroken::headers::{LAST_EVENT_ID, LAST_LSN, SESSION_STATUS, SESSION_TAIL};

pub(crate) async fn a_reader_gets_what_follows_its_cursor(server: HttpFixture) -> CaseResult {
    let (id, full) = server
        .run_to_end(&json!({"tokens": 4, "delayMs": 0}))
        .await?;
    for lsn in 0..full.events.len() {
        for request in [
            TestRequest::get(&id).after(lsn),
            TestRequest::get(&id).header(LAST_EVENT_ID, &lsn.to_string()),
            TestRequest::get(&id).query(&format!("after={lsn}")),
        ] {
            let answer = server.expect(request, 200).await?;
            let rest = answer.continuing_after(lsn as u64).read_to_end().await?;
            ensure_eq!(rest.events, full.events[lsn..], "what follows LSN {lsn}");
        }
    }
    Ok(())
}

pub(crate) async fn of_several_cursors_the_event_source_wins_then_the_header(
    server: HttpFixture,
) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 4, "delayMs": 0}))
        .await?;
    let both = || TestRequest::get(&id).query("after=1").header(LAST_LSN, "2");
    let mut answer = server.expect(both(), 200).await?.continuing_after(2);
    ensure_eq!(answer.event().await?.lsn, 3, "after X-Last-LSN and ?after");
    let request = both().header(LAST_EVENT_ID, "3");
    let mut answer = server.expect(request, 200).await?.continuing_after(3);
    ensure_eq!(
        answer.event().await?.lsn,
        4,
        "after Last-Event-ID and the others"
    );
    Ok(())
}

pub(crate) async fn an_event_source_resumes_by_the_id_it_was_given(
    server: HttpFixture,
) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 4, "delayMs": 0}))
        .await?;
    let read = || TestRequest::get(&id).accept("text/event-stream");
    let full = server.read_to_end(read()).await?;
    let (last, before) = full.events.split_last().expect("a stream has events");
    for (at, event) in before.iter().enumerate() {
        let request = read().header(LAST_EVENT_ID, &event.cursor);
        let answer = server.expect(request, 200).await?;
        let rest = answer.continuing_after(event.lsn).read_to_end().await?;
        ensure_eq!(rest.events, full.events[at + 1..], "what follows its id");
    }
    let done = read().header(LAST_EVENT_ID, &last.cursor);
    server.expect_empty(done, 204).await?;
    Ok(())
}

pub(crate) async fn at_the_terminal_event_every_stream_is_204(server: HttpFixture) -> CaseResult {
    let (id, full) = server
        .run_to_end(&json!({"tokens": 1, "delayMs": 0}))
        .await?;
    let tail = full.events.len();
    for accept in ["application/x-ndjson", "text/event-stream", "*/*"] {
        for method in ["GET", "HEAD"] {
            let request = TestRequest::new(method, format!("/{id}"))
                .accept(accept)
                .after(tail);
            let head = server.expect_empty(request, 204).await?;
            let says = |name| head.headers.get(&name).map(http::HeaderValue::as_bytes);
            ensure_eq!(
                says(SESSION_STATUS),
                Some(&b"complete"[..]),
                "X-Session-Status"
            );
            ensure_eq!(says(SESSION_TAIL), Some(&b"3"[..]), "X-Session-Tail");
        }
    }
    Ok(())
}

pub(crate) async fn head_is_get_without_the_body(server: HttpFixture) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 3, "delayMs": 0}))
        .await?;
    for accept in [
        "application/x-ndjson",
        "text/event-stream",
        "application/json",
    ] {
        let request = TestRequest::new("HEAD", format!("/{id}")).accept(accept);
        let head = server.expect_empty(request, 200).await?;
        let got = server
            .expect(TestRequest::get(&id).accept(accept), 200)
            .await?;
        for name in [
            header::CONTENT_TYPE,
            SESSION_STATUS,
            SESSION_TAIL,
            header::VARY,
        ] {
            let (one, other) = (head.headers.get(&name), got.head.headers.get(&name));
            ensure!(
                one == other && one.is_some(),
                "`{name}` of HEAD is {one:?}, of GET {other:?}"
            );
        }
    }
    let unknown = TestRequest::new("HEAD", format!("/{}", crate::http::fixture::new_id()));
    server.expect_empty(unknown, 404).await?;
    Ok(())
}

pub(crate) async fn a_bare_cursor_past_the_tail_is_refused(server: HttpFixture) -> CaseResult {
    let (id, full) = server
        .run_to_end(&json!({"tokens": 1, "delayMs": 0}))
        .await?;
    let past = full.events.len() + 1;
    for accept in [
        "application/x-ndjson",
        "text/event-stream",
        "application/json",
    ] {
        let request = TestRequest::get(&id).accept(accept).after(past);
        server
            .expect_problem(request, 400, "cursor-past-tail")
            .await?;
    }
    Ok(())
}

pub(crate) async fn a_malformed_cursor_is_refused(server: HttpFixture) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 1, "delayMs": 0}))
        .await?;
    for cursor in ["x", "-1", "1.", "1 2", "99999999999999999999999"] {
        let request = TestRequest::get(&id).after(cursor);
        server
            .expect_problem(request, 400, "malformed-cursor")
            .await?;
    }
    Ok(())
}

pub(crate) async fn a_cursor_of_another_epoch_is_a_rewound_log(server: HttpFixture) -> CaseResult {
    let sse = |id: &str| TestRequest::get(id).accept("text/event-stream");
    let (mine, full) = server
        .run_to_end(&json!({"tokens": 2, "delayMs": 0}))
        .await?;
    let (other, _) = server
        .run_to_end(&json!({"tokens": 2, "delayMs": 0}))
        .await?;
    let foreign = server.read_to_end(sse(&other)).await?.events;
    let own = server.read_to_end(sse(&mine)).await?.events;
    ensure!(
        own[1].cursor != foreign[1].cursor,
        "two sessions have the same cursor {:?}: its tag tells no epochs apart",
        own[1].cursor
    );
    let request = sse(&mine).header(LAST_EVENT_ID, &foreign[1].cursor);
    server.expect_problem(request, 409, "log-rewound").await?;
    let tag = own[1].cursor.split_once('.').map_or("", |(_, tag)| tag);
    let absent = format!("{}.{tag}", full.events.len() + 1);
    let request = sse(&mine).header(LAST_EVENT_ID, &absent);
    server.expect_problem(request, 409, "log-rewound").await?;
    Ok(())
}
