use http::header;
use serde_json::{Value, json};

use crate::{
    http::{
        fixture::{HttpFixture, eventually, fresh},
        request::{TestRequest, following},
    },
    report::{CaseStop, ensure, ensure_eq},
};

fn raw(body: &'static str) -> TestRequest {
    TestRequest::new("POST", "").json(body)
}

pub(in crate::http) async fn what_is_not_json_is_400(bed: HttpFixture) -> Result<(), CaseStop> {
    for body in ["{", "", "Hi", "{\"messages\":[]}}"] {
        bed.send(raw(body)).await?.refused(400, "not-json").await?;
    }
    Ok(())
}

pub(in crate::http) async fn json_of_the_wrong_shape_is_422(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    for body in [
        "[]",
        "{}",
        r#"{"messages":"Hi"}"#,
        r#"{"messages":[]}"#,
        r#"{"messages":[{"role":"nobody","content":"Hi"}]}"#,
    ] {
        bed.send(raw(body))
            .await?
            .refused(422, "wrong-shape")
            .await?;
    }
    Ok(())
}

pub(in crate::http) async fn what_is_not_open_to_clients_is_422(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let hi = json!([{"role": "user", "content": "Hi"}]);
    for body in [
        json!({"messages": hi, "model": "expensive"}),
        json!({"messages": hi, "systemPrompt": "Obey."}),
        json!({"messages": [{"role": "system", "content": "Obey."}]}),
    ] {
        bed.send(TestRequest::start(&body))
            .await?
            .refused(422, "not-open")
            .await?;
    }
    Ok(())
}

pub(in crate::http) async fn unknown_fields_are_dropped(bed: HttpFixture) -> Result<(), CaseStop> {
    let mut body = following(&json!({"text": "as asked", "delayMs": 0}));
    body["temperature"] = json!(2);
    body["nobodyKnowsThis"] = json!({"a": [1]});
    ensure_eq!(
        bed.whole(TestRequest::start(&body)).await?.text(),
        "as asked",
        "the answer"
    );
    Ok(())
}

pub(in crate::http) async fn a_body_of_another_type_is_415(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let body = following(&json!({"tokens": 1, "delayMs": 0}));
    for other in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let call = TestRequest::start(&body).with(header::CONTENT_TYPE, other);
        bed.send(call)
            .await?
            .refused(415, "unsupported-media-type")
            .await?;
    }
    let mut call = TestRequest::start(&body);
    call.headers.clear();
    bed.send(call)
        .await?
        .refused(415, "unsupported-media-type")
        .await?;
    let call =
        TestRequest::start(&body).with(header::CONTENT_TYPE, "application/json; charset=utf-8");
    bed.whole(call).await?;
    Ok(())
}

pub(in crate::http) async fn a_body_may_have_as_many_bytes_as_it_may(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let max = bed.target.max_body;
    let sized = |bytes: usize| {
        let mut body = following(&json!({"tokens": 1, "delayMs": 0}));
        body["padding"] = json!("");
        let missing = bytes - body.to_string().len();
        body["padding"] = json!("a".repeat(missing));
        TestRequest::start(&body)
    };
    bed.whole(sized(max)).await?;
    bed.send(sized(max + 1))
        .await?
        .refused(413, "body-too-large")
        .await?;
    Ok(())
}

pub(in crate::http) async fn a_body_that_is_too_slow_is_408(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let Some(timeout) = bed.target.body_timeout else {
        return Err(CaseStop::NotApplicable(
            "the suite was told of no timeout for bodies".into(),
        ));
    };
    let body = following(&json!({"tokens": 1, "delayMs": 0})).to_string();
    let call = TestRequest::new("POST", "").json(body).slowly(timeout * 3);
    bed.send(call).await?.refused(408, "body-too-slow").await?;
    Ok(())
}

pub(in crate::http) async fn what_nobody_can_answer_is_406(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, _) = bed.finished(&json!({"tokens": 1, "delayMs": 0})).await?;
    let start = TestRequest::script(&json!({"tokens": 1, "delayMs": 0}));
    for call in [start, TestRequest::get(&id)] {
        let problem = bed
            .send(call.accept("text/html"))
            .await?
            .refused(406, "not-acceptable");
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

pub(in crate::http) async fn one_session_too_many_is_429(bed: HttpFixture) -> Result<(), CaseStop> {
    let target = &bed.target;
    let of_one_owner = target
        .running_per_owner
        .filter(|_| target.stranger.is_some());
    let Some(limit) = of_one_owner.or(target.running) else {
        return Err(CaseStop::NotApplicable(
            "the suite was told of no limit of running sessions".into(),
        ));
    };
    // One of another case's would take a place.
    bed.stop_all().await?;
    let silent = json!({"tokens": 1, "fault": {"at": 0, "kind": "hang"}});
    let mut ids = Vec::new();
    for _ in 0..limit {
        let id = fresh();
        // The server may notice a little later that what was stopped has ended.
        eventually!(
            bed.send(TestRequest::script(&silent).under(&id))
                .await?
                .status()
                == 200,
            "as many sessions run as may"
        );
        ids.push(id);
    }
    one_more_is_refused(&bed, &silent).await?;
    let attach = TestRequest::script(&silent).under(&ids[0]);
    bed.send(attach).await?.expect(200).await?;
    bed.send(TestRequest::abort(&ids[0]))
        .await?
        .expect(202)
        .await?;
    let id = fresh();
    eventually!(
        bed.send(TestRequest::script(&silent).under(&id))
            .await?
            .status()
            == 200,
        "a session that ended makes room"
    );
    ids.push(id);
    one_more_is_refused(&bed, &silent).await?;
    if of_one_owner.is_some() {
        let of_another = TestRequest::script(&silent).by_stranger();
        let id = bed.send(of_another).await?.expect(200).await?.id()?;
        let abort = TestRequest::abort(&id).by_stranger();
        bed.send(abort).await?.expect(202).await?;
    }
    for id in &ids[1..] {
        bed.send(TestRequest::abort(id)).await?.expect(202).await?;
    }
    Ok(())
}

/// Who is refused takes no place and makes none.
async fn one_more_is_refused(bed: &HttpFixture, script: &Value) -> Result<(), CaseStop> {
    for _ in 0..3 {
        bed.send(TestRequest::script(script))
            .await?
            .refused(429, "over-limit")
            .await?;
    }
    Ok(())
}

pub(in crate::http) async fn a_refusal_starts_nothing(bed: HttpFixture) -> Result<(), CaseStop> {
    let name = fresh();
    let script = json!({"tokens": 1, "delayMs": 0, "tally": name});
    let start = || TestRequest::script(&script);
    for (call, status) in [
        (start().under("short"), 400),
        (start().accept("text/html"), 406),
        (start().with(header::CONTENT_TYPE, "text/plain"), 415),
        (start().after(3), 400),
        (start().under(&fresh()).after(3), 404),
    ] {
        bed.send(call).await?.expect(status).await?;
    }
    ensure_eq!(bed.tally(&name).await?.calls, 0, "calls of the provider");
    Ok(())
}
