use http::header;
use serde_json::json;

use crate::{
    http::{fixture::HttpFixture, request::TestRequest},
    report::{CaseStop, ensure, ensure_eq},
};
use unbroken::headers::{LAST_EVENT_ID, LAST_LSN, SESSION_STATUS, SESSION_TAIL};

pub(in crate::http) async fn a_reader_gets_what_follows_its_cursor(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, whole) = bed.finished(&json!({"tokens": 4, "delayMs": 0})).await?;
    for lsn in 0..whole.events.len() {
        for call in [
            TestRequest::get(&id).after(lsn),
            TestRequest::get(&id).with(LAST_EVENT_ID, &lsn.to_string()),
            TestRequest::get(&id).query(&format!("after={lsn}")),
        ] {
            let answer = bed.send(call).await?.expect(200).await?;
            let rest = answer.from(lsn as u64).whole().await?;
            ensure_eq!(rest.events, whole.events[lsn..], "what follows LSN {lsn}");
        }
    }
    Ok(())
}

pub(in crate::http) async fn of_several_cursors_the_event_source_wins_then_the_header(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, _) = bed.finished(&json!({"tokens": 4, "delayMs": 0})).await?;
    let both = || TestRequest::get(&id).query("after=1").with(LAST_LSN, "2");
    let mut answer = bed.send(both()).await?.expect(200).await?.from(2);
    ensure_eq!(answer.event().await?.lsn, 3, "after X-Last-LSN and ?after");
    let call = both().with(LAST_EVENT_ID, "3");
    let mut answer = bed.send(call).await?.expect(200).await?.from(3);
    ensure_eq!(
        answer.event().await?.lsn,
        4,
        "after Last-Event-ID and the others"
    );
    Ok(())
}

pub(in crate::http) async fn an_event_source_resumes_by_the_id_it_was_given(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, _) = bed.finished(&json!({"tokens": 4, "delayMs": 0})).await?;
    let read = || TestRequest::get(&id).accept("text/event-stream");
    let whole = bed.whole(read()).await?;
    let (last, before) = whole.events.split_last().expect("a stream has events");
    for (at, event) in before.iter().enumerate() {
        let call = read().with(LAST_EVENT_ID, &event.cursor);
        let answer = bed.send(call).await?.expect(200).await?;
        let rest = answer.from(event.lsn).whole().await?;
        ensure_eq!(rest.events, whole.events[at + 1..], "what follows its id");
    }
    let done = read().with(LAST_EVENT_ID, &last.cursor);
    bed.send(done).await?.empty(204).await?;
    Ok(())
}

pub(in crate::http) async fn at_the_terminal_event_every_stream_is_204(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, whole) = bed.finished(&json!({"tokens": 1, "delayMs": 0})).await?;
    let tail = whole.events.len();
    for accept in ["application/x-ndjson", "text/event-stream", "*/*"] {
        for method in ["GET", "HEAD"] {
            let call = TestRequest::new(method, format!("/{id}"))
                .accept(accept)
                .after(tail);
            let head = bed.send(call).await?.empty(204).await?;
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

pub(in crate::http) async fn head_is_get_without_the_body(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, _) = bed.finished(&json!({"tokens": 3, "delayMs": 0})).await?;
    for accept in [
        "application/x-ndjson",
        "text/event-stream",
        "application/json",
    ] {
        let call = TestRequest::new("HEAD", format!("/{id}")).accept(accept);
        let head = bed.send(call).await?.empty(200).await?;
        let got = bed
            .send(TestRequest::get(&id).accept(accept))
            .await?
            .expect(200)
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
    let unknown = TestRequest::new("HEAD", format!("/{}", crate::http::fixture::fresh()));
    bed.send(unknown).await?.empty(404).await?;
    Ok(())
}

pub(in crate::http) async fn a_bare_cursor_past_the_tail_is_refused(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, whole) = bed.finished(&json!({"tokens": 1, "delayMs": 0})).await?;
    let past = whole.events.len() + 1;
    for accept in [
        "application/x-ndjson",
        "text/event-stream",
        "application/json",
    ] {
        let call = TestRequest::get(&id).accept(accept).after(past);
        bed.send(call)
            .await?
            .refused(400, "cursor-past-tail")
            .await?;
    }
    Ok(())
}

pub(in crate::http) async fn what_is_no_cursor_is_refused(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, _) = bed.finished(&json!({"tokens": 1, "delayMs": 0})).await?;
    for cursor in ["x", "-1", "1.", "1 2", "99999999999999999999999"] {
        let call = TestRequest::get(&id).after(cursor);
        bed.send(call)
            .await?
            .refused(400, "malformed-cursor")
            .await?;
    }
    Ok(())
}

pub(in crate::http) async fn a_cursor_of_another_epoch_is_a_rewound_log(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let sse = |id: &str| TestRequest::get(id).accept("text/event-stream");
    let (mine, whole) = bed.finished(&json!({"tokens": 2, "delayMs": 0})).await?;
    let (other, _) = bed.finished(&json!({"tokens": 2, "delayMs": 0})).await?;
    let foreign = bed.whole(sse(&other)).await?.events;
    let own = bed.whole(sse(&mine)).await?.events;
    ensure!(
        own[1].cursor != foreign[1].cursor,
        "two sessions have the same cursor {:?}: its tag tells no epochs apart",
        own[1].cursor
    );
    let call = sse(&mine).with(LAST_EVENT_ID, &foreign[1].cursor);
    bed.send(call).await?.refused(409, "log-rewound").await?;
    let tag = own[1].cursor.split_once('.').map_or("", |(_, tag)| tag);
    let absent = format!("{}.{tag}", whole.events.len() + 1);
    let call = sse(&mine).with(LAST_EVENT_ID, &absent);
    bed.send(call).await?.refused(409, "log-rewound").await?;
    Ok(())
}
