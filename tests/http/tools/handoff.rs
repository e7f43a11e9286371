use serde_json::{Value, json};

use unbroken::session::{Limits, Sessions};

use super::counted::{Counted, answer, calling, of, text};
use crate::client::kinds;

/// The follow-up request of a client that has run its calls, with this output for each.
fn follow_up(first: &Value, events: &[(u64, Value)], output: &Value) -> Value {
    let state = &of(events, "conversation_state")[0]["conversationState"];
    let mut next = first.clone();
    // A client whose chat is too long for one record uses its own messages.
    let messages = state.get("messages").unwrap_or(&first["messages"]);
    let mut messages = messages.as_array().unwrap().clone();
    messages.push(json!({
        "role": "assistant",
        "content": state["assistantContent"],
        "tool_calls": state["toolCalls"],
    }));
    for result in state["serverToolResults"].as_array().unwrap() {
        let (id, content) = (&result["id"], &result["content"]);
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": content}));
    }
    next["messages"] = messages.into();
    let outputs = of(events, "isomorphic_handoff").into_iter().map(|handoff| {
        json!({
            "callId": handoff["callId"],
            "toolName": handoff["toolName"],
            "params": handoff["params"],
            "clientOutput": output,
            "cachedHandoff": handoff["serverOutput"],
            "usesHandoff": handoff["usesHandoff"],
        })
    });
    next["isomorphicClientOutputs"] = outputs.collect();
    next
}

#[tokio::test]
async fn a_client_tool_takes_two_requests() {
    let server = Counted::default().server().await;
    for brought in [true, false] {
        let name = if brought { "place" } else { "time" };
        let mut first = calling(json!([
            {"id": "1", "name": name, "arguments": {"exact": true}},
            {"id": "2", "name": "wait", "arguments": {"of": "snow"}},
        ]));
        if brought {
            first["isomorphicTools"] = json!([{
                "name": "place", "description": "Where the user is.",
                "parameters": {"type": "object"}, "authority": "client",
            }]);
        }
        let events = answer(&server, &first).await;
        let handoff = of(&events, "isomorphic_handoff")[0];
        assert_eq!(
            *handoff,
            json!({
                "type": "isomorphic_handoff", "callId": "1", "toolName": name,
                "params": {"exact": true}, "serverOutput": null, "authority": "client",
                "usesHandoff": false,
            })
        );
        let ends = &events[events.len() - 2..];
        assert_eq!(kinds(ends), ["conversation_state", "complete"]);
        assert_eq!(ends[1].1["finishReason"], "tool_calls");

        let next = follow_up(&first, &events, &json!({"city": "Oslo"}));
        let events = answer(&server, &next).await;
        assert_eq!(kinds(&events)[..2], ["session_info", "tool_result"]);
        assert_eq!(text(&events), r#"snow {"city":"Oslo"}"#);
        assert_eq!(events.last().unwrap().1["finishReason"], "stop");
    }
}

#[tokio::test]
async fn a_handoff_tool_continues_with_the_clients_output() {
    let server = Counted::default().server().await;
    let first = calling(json!([{"id": "1", "name": "seat", "arguments": {}}]));
    let events = answer(&server, &first).await;
    let handoff = of(&events, "isomorphic_handoff")[0];
    assert_eq!(handoff["serverOutput"], json!({"free": ["1A"]}));
    assert_eq!(
        (&handoff["authority"], &handoff["usesHandoff"]),
        (&json!("server"), &json!(true))
    );

    let events = answer(&server, &follow_up(&first, &events, &json!("1A"))).await;
    let result = of(&events, "tool_result")[0];
    assert_eq!(result["content"], "booked \"1A\"");
    assert_eq!(text(&events), "booked \"1A\"");
}

#[tokio::test]
async fn a_conversation_state_too_long_for_a_record_is_sent_without_its_messages() {
    let sessions = Sessions::builder(unbroken::store::Memory::new());
    let limits = Limits::default().event_bytes(8 * 1024);
    let sessions = sessions.limits(limits).build();
    let server = Counted::default()
        .serve(sessions, |tools| tools, |layer| layer)
        .await;
    for (bytes, whole) in [(7 * 1024, true), (8 * 1024, false), (100 * 1024, false)] {
        let mut first = calling(json!([{"id": "1", "name": "time", "arguments": {}}]));
        first["messages"][0]["content"] = "a".repeat(bytes).into();
        let events = answer(&server, &first).await;
        assert_eq!(events.last().unwrap().1["type"], "complete", "{bytes}");
        let state = &of(&events, "conversation_state")[0]["conversationState"];
        assert_eq!(state.get("messages").is_some(), whole, "{bytes}");
        let next = follow_up(&first, &events, &json!("noon"));
        assert_eq!(text(&answer(&server, &next).await), "noon", "{bytes}");
    }
}
