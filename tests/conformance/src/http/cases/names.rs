//! The lengths of the names that a client chooses.

use serde_json::{Value, json};

use crate::{
    http::{
        fixture::{HttpFixture, new_id},
        request::{TestRequest, chat_body},
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

/// The maximum length of a name.
const NAME: usize = 128;
/// The maximum length of the id of a call.
const CALL_ID: usize = 160;

/// A name in the body of a request.
struct BodyName {
    place: &'static str,
    most: usize,
    status: u16,
    problem: &'static str,
    put: fn(&mut Value, &str),
}

const BODY: [BodyName; 7] = [
    BodyName {
        place: "chatId",
        most: NAME,
        status: 422,
        problem: "wrong-shape",
        put: |body, name| body["chatId"] = name.into(),
    },
    BodyName {
        place: "continues",
        most: NAME,
        status: 400,
        problem: "malformed-id",
        put: |body, name| body["continues"] = name.into(),
    },
    BodyName {
        place: "enabledTools",
        most: NAME,
        status: 422,
        problem: "wrong-shape",
        put: |body, name| body["enabledTools"] = json!([name]),
    },
    BodyName {
        place: "the name of a tool of the client",
        most: NAME,
        status: 422,
        problem: "wrong-shape",
        put: |body, name| {
            body["isomorphicTools"] = json!([{
                "name": name, "description": "A tool.", "parameters": {"type": "object"},
            }]);
        },
    },
    BodyName {
        place: "the name of a tool in an earlier call",
        most: NAME,
        status: 422,
        problem: "wrong-shape",
        put: |body, name| earlier_call(body, ["call_1"; 2], name),
    },
    BodyName {
        place: "the id of an earlier call",
        most: CALL_ID,
        status: 422,
        problem: "wrong-shape",
        put: |body, id| earlier_call(body, [id, "call_1"], "clock"),
    },
    BodyName {
        place: "the id of the call of an earlier result",
        most: CALL_ID,
        status: 422,
        problem: "wrong-shape",
        put: |body, id| earlier_call(body, ["call_1", id], "clock"),
    },
];

/// Puts an earlier call of a tool and its result before the message of the user.
fn earlier_call(body: &mut Value, [call, result]: [&str; 2], tool: &str) {
    body["messages"] = json!([
        {"role": "user", "content": "What time is it?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": call, "name": tool, "arguments": {}}],
        },
        {"role": "tool", "tool_call_id": result, "content": "Half past nine."},
        {"role": "user", "content": "Again, please."},
    ]);
}

/// Returns a name of this length that no other test has.
fn name(bytes: usize) -> String {
    let unique = new_id();
    format!("{unique}{}", "n".repeat(bytes - unique.len()))
}

/// Checks that a start with this id left no session and called no provider.
async fn nothing_is_kept(server: &HttpFixture, id: &str, tally: &str) -> CaseResult {
    let read = TestRequest::get(id);
    server.expect_problem(read, 404, "not-found").await?;
    let calls = server.provider_counts(tally).await?.calls;
    ensure_eq!(calls, 0, "calls of the provider");
    Ok(())
}

pub(crate) async fn a_name_in_a_body_has_128_bytes_at_most(server: HttpFixture) -> CaseResult {
    for field in BODY {
        let BodyName { place, most, .. } = field;
        let (id, tally) = (new_id(), new_id());
        let start = |name: &str| {
            let mut body = chat_body(&json!({"text": "Fine.", "delayMs": 0, "tally": tally}));
            (field.put)(&mut body, name);
            TestRequest::start(&body).session_id(&id)
        };
        let refused = start(&name(most + 1));
        let refused = server.expect_problem(refused, field.status, field.problem);
        refused.await.map_err(|stop| at(place, stop))?;
        let kept = nothing_is_kept(&server, &id, &tally).await;
        kept.map_err(|stop| at(place, stop))?;
        let fits = server.read_to_end(start(&name(most))).await;
        let text = fits.map_err(|stop| at(place, stop))?.text();
        ensure_eq!(text, "Fine.", "the answer with {place} of {most} bytes");
    }
    Ok(())
}

fn at(place: &str, stop: CaseStop) -> CaseStop {
    match stop {
        CaseStop::Failed(why) => CaseStop::Failed(format!("{place}: {why}")),
        other @ CaseStop::NotApplicable(_) => other,
    }
}

pub(crate) async fn a_chat_id_has_1_to_128_bytes(server: HttpFixture) -> CaseResult {
    // Two bytes to a character.
    let (fits, too_long) = ("é".repeat(NAME / 2), "é".repeat(NAME / 2 + 1));
    let start = |chat: &str, id: &str, tally: &str| {
        let mut body = chat_body(&json!({"text": "Fine.", "delayMs": 0, "tally": tally}));
        body["chatId"] = chat.into();
        TestRequest::start(&body).session_id(id)
    };
    for refused in ["", &too_long] {
        let (id, tally) = (new_id(), new_id());
        let refused = start(refused, &id, &tally);
        server.expect_problem(refused, 422, "wrong-shape").await?;
        nothing_is_kept(&server, &id, &tally).await?;
    }
    server
        .read_to_end(start(&fits, &new_id(), &new_id()))
        .await?;

    let mine = name(NAME);
    let id = new_id();
    server.read_to_end(start(&mine, &id, &new_id())).await?;
    let list = |chat: &str| TestRequest::new("GET", "").query(&format!("chat={chat}"));
    for refused in [String::new(), format!("{mine}n")] {
        let refused = list(&refused);
        let refused = server.expect_problem(refused, 400, "malformed-parameter");
        refused.await?;
    }
    if server.target.stranger.is_some() {
        let page = server.expect(list(&mine), 200).await?.document().await?;
        let sessions = page["sessions"].as_array().map_or(&[][..], Vec::as_slice);
        let ids: Vec<_> = sessions.iter().map(|it| &it["id"]).collect();
        ensure_eq!(ids, [id.as_str()], "the sessions of the chat");
    }
    Ok(())
}

pub(crate) async fn an_id_in_a_path_has_128_bytes_at_most(server: HttpFixture) -> CaseResult {
    let fits = name(NAME);
    let too_long = format!("{fits}n");
    let tally = new_id();
    let script = json!({"text": "Fine.", "delayMs": 0, "tally": tally});
    let start = |id: &str| TestRequest::script(&script).query(&format!("sessionId={id}"));
    let requests = |id: &str| {
        let answer = json!({"action": "accept"}).to_string();
        [
            TestRequest::get(id),
            TestRequest::new("HEAD", format!("/{id}")),
            TestRequest::abort(id),
            TestRequest::delete(id),
            TestRequest::new("POST", format!("/{id}/inputs/q")).json(answer),
            TestRequest::script(&script).session_id(id).after(1),
        ]
    };
    for request in requests(&fits) {
        server.expect(request, 404).await?;
    }
    for request in requests(&too_long) {
        server.expect(request, 400).await?;
    }
    let refused = start(&too_long);
    server.expect_problem(refused, 400, "malformed-id").await?;
    nothing_is_kept(&server, &fits, &tally).await?;
    let answer = server.expect(start(&fits), 200).await?;
    ensure_eq!(answer.id()?, fits, "X-Session-Id");
    answer.read_to_end().await?;
    Ok(())
}

pub(crate) async fn an_input_id_has_128_bytes_at_most(server: HttpFixture) -> CaseResult {
    let fits = name(NAME);
    let script = json!({
        "text": "Well.", "delayMs": 0, "asks": [{"id": fits, "message": "How many?"}],
    });
    let mut waiting = server.expect(TestRequest::script(&script), 200).await?;
    let id = waiting.id()?;
    let asked = loop {
        let event = waiting.event().await?;
        match event.kind() {
            "input_request" => break event.value["inputId"].clone(),
            "error" => {
                return Err(CaseStop::NotApplicable("the provider asks nothing".into()));
            }
            _ => {}
        }
    };
    ensure_eq!(asked, fits.as_str(), "inputId");
    let answer = |input: &str| {
        let body = json!({"action": "accept", "content": 7}).to_string();
        TestRequest::new("POST", format!("/{id}/inputs/{input}")).json(body)
    };
    let refused = answer(&format!("{fits}n"));
    let document = server.expect_problem(refused, 404, "no-such-input").await?;
    let detail = document["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("129"), "the refusal says {detail:?}");
    let page = TestRequest::get(&id).accept("application/json");
    let page = server.expect(page, 200).await?.document().await?;
    ensure_eq!(page["status"], "waiting", "the status after a refusal");
    server.expect(answer(&fits), 202).await?;
    waiting.read_to_end().await?;
    Ok(())
}

pub(crate) async fn names_of_an_output_have_128_bytes_at_most(server: HttpFixture) -> CaseResult {
    let (call, tool) = (name(CALL_ID), name(NAME));
    let chat = new_id();
    let mut first = chat_body(&json!({
        "text": "Where?",
        "toolCalls": [{"id": call, "name": tool, "arguments": {}}],
        "delayMs": 0,
    }));
    first["chatId"] = chat.as_str().into();
    first["isomorphicTools"] = json!([{
        "name": tool, "description": "Where the user is.", "parameters": {"type": "object"},
    }]);
    let session = new_id();
    let start = TestRequest::start(&first).session_id(&session);
    let full = server.read_to_end(start).await?;
    ensure_eq!(full.ending()["finishReason"], "tool_calls", "finishReason");

    let tally = new_id();
    let answering = |call: &str, tool: &str, id: &str| {
        let mut body = chat_body(&json!({"text": "Thanks.", "delayMs": 0, "tally": tally}));
        body["chatId"] = chat.as_str().into();
        body["continues"] = session.as_str().into();
        body["isomorphicClientOutputs"] = json!([{
            "callId": call, "toolName": tool, "clientOutput": "Oslo",
        }]);
        TestRequest::start(&body).session_id(id)
    };
    let id = new_id();
    let long_call = answering(&format!("{call}n"), &tool, &id);
    let long_tool = answering(&call, &format!("{tool}n"), &id);
    for (refused, most) in [(long_call, CALL_ID), (long_tool, NAME)] {
        let document = server.expect_problem(refused, 422, "wrong-shape").await?;
        let detail = document["detail"].as_str().unwrap_or_default();
        ensure!(
            detail.contains(&most.to_string()),
            "the refusal says {detail:?}"
        );
        nothing_is_kept(&server, &id, &tally).await?;
    }
    let full = server.read_to_end(answering(&call, &tool, &id)).await?;
    ensure_eq!(full.text(), "Thanks.", "the answer");
    Ok(())
}
