use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    http::{
        answer_reader::{NextItem, RESPONSE_TIMEOUT},
        fixture::{HttpFixture, new_id},
        request::TestRequest,
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

/// Runs a script with this fault after a number of tokens, and checks that a replay is equal. Returns
/// the terminal event.
async fn run_with_fault(server: &HttpFixture, kind: &str, at: usize) -> Result<Value, CaseStop> {
    let script = json!({"tokens": 5, "delayMs": 1, "fault": {"at": at, "kind": kind}});
    let (id, live) = server.run_to_end(&script).await?;
    ensure_eq!(live.events.len(), at + 2, "events of an answer that breaks");
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let replay = server
            .read_to_end(TestRequest::get(&id).accept(accept))
            .await?;
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

pub(crate) async fn a_provider_error_is_the_terminal_event(server: HttpFixture) -> CaseResult {
    for at in [3, 5] {
        ensure_eq!(
            run_with_fault(&server, "error", at).await?["code"],
            "provider",
            "code"
        );
    }
    Ok(())
}

pub(crate) async fn a_provider_error_before_the_first_event_is_200_and_a_terminal_event(
    server: HttpFixture,
) -> CaseResult {
    for kind in ["error", "cut"] {
        ensure_eq!(
            run_with_fault(&server, kind, 0).await?["code"],
            "provider",
            "code"
        );
    }
    Ok(())
}

pub(crate) async fn a_provider_stream_that_is_cut_is_an_error(server: HttpFixture) -> CaseResult {
    for at in [2, 5] {
        ensure_eq!(
            run_with_fault(&server, "cut", at).await?["code"],
            "provider",
            "code"
        );
    }
    Ok(())
}

pub(crate) async fn a_provider_that_panics_is_a_terminal_event(server: HttpFixture) -> CaseResult {
    for at in [0, 2] {
        ensure_eq!(
            run_with_fault(&server, "panic", at).await?["code"],
            "internal",
            "code"
        );
    }
    Ok(())
}

pub(crate) async fn a_complete_answer_has_a_finish_reason(server: HttpFixture) -> CaseResult {
    let (_, full) = server
        .run_to_end(&json!({"text": "All is well.", "delayMs": 0}))
        .await?;
    let ending = full.ending();
    ensure_eq!(ending["type"], "complete", "the ending");
    ensure_eq!(ending["finishReason"], "stop", "finishReason");
    if let Some(text) = ending.get("text") {
        ensure_eq!(text, "All is well.", "the text of the ending");
    }
    Ok(())
}

pub(crate) async fn text_over_the_limit_of_an_event_is_several_events(
    server: HttpFixture,
) -> CaseResult {
    let limit = server.target.event_bytes;
    if limit + 1000 > server.target.max_body {
        return Err(CaseStop::NotApplicable(
            "an event that long can't be asked for in a request".into(),
        ));
    }
    // An event is its text in an envelope.
    let envelope = json!({"type": "text", "content": ""}).to_string().len();
    for (bytes, events) in [(limit, 1), (limit + 1, 2)] {
        let text = "a".repeat(bytes - envelope);
        let (_, full) = server
            .run_to_end(&json!({"text": text, "delayMs": 0}))
            .await?;
        ensure_eq!(
            full.ending()["type"],
            "complete",
            "the ending at {bytes} bytes"
        );
        let pieces = full.events.iter().map(|event| &event.value);
        let pieces: Vec<_> = pieces
            .filter(|event| event["type"] == "text")
            .filter_map(|event| event["content"].as_str())
            .collect();
        ensure_eq!(pieces.len(), events, "the events of {bytes} bytes");
        ensure!(pieces.concat() == text, "the text is another");
    }
    Ok(())
}

pub(crate) async fn a_session_over_its_events_has_room_for_the_terminal_event(
    server: HttpFixture,
) -> CaseResult {
    let Some(limit) = server.target.session_events else {
        return Err(CaseStop::NotApplicable(
            "the target describes no limit of events".into(),
        ));
    };
    // `session_info` counts, the terminal event doesn't.
    for (tokens, ending) in [(limit - 1, "complete"), (limit, "error")] {
        let (_, full) = server
            .run_to_end(&json!({"tokens": tokens, "delayMs": 0}))
            .await?;
        ensure_eq!(
            full.ending()["type"],
            ending,
            "the ending with {tokens} tokens"
        );
        ensure!(
            full.events.len() as u64 <= limit + 1,
            "more events than may be"
        );
        if ending == "error" {
            ensure_eq!(full.ending()["code"], "limit", "code");
        }
    }
    Ok(())
}

pub(crate) async fn a_session_over_its_bytes_ends_with_limit(server: HttpFixture) -> CaseResult {
    let Some(limit) = server.target.session_bytes else {
        return Err(CaseStop::NotApplicable(
            "the target describes no limit of a session's bytes".into(),
        ));
    };
    if limit > server.target.event_bytes || limit + 1000 > server.target.max_body {
        return Err(CaseStop::NotApplicable(
            "so many bytes can't be asked for in one event".into(),
        ));
    }
    let bytes = |event: &Value| event.to_string().len();
    let (_, full) = server
        .run_to_end(&json!({"tokens": 0, "delayMs": 0}))
        .await?;
    let others = bytes(&full.events[0].value) + bytes(&json!({"type": "text", "content": ""}));
    for (text, ending) in [(limit - others, "complete"), (limit - others + 1, "error")] {
        let script = json!({"text": "a".repeat(text), "delayMs": 0});
        let (_, full) = server.run_to_end(&script).await?;
        let sum: usize = full.events.iter().map(|it| bytes(&it.value)).sum();
        let sum = sum - bytes(full.ending());
        ensure!(sum <= limit, "{sum} bytes where {limit} may be");
        ensure_eq!(
            full.ending()["type"],
            ending,
            "the ending with {text} bytes of text"
        );
        if ending == "error" {
            ensure_eq!(full.ending()["code"], "limit", "code");
        }
    }
    Ok(())
}

pub(crate) async fn a_provider_that_hangs_is_a_timeout(server: HttpFixture) -> CaseResult {
    let idle = testable_limit(server.target.idle, "silent provider")?;
    let silent = json!({"tokens": 2, "delayMs": 0, "fault": {"at": 1, "kind": "hang"}});
    let begun = Instant::now();
    let (id, full) = server.run_to_end(&silent).await?;
    let waited = begun.elapsed();
    ensure_eq!(
        full.kinds(),
        ["session_info", "text", "error"],
        "the events"
    );
    ensure_eq!(full.ending()["code"], "timeout", "code");
    ensure!(waited >= idle, "it ended after {waited:?}, not {idle:?}");
    let replay = server.read_to_end(TestRequest::get(&id)).await?;
    ensure!(replay.raw == full.raw, "the replay has other bytes");
    Ok(())
}

pub(crate) async fn a_session_that_runs_too_long_is_a_timeout(server: HttpFixture) -> CaseResult {
    let age = testable_limit(server.target.age, "long session")?;
    let begun = Instant::now();
    let (_, full) = server
        .run_to_end(&json!({"tokens": 100_000, "delayMs": 20}))
        .await?;
    let ran = begun.elapsed();
    ensure_eq!(full.ending()["type"], "error", "the ending");
    ensure_eq!(full.ending()["code"], "timeout", "code");
    ensure!(ran >= age, "it ended after {ran:?}, not {age:?}");
    Ok(())
}

/// Returns a limit of time if a case can wait for it.
fn testable_limit(limit: Option<Duration>, what: &str) -> Result<Duration, CaseStop> {
    let limit = limit.ok_or_else(|| format!("the target describes no limit of a {what}"));
    limit
        .and_then(|limit| {
            if limit < RESPONSE_TIMEOUT / 2 {
                Ok(limit)
            } else {
                Err(format!("{limit:?} of a {what} would take too long"))
            }
        })
        .map_err(|reason| CaseStop::NotApplicable(reason.into()))
}

pub(crate) async fn a_body_without_its_terminal_event_fails(server: HttpFixture) -> CaseResult {
    let Some(shutdown) = &server.target.shutdown else {
        return Err(CaseStop::NotApplicable(
            "the target has no way to shut the server down".into(),
        ));
    };
    // A failed case may have left the server at its limit of sessions.
    server.stop_all().await?;
    let silent = json!({"tokens": 9, "delayMs": 0, "fault": {"at": 3, "kind": "hang"}});
    let id = new_id();
    let mut readers = Vec::new();
    for accept in ["application/x-ndjson", "text/event-stream"] {
        let request = TestRequest::script(&silent).session_id(&id).accept(accept);
        let mut reader = server.expect(request, 200).await?;
        reader.events(4).await?;
        readers.push(reader);
    }
    shutdown().await;
    for mut reader in readers {
        match reader.next().await? {
            // Another server can go on with it.
            NextItem::Cut => {}
            // None can, so that the answer ends here.
            NextItem::Event(event) if event.value["code"] == "interrupted" => {
                let next = reader.next().await?;
                ensure!(
                    matches!(next, NextItem::End),
                    "{next:?} after the terminal event"
                );
            }
            other => {
                return Err(CaseStop::Failed(format!(
                    "{other:?} instead of a cut, or of an error of the code `interrupted`"
                )));
            }
        }
    }
    Ok(())
}

pub(crate) async fn a_server_that_shuts_down_starts_nothing(server: HttpFixture) -> CaseResult {
    let Some(shutdown) = &server.target.shutdown else {
        return Err(CaseStop::NotApplicable(
            "the target has no way to shut the server down".into(),
        ));
    };
    shutdown().await;
    let script = json!({"tokens": 1, "delayMs": 0});
    server
        .expect_problem(TestRequest::script(&script), 503, "shutting-down")
        .await?;
    Ok(())
}
