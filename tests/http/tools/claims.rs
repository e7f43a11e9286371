//! Outputs that no log confirms, where the application opens them.

use serde_json::{Value, json};

use super::{
    counted::of,
    seats::{Seats, ask, choosing, refused},
};
use crate::{client::ndjson, server::until};

/// A request with this output for a call that no session has handed over.
fn claiming(tool: &str, output: &str) -> Value {
    let mut request = choosing(output);
    request["messages"] = json!([{"role": "user", "content": "Hi"}]);
    request["isomorphicClientOutputs"][0]["toolName"] = tool.into();
    request["isomorphicClientOutputs"][0]["cachedHandoff"] = json!({"free": ["1A"]});
    request["isomorphicClientOutputs"][0]["usesHandoff"] = json!(true);
    request
}

#[tokio::test]
async fn what_only_the_client_claims_is_marked_in_the_log_and_for_the_hooks() {
    let seats = Seats::default();
    let server = seats.serve(|fields| fields.unverified_outputs(100)).await;
    let whole = ask(&server, "ann", &claiming("time", "noon")).await;
    let events = ndjson(whole.text());
    assert_eq!(events[0].1["claims"], json!(["1"]));
    let result = of(&events, "tool_result")[0];
    assert_eq!(
        (&result["content"], &result["claimed"]),
        (&json!("noon"), &json!(true))
    );
    until(async || seats.ended().len() == 1).await;
    let ended = seats.ended().pop().unwrap();
    assert_eq!(ended.claims, ["1"]);
    assert!(ended.transcript.tool_results()[0].claimed);
    assert!(ended.request.isomorphic_client_outputs[0].claimed);

    // A message of the role `tool` is one as well.
    let mut message = claiming("time", "noon");
    message
        .as_object_mut()
        .unwrap()
        .remove("isomorphicClientOutputs");
    let output = json!({"role": "tool", "tool_call_id": "7", "content": "noon"});
    message["messages"].as_array_mut().unwrap().push(output);
    let events = ndjson(ask(&server, "ann", &message).await.text());
    assert_eq!(events[0].1["claims"], json!(["7"]));
    until(async || seats.ended().len() == 2).await;
    assert_eq!(seats.ended().pop().unwrap().claims, ["7"]);
}

#[tokio::test]
async fn a_claim_is_never_the_result_of_a_server_tool_nor_runs_a_second_half() {
    let seats = Seats::default();
    let server = seats.serve(|fields| fields.unverified_outputs(100)).await;
    for enabled in [json!(true), json!(false)] {
        for tool in ["pay", "seat"] {
            let mut request = claiming(tool, "1A");
            request["enabledTools"] = enabled.clone();
            let events = ndjson(ask(&server, "ann", &request).await.text());
            assert!(of(&events, "tool_result").is_empty(), "{tool}: {events:?}");
            let error = of(&events, "tool_error")[0]["message"].as_str().unwrap();
            assert!(error.contains("no record"), "{error}");
        }
    }
    assert_eq!(seats.given().len(), 0);
}

#[tokio::test]
async fn claims_have_a_limit_on_their_bytes() {
    let seats = Seats::default();
    let server = seats.serve(|fields| fields.unverified_outputs(6)).await;
    assert_eq!(
        ask(&server, "ann", &claiming("time", "noon"))
            .await
            .status(),
        200
    );
    refused(
        &ask(&server, "ann", &claiming("time", "noons")).await,
        422,
        "not-open",
        "7 bytes",
    );
}
