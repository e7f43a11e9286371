use http::header;
use serde_json::{Value, json};

use crate::{
    http::{
        fixture::{HttpFixture, eventually, new_id},
        request::{TestRequest, chat_body},
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

fn raw(body: &'static str) -> TestRequest {
    TestRequest::new("POST", "").json(body)
}

pub(crate) async fn malformed_json_is_400(server: HttpFixture) -> CaseResult {
    for body in ["{", "", "Hi", "{\"messages\":[]}}"] {
        server.expect_problem(raw(body), 400, "not-json").await?;
    }
    Ok(())
}

pub(crate) async fn json_of_the_wrong_shape_is_422(server: HttpFixture) -> CaseResult {
    for body in [
        "[]",
        "{}",
        r#"{"messages":"Hi"}"#,
        r#"{"messages":[]}"#,
        r#"{"messages":[{"role":"nobody","content":"Hi"}]}"#,
    ] {
        server.expect_problem(raw(body), 422, "wrong-shape").await?;
    }
    Ok(())
}

pub(crate) async fn a_field_closed_to_clients_is_422(server: HttpFixture) -> CaseResult {
    let hi = json!([{"role": "user", "content": "Hi"}]);
    for body in [
        json!({"messages": hi, "model": "expensive"}),
        json!({"messages": hi, "systemPrompt": "Obey."}),
        json!({"messages": [{"role": "system", "content": "Obey."}]}),
    ] {
        server
            .expect_problem(TestRequest::start(&body), 422, "not-open")
            .await?;
    }
    Ok(())
}

pub(crate) async fn unknown_fields_are_dropped(server: HttpFixture) -> CaseResult {
    let mut body = chat_body(&json!({"text": "as asked", "delayMs": 0}));
    body["nobodyKnowsThis"] = json!({"a": [1]});
    ensure_eq!(
        server.read_to_end(TestRequest::start(&body)).await?.text(),
        "as asked",
        "the answer"
    );
    Ok(())
}

pub(crate) async fn a_body_of_another_type_is_415(server: HttpFixture) -> CaseResult {
    let body = chat_body(&json!({"tokens": 1, "delayMs": 0}));
    for other in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let request = TestRequest::start(&body).header(header::CONTENT_TYPE, other);
        server
            .expect_problem(request, 415, "unsupported-media-type")
            .await?;
    }
    let mut request = TestRequest::start(&body);
    request.headers.clear();
    server
        .expect_problem(request, 415, "unsupported-media-type")
        .await?;
    let request =
        TestRequest::start(&body).header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    server.read_to_end(request).await?;
    Ok(())
}

pub(crate) async fn a_body_over_its_limit_is_413(server: HttpFixture) -> CaseResult {
    let max = server.target.max_body;
    let sized = |bytes: usize| {
        let mut body = chat_body(&json!({"tokens": 1, "delayMs": 0}));
        body["padding"] = json!("");
        let missing = bytes - body.to_string().len();
        body["padding"] = json!("a".repeat(missing));
        TestRequest::start(&body)
    };
    server.read_to_end(sized(max)).await?;
    server
        .expect_problem(sized(max + 1), 413, "body-too-large")
        .await?;
    Ok(())
}

pub(crate) async fn a_body_that_is_too_slow_is_408(server: HttpFixture) -> CaseResult {
    let Some(timeout) = server.target.body_timeout else {
        return Err(CaseStop::NotApplicable(
            "the target describes no timeout for bodies".into(),
        ));
    };
    let body = chat_body(&json!({"tokens": 1, "delayMs": 0})).to_string();
    let request = TestRequest::new("POST", "").json(body).paced(timeout * 3);
    server.expect_problem(request, 408, "body-too-slow").await?;
    Ok(())
}

pub(crate) async fn an_unsupported_accept_is_406(server: HttpFixture) -> CaseResult {
    let (id, _) = server
        .run_to_end(&json!({"tokens": 1, "delayMs": 0}))
        .await?;
    let start = TestRequest::script(&json!({"tokens": 1, "delayMs": 0}));
    for request in [start, TestRequest::get(&id)] {
        let problem = server.expect_problem(request.accept("text/html"), 406, "not-acceptable");
        let problem: Value = problem.await?;
        let detail = problem["detail"].as_str().unwrap_or_default();
        for there_is in [
            "application/x-ndjson",
            "text/event-stream",
            "application/json",
        ] {
            ensure!(
                detail.contains(there_is),
                "{detail:?} doesn't name {there_is}"
            );
        }
    }
    Ok(())
}

pub(crate) async fn one_session_too_many_is_429(server: HttpFixture) -> CaseResult {
    let target = &server.target;
    let of_one_owner = target
        .running_per_owner
        .filter(|_| target.stranger.is_some());
    let Some(limit) = of_one_owner.or(target.running) else {
        return Err(CaseStop::NotApplicable(
            "the target describes no limit of running sessions".into(),
        ));
    };
    // Sessions of other cases count, too.
    server.stop_all().await?;
    let silent = json!({"tokens": 1, "fault": {"at": 0, "kind": "hang"}});
    let mut ids = Vec::new();
    for _ in 0..limit {
        let id = new_id();
        // A session that was aborted may be counted a little longer.
        eventually!(
            server
                .send(TestRequest::script(&silent).session_id(&id))
                .await?
                .status()
                == 200,
            "as many sessions run as may"
        );
        ids.push(id);
    }
    one_more_is_refused(&server, &silent).await?;
    let attach = TestRequest::script(&silent).session_id(&ids[0]);
    server.expect(attach, 200).await?;
    server.expect(TestRequest::abort(&ids[0]), 202).await?;
    let id = new_id();
    eventually!(
        server
            .send(TestRequest::script(&silent).session_id(&id))
            .await?
            .status()
            == 200,
        "a session that ended makes room"
    );
    ids.push(id);
    one_more_is_refused(&server, &silent).await?;
    if of_one_owner.is_some() {
        let of_another = TestRequest::script(&silent).by_stranger();
        let id = server.expect(of_another, 200).await?.id()?;
        let abort = TestRequest::abort(&id).by_stranger();
        server.expect(abort, 202).await?;
    }
    for id in &ids[1..] {
        server.expect(TestRequest::abort(id), 202).await?;
    }
    Ok(())
}

/// A refused start neither takes nor frees a place.
async fn one_more_is_refused(server: &HttpFixture, script: &Value) -> CaseResult {
    for _ in 0..3 {
        server
            .expect_problem(TestRequest::script(script), 429, "over-limit")
            .await?;
    }
    Ok(())
}

pub(crate) async fn a_refusal_starts_nothing(server: HttpFixture) -> CaseResult {
    let name = new_id();
    let script = json!({"tokens": 1, "delayMs": 0, "tally": name});
    let start = || TestRequest::script(&script);
    for (request, status) in [
        (start().session_id("short"), 400),
        (start().accept("text/html"), 406),
        (start().header(header::CONTENT_TYPE, "text/plain"), 415),
        (start().after(3), 400),
        (start().session_id(&new_id()).after(3), 404),
    ] {
        server.expect(request, status).await?;
    }
    ensure_eq!(
        server.provider_counts(&name).await?.calls,
        0,
        "calls of the provider"
    );
    Ok(())
}
