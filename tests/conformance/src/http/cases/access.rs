use serde_json::{Value, json};

use crate::{
    http::{
        fixture::{HttpFixture, new_id},
        request::{TestRequest, chat_body},
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

fn require_second_caller(server: &HttpFixture) -> CaseResult {
    match server.target.stranger {
        Some(_) => Ok(()),
        None => Err(CaseStop::NotApplicable(
            "the target describes no second caller".into(),
        )),
    }
}

pub(crate) async fn a_session_of_another_owner_looks_absent(server: HttpFixture) -> CaseResult {
    require_second_caller(&server)?;
    let name = new_id();
    let silent =
        json!({"tokens": 2, "delayMs": 0, "tally": name, "fault": {"at": 1, "kind": "hang"}});
    let (mine, absent) = (new_id(), new_id());
    let mut answer = server
        .expect(TestRequest::script(&silent).session_id(&mine), 200)
        .await?;
    answer.events(2).await?;
    let calls = |id: &str| {
        [
            TestRequest::get(id),
            TestRequest::get(id).accept("application/json"),
            TestRequest::get(id).accept("text/event-stream").after(1),
            TestRequest::script(&silent).session_id(id).after(0),
            TestRequest::abort(id),
            TestRequest::delete(id),
        ]
    };
    for (there, nowhere) in calls(&mine).into_iter().zip(calls(&absent)) {
        let there = server
            .expect_problem(there.by_stranger(), 404, "not-found")
            .await?;
        let nowhere = server
            .expect_problem(nowhere.by_stranger(), 404, "not-found")
            .await?;
        ensure_eq!(
            there,
            nowhere,
            "the refusals of what is another's and what isn't there"
        );
    }
    ensure_eq!(
        server.provider_counts(&name).await?.running,
        1,
        "the session that a stranger wants to stop"
    );
    server.expect(TestRequest::abort(&mine), 202).await?;
    server.expect_empty(TestRequest::delete(&mine), 204).await?;
    server
        .expect_problem(TestRequest::get(&mine).by_stranger(), 404, "not-found")
        .await?;
    server
        .expect_problem(TestRequest::get(&mine), 410, "gone")
        .await?;
    Ok(())
}

pub(crate) async fn a_chat_id_leads_no_other_caller_to_a_session(
    server: HttpFixture,
) -> CaseResult {
    let name = new_id();
    let chat = &name[..8];
    let mut body = chat_body(
        &json!({"tokens": 2, "delayMs": 0, "tally": name, "fault": {"at": 1, "kind": "hang"}}),
    );
    body["chatId"] = json!(chat);
    let mine = new_id();
    let start = TestRequest::start(&body).session_id(&mine);
    server.expect(start, 200).await?.events(2).await?;
    let has_owners = server.target.stranger.is_some();
    let by_another = |request: TestRequest| {
        if has_owners {
            request.by_stranger()
        } else {
            request
        }
    };
    // The chat in the place of an id, as other dialects have it.
    for request in [
        TestRequest::get(chat),
        TestRequest::abort(chat),
        TestRequest::delete(chat),
        TestRequest::new("GET", format!("/{chat}/stream")),
        TestRequest::new("POST", format!("/{chat}/stop")).json("{}"),
    ] {
        let status = server.send(by_another(request)).await?.status();
        ensure!(
            (400..500).contains(&status),
            "a request for the chat of another caller is answered with {status}"
        );
    }
    let list = TestRequest::new("GET", "").query(&format!("chat={chat}"));
    let listed = server.send(by_another(list)).await?;
    if listed.status() == 200 {
        let page: Value = listed.document().await?;
        ensure_eq!(
            page["sessions"],
            json!([]),
            "the sessions of another's chat"
        );
    } else {
        ensure_eq!(
            listed.status(),
            403,
            "the status of a list without an owner"
        );
    }
    ensure_eq!(
        server.provider_counts(&name).await?.running,
        1,
        "the session whose chat another caller names"
    );
    server.expect(TestRequest::abort(&mine), 202).await?;
    Ok(())
}

pub(crate) async fn an_id_of_another_owner_is_a_conflict(server: HttpFixture) -> CaseResult {
    require_second_caller(&server)?;
    let script = json!({"text": "mine", "delayMs": 0});
    let (id, _) = server.run_to_end(&script).await?;
    let same = TestRequest::script(&script).session_id(&id).by_stranger();
    server.expect_problem(same, 409, "id-in-use").await?;
    ensure_eq!(
        server.read_to_end(TestRequest::get(&id)).await?.text(),
        "mine",
        "the answer"
    );
    Ok(())
}
