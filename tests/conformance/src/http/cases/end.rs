use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    http::{
        answer_reader::{NextItem, SOON},
        fixture::{HttpFixture, fresh},
        request::TestRequest,
    },
    report::{CaseStop, ensure, ensure_eq},
};

/// The answer of a provider to which this happens after so many tokens: to who started it, and the
/// same to whoever reads it later.
async fn broken(bed: &HttpFixture, kind: &str, at: usize) -> Result<Value, CaseStop> {
    let script = json!({"tokens": 5, "delayMs": 1, "fault": {"at": at, "kind": kind}});
    let (id, live) = bed.finished(&script).await?;
    ensure_eq!(live.events.len(), at + 2, "events of an answer that breaks");
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let replay = bed.whole(TestRequest::get(&id).accept(accept)).await?;
        ensure_eq!(replay.log(), live.log(), "the replay in {accept}");
    }
    let ending = live.ending().clone();
    ensure_eq!(ending["type"], "error", "the ending");
    ensure!(
        ending["message"].is_string(),
        "an error without a message: {ending}"
    );
    ensure!(
        ending["recoverable"].is_boolean(),
        "an error that doesn't say recoverable: {ending}"
    );
    Ok(ending)
}

pub(in crate::http) async fn a_provider_that_fails_is_the_terminal_event(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    for at in [3, 5] {
        ensure_eq!(broken(&bed, "error", at).await?["code"], "provider", "code");
    }
    Ok(())
}

pub(in crate::http) async fn a_provider_that_fails_at_once_is_200_and_a_terminal_event(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    for kind in ["error", "cut"] {
        ensure_eq!(broken(&bed, kind, 0).await?["code"], "provider", "code");
    }
    Ok(())
}

pub(in crate::http) async fn a_provider_that_breaks_off_is_no_success(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    for at in [2, 5] {
        ensure_eq!(broken(&bed, "cut", at).await?["code"], "provider", "code");
    }
    Ok(())
}

pub(in crate::http) async fn a_provider_that_panics_is_a_terminal_event(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    for at in [0, 2] {
        ensure_eq!(broken(&bed, "panic", at).await?["code"], "internal", "code");
    }
    Ok(())
}

pub(in crate::http) async fn a_complete_answer_says_how_it_ended(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (_, whole) = bed
        .finished(&json!({"text": "All is well.", "delayMs": 0}))
        .await?;
    let ending = whole.ending();
    ensure_eq!(ending["type"], "complete", "the ending");
    ensure_eq!(ending["finishReason"], "stop", "finishReason");
    if let Some(text) = ending.get("text") {
        ensure_eq!(text, "All is well.", "the text of the ending");
    }
    Ok(())
}

pub(in crate::http) async fn an_event_over_the_limit_ends_the_session(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let limit = bed.target.event_bytes;
    if limit + 1000 > bed.target.max_body {
        return Err(CaseStop::NotApplicable(
            "an event that long can't be asked for in a request".into(),
        ));
    }
    // The event is the text in its envelope.
    let envelope = json!({"type": "text", "content": ""}).to_string().len();
    for (bytes, ending) in [(limit, "complete"), (limit + 1, "error")] {
        let script = json!({"text": "a".repeat(bytes - envelope), "delayMs": 0});
        let (_, whole) = bed.finished(&script).await?;
        ensure_eq!(
            whole.ending()["type"],
            ending,
            "the ending at {bytes} bytes"
        );
        if ending == "error" {
            ensure_eq!(whole.ending()["code"], "limit", "code");
        }
    }
    Ok(())
}

pub(in crate::http) async fn a_session_over_its_limit_has_room_for_the_ending(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let Some(limit) = bed.target.session_events else {
        return Err(CaseStop::NotApplicable(
            "the suite was told of no limit of events".into(),
        ));
    };
    // `session_info` counts, the terminal event doesn't.
    for (tokens, ending) in [(limit - 1, "complete"), (limit, "error")] {
        let (_, whole) = bed
            .finished(&json!({"tokens": tokens, "delayMs": 0}))
            .await?;
        ensure_eq!(
            whole.ending()["type"],
            ending,
            "the ending with {tokens} tokens"
        );
        ensure!(
            whole.events.len() as u64 <= limit + 1,
            "more events than may be"
        );
        if ending == "error" {
            ensure_eq!(whole.ending()["code"], "limit", "code");
        }
    }
    Ok(())
}

pub(in crate::http) async fn a_session_has_as_many_bytes_as_it_may(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let Some(limit) = bed.target.session_bytes else {
        return Err(CaseStop::NotApplicable(
            "the suite was told of no limit of a session's bytes".into(),
        ));
    };
    if limit > bed.target.event_bytes || limit + 1000 > bed.target.max_body {
        return Err(CaseStop::NotApplicable(
            "so many bytes can't be asked for in one event".into(),
        ));
    }
    let bytes = |event: &Value| event.to_string().len();
    let (_, whole) = bed.finished(&json!({"tokens": 0, "delayMs": 0})).await?;
    let others = bytes(&whole.events[0].value) + bytes(&json!({"type": "text", "content": ""}));
    for (text, ending) in [(limit - others, "complete"), (limit - others + 1, "error")] {
        let script = json!({"text": "a".repeat(text), "delayMs": 0});
        let (_, whole) = bed.finished(&script).await?;
        let sum: usize = whole.events.iter().map(|it| bytes(&it.value)).sum();
        let sum = sum - bytes(whole.ending());
        ensure!(sum <= limit, "{sum} bytes where {limit} may be");
        ensure_eq!(
            whole.ending()["type"],
            ending,
            "the ending with {text} bytes of text"
        );
        if ending == "error" {
            ensure_eq!(whole.ending()["code"], "limit", "code");
        }
    }
    Ok(())
}

pub(in crate::http) async fn a_provider_that_hangs_is_a_timeout(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let idle = waited_for(bed.target.idle, "silent provider")?;
    let silent = json!({"tokens": 2, "delayMs": 0, "fault": {"at": 1, "kind": "hang"}});
    let begun = Instant::now();
    let (id, whole) = bed.finished(&silent).await?;
    let waited = begun.elapsed();
    ensure_eq!(
        whole.kinds(),
        ["session_info", "text", "error"],
        "the events"
    );
    ensure_eq!(whole.ending()["code"], "timeout", "code");
    ensure!(waited >= idle, "it ended after {waited:?}, not {idle:?}");
    let replay = bed.whole(TestRequest::get(&id)).await?;
    ensure!(replay.raw == whole.raw, "the replay has other bytes");
    Ok(())
}

pub(in crate::http) async fn a_session_that_runs_too_long_is_a_timeout(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let age = waited_for(bed.target.age, "long session")?;
    let begun = Instant::now();
    let (_, whole) = bed
        .finished(&json!({"tokens": 100_000, "delayMs": 20}))
        .await?;
    let ran = begun.elapsed();
    ensure_eq!(whole.ending()["type"], "error", "the ending");
    ensure_eq!(whole.ending()["code"], "timeout", "code");
    ensure!(ran >= age, "it ended after {ran:?}, not {age:?}");
    Ok(())
}

/// A limit of time that the suite can wait for.
fn waited_for(limit: Option<Duration>, what: &str) -> Result<Duration, CaseStop> {
    let told = limit.ok_or_else(|| format!("the suite was told of no limit of a {what}"));
    told.and_then(|limit| {
        if limit < SOON / 2 {
            Ok(limit)
        } else {
            Err(format!("{limit:?} of a {what} would take too long"))
        }
    })
    .map_err(|reason| CaseStop::NotApplicable(reason.into()))
}

pub(in crate::http) async fn a_body_that_can_not_go_on_fails(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let Some(give_up) = &bed.target.give_up else {
        return Err(CaseStop::NotApplicable(
            "the suite was not told how to make the server give up".into(),
        ));
    };
    // A case that failed may have left the server without room.
    bed.stop_all().await?;
    let silent = json!({"tokens": 9, "delayMs": 0, "fault": {"at": 3, "kind": "hang"}});
    let id = fresh();
    let mut readers = Vec::new();
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let call = TestRequest::script(&silent).under(&id).accept(accept);
        let mut reader = bed.send(call).await?.expect(200).await?;
        reader.events(4).await?;
        readers.push(reader);
    }
    give_up().await;
    for mut reader in readers {
        match reader.next().await? {
            NextItem::Cut => {}
            other => return Err(CaseStop::Failed(format!("{other:?} instead of a cut"))),
        }
    }
    Ok(())
}

pub(in crate::http) async fn a_server_that_gives_up_starts_nothing(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let Some(give_up) = &bed.target.give_up else {
        return Err(CaseStop::NotApplicable(
            "the suite was not told how to make the server give up".into(),
        ));
    };
    give_up().await;
    let script = json!({"tokens": 1, "delayMs": 0});
    bed.send(TestRequest::script(&script))
        .await?
        .refused(503, "shutting-down")
        .await?;
    Ok(())
}
