use serde_json::{Value, json};

use crate::{
    http::{
        answer_reader::{AnswerReader, NextItem},
        decode::ReceivedEvent,
        fixture::{HttpFixture, eventually, new_id},
        request::TestRequest,
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

/// A session that waits for the answer to a question.
struct AskingSession {
    id: String,
    reader: AnswerReader,
    seen: Vec<ReceivedEvent>,
}

/// Starts a session with these questions, and reads up to the first one.
async fn start_asking(server: &HttpFixture, asks: Value) -> Result<AskingSession, CaseStop> {
    let id = new_id();
    let script = json!({"text": "before ", "delayMs": 0, "asks": asks});
    let start = TestRequest::script(&script).session_id(&id);
    let mut reader = server.expect(start, 200).await?;
    let mut seen = Vec::new();
    loop {
        match reader.next().await? {
            NextItem::Event(event) if event.kind() == "input_request" => {
                seen.push(event);
                return Ok(AskingSession { id, reader, seen });
            }
            NextItem::Event(event) if event.kind() == "error" => {
                return Err(CaseStop::NotApplicable(
                    format!("the provider asks nothing: {}", event.value["message"]).into(),
                ));
            }
            NextItem::Event(event) => seen.push(event),
            other => return Err(CaseStop::Failed(format!("{other:?} instead of a question"))),
        }
    }
}

fn answer_request(id: &str, input: &str, body: &Value) -> TestRequest {
    TestRequest::new("POST", format!("/{id}/inputs/{input}")).json(body.to_string())
}

fn accept(content: &Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// A question about a number of days, at most seven.
fn days(input: &str) -> Value {
    json!({
        "id": input,
        "message": "How many days?",
        "schema": {
            "type": "object",
            "properties": {"days": {"type": "integer", "maximum": 7}},
            "required": ["days"],
        },
    })
}

impl AskingSession {
    async fn status(&self, server: &HttpFixture) -> Result<Value, CaseStop> {
        let page = TestRequest::get(&self.id).accept("application/json");
        let page = server.expect(page, 200).await?;
        Ok(page.document().await?["status"].clone())
    }

    async fn answer(
        &self,
        server: &HttpFixture,
        input: &str,
        body: &Value,
    ) -> Result<Value, CaseStop> {
        let confirmed = server.send(answer_request(&self.id, input, body)).await?;
        confirmed.expect(202).await?.document().await
    }
}

pub(crate) async fn a_question_is_answered_and_the_answer_goes_on(
    server: HttpFixture,
) -> CaseResult {
    let session = start_asking(&server, json!([days("days.1")])).await?;
    let question = &session.seen.last().expect("it was asked").value;
    ensure_eq!(question["inputId"], "days.1", "inputId");
    ensure_eq!(question["kind"], "question", "kind");
    ensure_eq!(question["message"], "How many days?", "message");
    ensure_eq!(question["schema"], days("")["schema"], "schema");
    ensure_eq!(
        session.status(&server).await?,
        "waiting",
        "status while it asks"
    );
    let confirmed = session
        .answer(&server, "days.1", &accept(&json!({"days": 3})))
        .await?;
    ensure_eq!(
        confirmed["id"],
        session.id,
        "the session of the confirmed answer"
    );
    ensure_eq!(
        confirmed["inputId"],
        "days.1",
        "the question of the confirmed answer"
    );
    ensure!(confirmed["status"].is_string(), "no status in {confirmed}");
    let full = session.reader.read_to_end().await?;
    ensure_eq!(
        full.kinds(),
        ["input_resolved", "text", "complete"],
        "what follows the answer"
    );
    let resolved = &full.events[0].value;
    ensure_eq!(resolved["inputId"], "days.1", "the resolved question");
    ensure_eq!(resolved["action"], "accept", "the action");
    let received: Value = serde_json::from_str(&full.text()).unwrap_or_default();
    ensure_eq!(
        received,
        accept(&json!({"days": 3})),
        "what the provider received"
    );
    Ok(())
}

pub(crate) async fn a_question_can_be_declined_or_cancelled(server: HttpFixture) -> CaseResult {
    let session = start_asking(&server, json!([days("a"), days("b"), {"id": "c"}])).await?;
    session
        .answer(&server, "a", &json!({"action": "decline"}))
        .await?;
    eventually!(
        session.status(&server).await? == "waiting"
            && server
                .send(answer_request(
                    &session.id,
                    "b",
                    &json!({"action": "cancel"})
                ))
                .await?
                .status()
                == 202,
        "the second question is asked once the first is answered"
    );
    eventually!(
        server
            .send(answer_request(
                &session.id,
                "c",
                &json!({"action": "accept"})
            ))
            .await?
            .status()
            == 202,
        "the third question is asked, and takes no content"
    );
    let full = session.reader.read_to_end().await?;
    let outcomes: Vec<_> = full
        .events
        .iter()
        .filter(|event| event.kind() == "input_resolved")
        .map(|event| &event.value["action"])
        .collect();
    ensure_eq!(outcomes, ["decline", "cancel", "accept"], "the action");
    Ok(())
}

pub(crate) async fn a_question_is_answered_once(server: HttpFixture) -> CaseResult {
    let session = start_asking(&server, json!([{"id": "once"}, {"id": "held"}])).await?;
    let race: Vec<_> = (0..6)
        .map(|at| {
            let (server, request) = (
                server.clone(),
                answer_request(&session.id, "once", &accept(&json!(at))),
            );
            tokio::spawn(async move { server.send(request).await })
        })
        .collect();
    let mut won = Vec::new();
    for (task, at) in race.into_iter().zip(0..) {
        let failed = |panic: tokio::task::JoinError| CaseStop::Failed(panic.to_string());
        let confirmed = task.await.map_err(failed)??;
        if confirmed.status() == 202 {
            won.push(at);
        } else {
            confirmed.expect_problem(409, "input-answered").await?;
        }
    }
    ensure_eq!(won.len(), 1, "answers that were taken");
    // A client that lost the response repeats the request.
    for _ in 0..2 {
        session
            .answer(&server, "once", &accept(&json!(won[0])))
            .await?;
    }
    let other = answer_request(&session.id, "once", &json!({"action": "decline"}));
    server.expect_problem(other, 409, "input-answered").await?;
    eventually!(
        server
            .send(answer_request(
                &session.id,
                "held",
                &json!({"action": "decline"})
            ))
            .await?
            .status()
            == 202,
        "the next question is asked"
    );
    let id = session.id.clone();
    let full = session.reader.read_to_end().await?;
    let received: Value =
        serde_json::from_str(full.events[1].value["content"].as_str().unwrap_or_default())
            .unwrap_or_default();
    ensure_eq!(
        received,
        accept(&json!(won[0])),
        "what the provider received"
    );
    let late = answer_request(&id, "once", &json!({"action": "decline"}));
    server.expect_problem(late, 409, "input-answered").await?;
    Ok(())
}

pub(crate) async fn an_answer_that_does_not_fit_its_schema_is_422(
    server: HttpFixture,
) -> CaseResult {
    let session = start_asking(&server, json!([days("fit")])).await?;
    for content in [
        json!({}),
        json!({"days": 8}),
        json!({"days": "3"}),
        json!(3),
    ] {
        let request = answer_request(&session.id, "fit", &accept(&content));
        let problem = server.expect_problem(request, 422, "unfit-answer").await?;
        let detail = problem["detail"].as_str().unwrap_or_default();
        let says_where = content.get("days").is_none() || detail.contains("/days");
        ensure!(
            says_where,
            "{detail:?} doesn't say where {content} is wrong"
        );
    }
    for body in [
        json!([]),
        json!({}),
        json!({"action": "shrug"}),
        json!("yes"),
    ] {
        let request = answer_request(&session.id, "fit", &body);
        server.expect_problem(request, 422, "unfit-answer").await?;
    }
    let request = answer_request(&session.id, "fit", &Value::Null).json("{\"action\":");
    server.expect_problem(request, 400, "not-json").await?;
    let request = answer_request(&session.id, "fit", &accept(&json!({"days": 3})))
        .header(http::header::CONTENT_TYPE, "text/plain");
    server
        .expect_problem(request, 415, "unsupported-media-type")
        .await?;
    ensure_eq!(
        session.status(&server).await?,
        "waiting",
        "status after refusals"
    );
    session
        .answer(&server, "fit", &accept(&json!({"days": 7})))
        .await?;
    let full = session.reader.read_to_end().await?;
    ensure_eq!(full.ending()["type"], "complete", "the ending");
    Ok(())
}

pub(crate) async fn an_unknown_question_is_404(server: HttpFixture) -> CaseResult {
    let session = start_asking(&server, json!([{"id": "asked"}])).await?;
    for input in ["never-asked", "-no-id", "ASKED"] {
        let request = answer_request(&session.id, input, &json!({"action": "decline"}));
        server.expect_problem(request, 404, "no-such-input").await?;
    }
    let nowhere = answer_request(&new_id(), "asked", &json!({"action": "decline"}));
    server.expect_problem(nowhere, 404, "not-found").await?;
    let short = answer_request("short", "asked", &json!({"action": "decline"}));
    server.expect_problem(short, 400, "malformed-id").await?;
    for path in [
        format!("/{}/inputs", session.id),
        format!("/{}/inputs/asked/more", session.id),
    ] {
        let request = TestRequest::new("POST", path).json("{}");
        server.expect_problem(request, 404, "no-such-route").await?;
    }
    for method in ["GET", "PUT", "DELETE"] {
        let request = TestRequest::new(method, format!("/{}/inputs/asked", session.id));
        let refused = server.send(request).await?;
        let allow = refused.header(http::header::ALLOW)?.to_owned();
        refused.expect_problem(405, "method-not-allowed").await?;
        ensure!(
            allow.contains("POST"),
            "Allow of a refused {method} is {allow}"
        );
    }
    session
        .answer(&server, "asked", &json!({"action": "decline"}))
        .await?;
    session.reader.read_to_end().await.map(drop)
}

pub(crate) async fn a_late_answer_is_refused(server: HttpFixture) -> CaseResult {
    let brief = json!([{"id": "brief", "timeoutMs": 100}, {"id": "held"}]);
    let mut session = start_asking(&server, brief).await?;
    let resolved = session.reader.event().await?;
    ensure_eq!(
        resolved.kind(),
        "input_resolved",
        "the event after the timeout"
    );
    ensure_eq!(resolved.value["action"], "timeout", "the action");
    let late = answer_request(&session.id, "brief", &json!({"action": "accept"}));
    server.expect_problem(late, 409, "input-answered").await?;
    server.expect(TestRequest::abort(&session.id), 202).await?;
    let id = session.id.clone();
    let full = session.reader.read_aborted().await?;
    ensure_eq!(full.ending()["type"], "aborted", "the ending");
    for (input, status, name) in [
        ("brief", 409, "input-answered"),
        ("held", 409, "input-answered"),
        ("never-asked", 404, "no-such-input"),
    ] {
        let late = answer_request(&id, input, &json!({"action": "accept"}));
        server.expect_problem(late, status, name).await?;
    }
    server.expect_empty(TestRequest::delete(&id), 204).await?;
    let gone = answer_request(&id, "held", &json!({"action": "accept"}));
    server.expect_problem(gone, 410, "gone").await?;
    Ok(())
}

pub(crate) async fn abort_stops_a_session_that_waits(server: HttpFixture) -> CaseResult {
    let session = start_asking(&server, json!([{"id": "held"}])).await?;
    server.expect(TestRequest::abort(&session.id), 202).await?;
    let full = session.reader.read_aborted().await?;
    ensure_eq!(full.kinds(), ["aborted"], "what follows");
    Ok(())
}

pub(crate) async fn another_caller_can_not_answer(server: HttpFixture) -> CaseResult {
    if server.target.stranger.is_none() {
        return Err(CaseStop::NotApplicable(
            "the target describes no second caller".into(),
        ));
    }
    let session = start_asking(&server, json!([{"id": "mine"}])).await?;
    let theirs = |id: &str| answer_request(id, "mine", &json!({"action": "accept"})).by_stranger();
    let there = server
        .expect_problem(theirs(&session.id), 404, "not-found")
        .await?;
    let nowhere = server
        .expect_problem(theirs(&new_id()), 404, "not-found")
        .await?;
    ensure_eq!(there, nowhere, "what is another's and what isn't there");
    ensure_eq!(
        session.status(&server).await?,
        "waiting",
        "status after that"
    );
    session
        .answer(&server, "mine", &json!({"action": "decline"}))
        .await?;
    let full = session.reader.read_to_end().await?;
    ensure_eq!(full.events[0].value["action"], "decline", "the action");
    Ok(())
}
