//! Outputs under a run or response that names the one before it: `parentRunId` of AG-UI and
//! `previous_response_id` of OpenAI's Responses.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use unbroken::{
    access::AnyoneWithTheId,
    dialect::{AgUi, OpenAiResponses},
    durable::{DurableLayer, SessionEnded},
};

use super::seats::Seats;
use crate::{
    client::{Whole, With, empty, post, send},
    server::{MOUNT, Server, id, until},
};

/// Checks that the second half ran once, with the words of the log.
fn booked_once(seats: &Seats, seat: &str) {
    let given = seats.given();
    assert_eq!(given.len(), 1, "{given:?}");
    assert_eq!(given[0].params, json!({"number": "UN1"}));
    let handoff = json!({"flight": "UN1", "free": ["1A", "2C"]});
    assert_eq!(given[0].cached_handoff, Some(handoff));
    assert_eq!(given[0].client_output, seat);
    assert!(!given[0].claimed);
}

/// Waits until so many sessions have ended. Returns the last one.
async fn ended(seats: &Seats, count: usize) -> SessionEnded {
    until(async || seats.ended().len() == count).await;
    seats.ended().pop().unwrap()
}

fn booking_script() -> Value {
    json!({
        "text": "Let me see. ", "delayMs": 0,
        "toolCalls": [{"id": "1", "name": "seat", "arguments": {"number": "UN1"}}],
        "then": [{"results": true}],
    })
}

mod runs {
    use super::*;

    #[tokio::test]
    async fn an_output_counts_once_also_after_the_run_that_took_it_was_deleted() {
        let seats = Seats::default();
        let server = serve(&seats).await;
        hand_over(&server, "c").await;
        let named = choosing("second", Some("first"), "c", "1A");
        assert_eq!(ask(&server, "ann", &named).await.status(), 200);
        seats.delete(&id("second")).await;
        for parent in [Some("first"), None] {
            let other = choosing("third", parent, "c", "2C");
            refused(&ask(&server, "ann", &other).await, 409, "output-given");
        }
        booked_once(&seats, "1A");
    }

    async fn serve(seats: &Seats) -> Server {
        seats.serve_in(AgUi::new(), |it| it.history(4096)).await
    }

    /// A run whose model hands the call `1` of `seat` over.
    fn booking(run: &str, thread: &str) -> Value {
        json!({
            "threadId": thread, "runId": id(run), "script": booking_script(),
            "messages": [{"id": "m", "role": "user", "content": "Hi"}],
        })
    }

    /// A run with this output for the call `1`, whose parameters it makes up.
    fn choosing(run: &str, parent: Option<&str>, thread: &str, seat: &str) -> Value {
        let mut body = booking(run, thread);
        body["script"] = json!({"delayMs": 0, "then": [{"results": true}]});
        body["parentRunId"] = parent.map(id).into();
        let function = json!({"name": "seat", "arguments": "{\"number\":\"UN999\"}"});
        let call = json!({"id": "1", "type": "function", "function": function});
        body["messages"] = json!([
            {"id": "m", "role": "user", "content": "Hi"},
            {"id": "n", "role": "assistant", "content": "Any seat is yours.", "toolCalls": [call]},
            {"id": "o", "role": "tool", "toolCallId": "1", "content": seat},
        ]);
        body
    }

    async fn ask(server: &Server, user: &str, body: &Value) -> Whole {
        let request = post(MOUNT, body).with("x-user", user);
        send(server.addr, request).await.whole().await
    }

    async fn hand_over(server: &Server, thread: &str) {
        let whole = ask(server, "ann", &booking("first", thread)).await;
        assert_eq!(whole.status(), 200, "{}", whole.text());
        assert!(
            whole.text().contains("tool-input-available"),
            "{}",
            whole.text()
        );
    }

    fn refused(whole: &Whole, status: u16, problem: &str) {
        assert_eq!(whole.status(), status, "{}", whole.text());
        assert_eq!(whole.json()["type"], format!("urn:unbroken:{problem}"));
    }

    #[tokio::test]
    async fn an_output_counts_for_the_parent_run_once_with_the_parameters_of_the_log() {
        let seats = Seats::default();
        let server = serve(&seats).await;
        hand_over(&server, "c").await;
        // Too many younger runs of the thread for the parent to be found without its name.
        for at in 0..20 {
            let mut other = booking(&format!("other-{at}"), "c");
            other["script"] = json!({"tokens": 1, "delayMs": 0});
            assert_eq!(ask(&server, "ann", &other).await.status(), 200);
        }
        let unnamed = choosing("second", None, "c", "1A");
        refused(&ask(&server, "ann", &unnamed).await, 422, "not-open");

        let named = choosing("second", Some("first"), "c", "1A");
        let answer = ask(&server, "ann", &named).await;
        assert!(answer.text().contains("booked 1A"), "{}", answer.text());
        booked_once(&seats, "1A");
        let request = ended(&seats, 22).await.request;
        assert_eq!(request.messages[1].content, "Let me see. ");
        assert_eq!(
            request.messages[1].tool_calls[0].arguments,
            json!({"number": "UN1"})
        );
        let models = seats.models();
        let again = ask(&server, "ann", &named).await;
        assert_eq!(again.text(), answer.text(), "it attaches");
        for seat in ["1A", "2C"] {
            let other = choosing("third", Some("first"), "c", seat);
            refused(&ask(&server, "ann", &other).await, 409, "output-given");
        }
        assert_eq!(seats.models(), models);
        booked_once(&seats, "1A");
    }

    #[tokio::test]
    async fn a_parent_run_of_another_owner_or_thread_or_without_the_call_confirms_nothing() {
        let seats = Seats::default();
        let server = serve(&seats).await;
        hand_over(&server, "c").await;
        let mut plain = booking("plain", "e");
        plain["script"] = json!({"tokens": 1, "delayMs": 0});
        assert_eq!(ask(&server, "ann", &plain).await.status(), 200);
        let models = seats.models();
        let mut other_call = choosing("second", Some("first"), "c", "1A");
        other_call["messages"][1]["toolCalls"][0]["id"] = "9".into();
        other_call["messages"][2]["toolCallId"] = "9".into();
        for (user, forged) in [
            ("ben", choosing("second", Some("first"), "c", "1A")),
            ("ann", choosing("second", Some("first"), "d", "1A")),
            ("ann", choosing("second", Some("plain"), "e", "1A")),
            ("ann", choosing("second", Some("absent"), "d", "1A")),
            ("ann", other_call),
        ] {
            refused(&ask(&server, user, &forged).await, 422, "not-open");
        }
        let delete = empty("DELETE", &format!("{MOUNT}/{}", id("first"))).with("x-user", "ann");
        assert_eq!(send(server.addr, delete).await.status(), 204);
        let late = choosing("second", Some("first"), "c", "1A");
        refused(&ask(&server, "ann", &late).await, 422, "not-open");
        assert_eq!((seats.models(), seats.given().len()), (models, 0));
    }

    #[tokio::test]
    async fn an_output_for_a_run_of_another_owner_is_a_claim_where_claims_are_open() {
        let seats = Seats::default();
        let open = seats.serve_in(AgUi::new(), |it| it.history(4096).unverified_outputs(100));
        let server = open.await;
        hand_over(&server, "c").await;
        let forged = choosing("second", Some("first"), "c", "1A");
        let answer = ask(&server, "ben", &forged).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert!(!answer.text().contains("booked"), "{}", answer.text());
        assert_eq!(ended(&seats, 2).await.claims, ["1"]);
        assert_eq!(seats.given().len(), 0);
        // It took nothing from the owner.
        let own = choosing("third", Some("first"), "c", "2C");
        let answer = ask(&server, "ann", &own).await;
        assert!(answer.text().contains("booked 2C"), "{}", answer.text());
        assert!(ended(&seats, 3).await.claims.is_empty());
        booked_once(&seats, "2C");
    }

    #[tokio::test]
    async fn of_many_runs_with_one_parent_run_one_counts() {
        let seats = Seats::default();
        let server = serve(&seats).await;
        hand_over(&server, "c").await;
        let mut racing = JoinSet::new();
        for at in 0..24 {
            let body = choosing(&format!("racer-{at}"), Some("first"), "c", "1A");
            let request = post(MOUNT, &body).with("x-user", "ann");
            let addr = server.addr;
            racing.spawn(async move { send(addr, request).await.whole().await.status() });
        }
        let mut statuses = racing.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200);
        assert!(
            statuses[1..].iter().all(|status| *status == 409),
            "{statuses:?}"
        );
        booked_once(&seats, "1A");
    }

    #[tokio::test]
    async fn without_an_owner_the_parent_run_names_what_a_short_thread_does_not_find() {
        let seats = Seats::default();
        let layer = |sessions| {
            DurableLayer::new(sessions, AnyoneWithTheId::new())
                .dialect(AgUi::new())
                .secret_chat_ids()
        };
        let server = seats.serve_layer(layer, |it| it.history(4096)).await;
        hand_over(&server, "c").await;
        let unnamed = choosing("second", None, "c", "1A");
        refused(&ask(&server, "ann", &unnamed).await, 422, "not-open");
        let elsewhere = choosing("second", Some("first"), "d", "1A");
        refused(&ask(&server, "ann", &elsewhere).await, 422, "not-open");
        assert_eq!(seats.given().len(), 0);
        let named = choosing("second", Some("first"), "c", "1A");
        let answer = ask(&server, "ann", &named).await;
        assert!(answer.text().contains("booked 1A"), "{}", answer.text());
        let other = choosing("third", Some("first"), "c", "2C");
        refused(&ask(&server, "ann", &other).await, 409, "output-given");
        booked_once(&seats, "1A");
    }
}

mod responses {
    use super::*;

    async fn serve(seats: &Seats) -> Server {
        let dialect = OpenAiResponses::new();
        seats.serve_in(dialect, |it| it.history(4096)).await
    }

    async fn ask(server: &Server, user: &str, body: &Value) -> Whole {
        let request = post(&format!("{MOUNT}/responses"), body).with("x-user", user);
        send(server.addr, request).await.whole().await
    }

    /// Hands the call `1` of `seat` over. Returns the response.
    async fn hand_over(server: &Server) -> String {
        let body = json!({"input": "Hi", "script": booking_script()});
        let whole = ask(server, "ann", &body).await;
        assert_eq!(whole.status(), 200, "{}", whole.text());
        let response = whole.json();
        let output = response["output"].as_array().unwrap();
        assert!(
            output.iter().any(|item| item["type"] == "function_call"),
            "{response}"
        );
        response["id"].as_str().unwrap().to_owned()
    }

    fn output(call: &str, seat: &str) -> Value {
        json!({"type": "function_call_output", "call_id": call, "output": seat})
    }

    /// A request with this output for the call `1` of a response, and nothing of the conversation.
    fn choosing(previous: &str, seat: &str) -> Value {
        json!({
            "previous_response_id": previous, "input": [output("1", seat)],
            "script": {"delayMs": 0, "then": [{"results": true}]},
        })
    }

    fn refused(whole: &Whole, status: u16, problem: &str) {
        assert_eq!(whole.status(), status, "{}", whole.text());
        assert_eq!(whole.json()["error"]["code"], problem, "{}", whole.text());
    }

    #[tokio::test]
    async fn an_output_counts_for_the_previous_response_once_with_the_parameters_of_the_log() {
        let seats = Seats::default();
        let server = serve(&seats).await;
        let first = hand_over(&server).await;
        let mut unnamed = choosing(&first, "1A");
        unnamed
            .as_object_mut()
            .unwrap()
            .remove("previous_response_id");
        refused(&ask(&server, "ann", &unnamed).await, 422, "not_open");

        // The arguments are made up.
        let mut named = choosing(&first, "1A");
        named["input"] = json!([
            {"role": "user", "content": "Hi"},
            {"type": "function_call", "call_id": "1", "name": "seat", "arguments": "{\"number\":\"UN999\"}"},
            output("1", "1A"),
        ]);
        let answer = ask(&server, "ann", &named).await;
        assert!(answer.text().contains("booked 1A"), "{}", answer.text());
        booked_once(&seats, "1A");
        let request = ended(&seats, 2).await.request;
        let arguments = &request.messages[1].tool_calls[0].arguments;
        assert_eq!(arguments, &json!({"number": "UN1"}));
        let models = seats.models();
        let again = ask(&server, "ann", &named).await;
        assert_eq!(again.json()["id"], answer.json()["id"], "it attaches");
        for seat in ["1A", "2C"] {
            let other = choosing(&first, seat);
            refused(&ask(&server, "ann", &other).await, 409, "output_given");
        }
        assert_eq!(seats.models(), models);
        booked_once(&seats, "1A");
    }

    #[tokio::test]
    async fn outputs_alone_are_served_from_the_log_of_the_previous_response() {
        let seats = Seats::default();
        let server = serve(&seats).await;
        let first = hand_over(&server).await;
        let answer = ask(&server, "ann", &choosing(&first, "2C")).await;
        assert!(answer.text().contains("booked 2C"), "{}", answer.text());
        booked_once(&seats, "2C");
        let request = ended(&seats, 2).await.request;
        assert_eq!(request.messages[0].content, "Hi");
        assert_eq!(request.messages[1].content, "Let me see. ");
    }

    #[tokio::test]
    async fn a_previous_response_leads_to_those_that_followed_it() {
        let seats = Seats::default();
        let server = serve(&seats).await;
        let first = hand_over(&server).await;
        let mut second = choosing(&first, "1A");
        second["script"] = json!({"delayMs": 0, "then": [
            {"toolCalls": [{"id": "2", "name": "time", "arguments": {}}]},
            {"results": true},
        ]});
        let second = ask(&server, "ann", &second).await;
        assert_eq!(second.status(), 200, "{}", second.text());
        let second = second.json()["id"].as_str().unwrap().to_owned();
        let third = |previous: &str, time: &str| {
            let mut body = choosing(previous, "");
            body["input"] = json!([output("2", time)]);
            body
        };
        let answer = ask(&server, "ann", &third(&first, "noon")).await;
        assert!(answer.text().contains("noon"), "{}", answer.text());
        for previous in [&first, &second] {
            let other = third(previous, "midnight");
            refused(&ask(&server, "ann", &other).await, 409, "output_given");
        }
        booked_once(&seats, "1A");
    }

    #[tokio::test]
    async fn a_previous_response_of_another_owner_or_without_the_call_confirms_nothing() {
        let seats = Seats::default();
        let server = serve(&seats).await;
        let first = hand_over(&server).await;
        let plain = json!({"input": "Hi", "script": {"tokens": 1, "delayMs": 0}});
        let plain = ask(&server, "ann", &plain).await.json()["id"].clone();
        let models = seats.models();
        let mut other_call = choosing(&first, "1A");
        other_call["input"] = json!([output("9", "1A")]);
        for (user, forged) in [
            ("ben", choosing(&first, "1A")),
            ("ann", choosing(plain.as_str().unwrap(), "1A")),
            ("ann", choosing("resp_0123456789abcdefghjkmnpqrs", "1A")),
            ("ann", choosing("resp_1", "1A")),
            ("ann", choosing(&"r".repeat(129), "1A")),
            ("ann", other_call),
        ] {
            refused(&ask(&server, user, &forged).await, 422, "not_open");
        }
        let delete = empty("DELETE", &format!("{MOUNT}/responses/{first}")).with("x-user", "ann");
        assert_eq!(send(server.addr, delete).await.status(), 200);
        let late = choosing(&first, "1A");
        refused(&ask(&server, "ann", &late).await, 422, "not_open");
        assert_eq!((seats.models(), seats.given().len()), (models, 0));
    }

    #[tokio::test]
    async fn an_output_for_a_response_of_another_owner_is_a_claim_where_claims_are_open() {
        let seats = Seats::default();
        let open = seats.serve_in(OpenAiResponses::new(), |it| {
            it.history(4096).unverified_outputs(100)
        });
        let server = open.await;
        let first = hand_over(&server).await;
        let answer = ask(&server, "ben", &choosing(&first, "1A")).await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert!(!answer.text().contains("booked"), "{}", answer.text());
        assert_eq!(ended(&seats, 2).await.claims, ["1"]);
        assert_eq!(seats.given().len(), 0);
        let answer = ask(&server, "ann", &choosing(&first, "2C")).await;
        assert!(answer.text().contains("booked 2C"), "{}", answer.text());
        assert!(ended(&seats, 3).await.claims.is_empty());
        booked_once(&seats, "2C");
    }

    #[tokio::test]
    async fn of_many_requests_with_one_previous_response_one_counts() {
        for keyed in [false, true] {
            let seats = Seats::default();
            let server = serve(&seats).await;
            let first = hand_over(&server).await;
            let mut racing = JoinSet::new();
            for at in 0..24 {
                // The same seat in other bytes.
                let mut body = choosing(&first, "1A");
                body["script"]["delayMs"] = at.into();
                let mut request = post(&format!("{MOUNT}/responses"), &body).with("x-user", "ann");
                if keyed {
                    request = request.with("idempotency-key", id(&format!("key-{at}")));
                }
                let addr = server.addr;
                racing.spawn(async move { send(addr, request).await.whole().await.status() });
            }
            let mut statuses = racing.join_all().await;
            statuses.sort_unstable();
            assert_eq!(statuses[0], 200);
            assert!(
                statuses[1..].iter().all(|status| *status == 409),
                "{statuses:?}"
            );
            booked_once(&seats, "1A");
        }
    }
}
