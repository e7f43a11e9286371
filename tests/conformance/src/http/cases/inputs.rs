use serde_json::{Value, json};

use crate::{
    http::{
        answer_reader::{AnswerReader, NextItem},
        decode::ReceivedEvent,
        fixture::{HttpFixture, eventually, fresh},
        request::TestRequest,
    },
    report::{CaseStop, ensure, ensure_eq},
};

/// A session that asks something, and has come to that.
struct AskingSession {
    id: String,
    reader: AnswerReader,
    seen: Vec<ReceivedEvent>,
}

/// What comes of these questions.
async fn asked(bed: &HttpFixture, asks: Value) -> Result<AskingSession, CaseStop> {
    let id = fresh();
    let script = json!({"text": "before ", "delayMs": 0, "asks": asks});
    let start = TestRequest::script(&script).under(&id);
    let mut reader = bed.send(start).await?.expect(200).await?;
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

fn answer(id: &str, input: &str, body: &Value) -> TestRequest {
    TestRequest::new("POST", format!("/{id}/inputs/{input}")).json(body.to_string())
}

fn yes(content: &Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// A question for a number of days, at most seven.
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
    async fn status(&self, bed: &HttpFixture) -> Result<Value, CaseStop> {
        let page = TestRequest::get(&self.id).accept("application/json");
        let page = bed.send(page).await?.expect(200).await?;
        Ok(page.document().await?["status"].clone())
    }

    async fn give(&self, bed: &HttpFixture, input: &str, body: &Value) -> Result<Value, CaseStop> {
        let given = bed.send(answer(&self.id, input, body)).await?;
        given.expect(202).await?.document().await
    }

    async fn refused(
        &self,
        bed: &HttpFixture,
        call: TestRequest,
        status: u16,
        name: &str,
    ) -> Result<Value, CaseStop> {
        bed.send(call).await?.refused(status, name).await
    }
}

pub(in crate::http) async fn a_question_is_answered_and_the_answer_goes_on(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let it = asked(&bed, json!([days("days.1")])).await?;
    let question = &it.seen.last().expect("it was asked").value;
    ensure_eq!(question["inputId"], "days.1", "inputId");
    ensure_eq!(question["kind"], "question", "kind");
    ensure_eq!(question["message"], "How many days?", "message");
    ensure_eq!(question["schema"], days("")["schema"], "schema");
    ensure_eq!(it.status(&bed).await?, "waiting", "status while it asks");
    let given = it.give(&bed, "days.1", &yes(&json!({"days": 3}))).await?;
    ensure_eq!(given["id"], it.id, "whose answer is confirmed");
    ensure_eq!(given["inputId"], "days.1", "which answer is confirmed");
    ensure!(given["status"].is_string(), "no status in {given}");
    let whole = it.reader.whole().await?;
    ensure_eq!(
        whole.kinds(),
        ["input_resolved", "text", "complete"],
        "what follows the answer"
    );
    let resolved = &whole.events[0].value;
    ensure_eq!(resolved["inputId"], "days.1", "which question is resolved");
    ensure_eq!(resolved["action"], "accept", "what came of it");
    let told: Value = serde_json::from_str(&whole.text()).unwrap_or_default();
    ensure_eq!(told, yes(&json!({"days": 3})), "what the provider was told");
    Ok(())
}

pub(in crate::http) async fn who_declines_or_cancels_is_heard(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let it = asked(&bed, json!([days("a"), days("b"), {"id": "c"}])).await?;
    it.give(&bed, "a", &json!({"action": "decline"})).await?;
    eventually!(
        it.status(&bed).await? == "waiting"
            && bed
                .send(answer(&it.id, "b", &json!({"action": "cancel"})))
                .await?
                .status()
                == 202,
        "the second question is asked once the first is answered"
    );
    eventually!(
        bed.send(answer(&it.id, "c", &json!({"action": "accept"})))
            .await?
            .status()
            == 202,
        "the third question is asked, and takes no content"
    );
    let whole = it.reader.whole().await?;
    let outcomes: Vec<_> = whole
        .events
        .iter()
        .filter(|event| event.kind() == "input_resolved")
        .map(|event| &event.value["action"])
        .collect();
    ensure_eq!(outcomes, ["decline", "cancel", "accept"], "what came of it");
    Ok(())
}

pub(in crate::http) async fn a_question_is_answered_once(bed: HttpFixture) -> Result<(), CaseStop> {
    let it = asked(&bed, json!([{"id": "once"}, {"id": "held"}])).await?;
    let race: Vec<_> = (0..6)
        .map(|at| {
            let (bed, call) = (bed.clone(), answer(&it.id, "once", &yes(&json!(at))));
            tokio::spawn(async move { bed.send(call).await })
        })
        .collect();
    let mut won = Vec::new();
    for (task, at) in race.into_iter().zip(0..) {
        let failed = |panic: tokio::task::JoinError| CaseStop::Failed(panic.to_string());
        let given = task.await.map_err(failed)??;
        if given.status() == 202 {
            won.push(at);
        } else {
            given.refused(409, "input-answered").await?;
        }
    }
    ensure_eq!(won.len(), 1, "answers that were taken");
    // Whoever lost the response repeats the request.
    for _ in 0..2 {
        it.give(&bed, "once", &yes(&json!(won[0]))).await?;
    }
    let other = answer(&it.id, "once", &json!({"action": "decline"}));
    it.refused(&bed, other, 409, "input-answered").await?;
    eventually!(
        bed.send(answer(&it.id, "held", &json!({"action": "decline"})))
            .await?
            .status()
            == 202,
        "the next question is asked"
    );
    let id = it.id.clone();
    let whole = it.reader.whole().await?;
    let told: Value = serde_json::from_str(
        whole.events[1].value["content"]
            .as_str()
            .unwrap_or_default(),
    )
    .unwrap_or_default();
    ensure_eq!(told, yes(&json!(won[0])), "what the provider was told");
    let late = answer(&id, "once", &json!({"action": "decline"}));
    bed.send(late).await?.refused(409, "input-answered").await?;
    Ok(())
}

pub(in crate::http) async fn an_answer_that_does_not_fit_is_422_and_nothing_comes_of_it(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let it = asked(&bed, json!([days("fit")])).await?;
    for content in [
        json!({}),
        json!({"days": 8}),
        json!({"days": "3"}),
        json!(3),
    ] {
        let call = answer(&it.id, "fit", &yes(&content));
        let problem = it.refused(&bed, call, 422, "unfit-answer").await?;
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
        let call = answer(&it.id, "fit", &body);
        it.refused(&bed, call, 422, "unfit-answer").await?;
    }
    let call = answer(&it.id, "fit", &Value::Null).json("{\"action\":");
    it.refused(&bed, call, 400, "not-json").await?;
    let call = answer(&it.id, "fit", &yes(&json!({"days": 3})))
        .with(http::header::CONTENT_TYPE, "text/plain");
    it.refused(&bed, call, 415, "unsupported-media-type")
        .await?;
    ensure_eq!(it.status(&bed).await?, "waiting", "status after refusals");
    it.give(&bed, "fit", &yes(&json!({"days": 7}))).await?;
    let whole = it.reader.whole().await?;
    ensure_eq!(whole.ending()["type"], "complete", "the ending");
    Ok(())
}

pub(in crate::http) async fn what_was_never_asked_is_404(bed: HttpFixture) -> Result<(), CaseStop> {
    let it = asked(&bed, json!([{"id": "asked"}])).await?;
    for input in ["never-asked", "-no-id", "ASKED"] {
        let call = answer(&it.id, input, &json!({"action": "decline"}));
        it.refused(&bed, call, 404, "no-such-input").await?;
    }
    let nowhere = answer(&fresh(), "asked", &json!({"action": "decline"}));
    it.refused(&bed, nowhere, 404, "not-found").await?;
    let short = answer("short", "asked", &json!({"action": "decline"}));
    it.refused(&bed, short, 400, "malformed-id").await?;
    for path in [
        format!("/{}/inputs", it.id),
        format!("/{}/inputs/asked/more", it.id),
    ] {
        let call = TestRequest::new("POST", path).json("{}");
        it.refused(&bed, call, 404, "no-such-route").await?;
    }
    for method in ["GET", "PUT", "DELETE"] {
        let call = TestRequest::new(method, format!("/{}/inputs/asked", it.id));
        let refused = bed.send(call).await?;
        let allow = refused.header(http::header::ALLOW)?.to_owned();
        refused.refused(405, "method-not-allowed").await?;
        ensure!(
            allow.contains("POST"),
            "Allow of a refused {method} is {allow}"
        );
    }
    it.give(&bed, "asked", &json!({"action": "decline"}))
        .await?;
    it.reader.whole().await.map(drop)
}

pub(in crate::http) async fn who_comes_too_late_is_told_so(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let brief = json!([{"id": "brief", "timeoutMs": 100}, {"id": "held"}]);
    let mut it = asked(&bed, brief).await?;
    let resolved = it.reader.event().await?;
    ensure_eq!(resolved.kind(), "input_resolved", "what comes in time");
    ensure_eq!(resolved.value["action"], "timeout", "what came of it");
    let late = answer(&it.id, "brief", &json!({"action": "accept"}));
    it.refused(&bed, late, 409, "input-answered").await?;
    bed.send(TestRequest::abort(&it.id))
        .await?
        .expect(202)
        .await?;
    let id = it.id.clone();
    let whole = it.reader.stopped().await?;
    ensure_eq!(whole.ending()["type"], "aborted", "the ending");
    for (input, status, name) in [
        ("brief", 409, "input-answered"),
        ("held", 409, "input-answered"),
        ("never-asked", 404, "no-such-input"),
    ] {
        let late = answer(&id, input, &json!({"action": "accept"}));
        bed.send(late).await?.refused(status, name).await?;
    }
    bed.send(TestRequest::delete(&id)).await?.empty(204).await?;
    let gone = answer(&id, "held", &json!({"action": "accept"}));
    bed.send(gone).await?.refused(410, "gone").await?;
    Ok(())
}

pub(in crate::http) async fn abort_stops_a_session_that_waits(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let it = asked(&bed, json!([{"id": "held"}])).await?;
    bed.send(TestRequest::abort(&it.id))
        .await?
        .expect(202)
        .await?;
    let whole = it.reader.stopped().await?;
    ensure_eq!(whole.kinds(), ["aborted"], "what follows");
    Ok(())
}

pub(in crate::http) async fn a_stranger_answers_nothing(bed: HttpFixture) -> Result<(), CaseStop> {
    if bed.target.stranger.is_none() {
        return Err(CaseStop::NotApplicable(
            "the suite was told of no second caller".into(),
        ));
    }
    let it = asked(&bed, json!([{"id": "mine"}])).await?;
    let theirs = |id: &str| answer(id, "mine", &json!({"action": "accept"})).by_stranger();
    let there = it.refused(&bed, theirs(&it.id), 404, "not-found").await?;
    let nowhere = it.refused(&bed, theirs(&fresh()), 404, "not-found").await?;
    ensure_eq!(there, nowhere, "what is another's and what isn't there");
    ensure_eq!(it.status(&bed).await?, "waiting", "status after that");
    it.give(&bed, "mine", &json!({"action": "decline"})).await?;
    let whole = it.reader.whole().await?;
    ensure_eq!(
        whole.events[0].value["action"],
        "decline",
        "what came of it"
    );
    Ok(())
}
