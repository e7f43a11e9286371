//! Tools of the client, and tools of two halves.

use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::{Value, json};
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, ConversationState, EnabledTools, FinishReason,
        IsomorphicClientOutput, IsomorphicTool, Message, Role, ToolAuthority, Transcript, Usage,
    },
    tools::{Call, ToolFailure, ToolLayer, Tools, client_tool, handoff_fn},
};

use crate::support::{Counted, Model, answer, call, kinds, request};

fn brings(name: &str) -> ChatRequest {
    let mut request = request();
    request.isomorphic_tools = vec![IsomorphicTool::new(
        name,
        "Where the user is.",
        json!({"type": "object", "required": ["exact"]}),
    )];
    request
}

/// Returns the next request of a client with handoffs: the turn from the conversation state, and the
/// outputs of the client.
fn follow_up(first: &ChatRequest, events: &[ChatEvent], output: &Value) -> ChatRequest {
    let transcript: Transcript = events.iter().collect();
    let state: &ConversationState = transcript.conversation_state().unwrap();
    let mut next = first.clone();
    next.messages.clone_from(&state.messages);
    let turn = Message::assistant(state.assistant_content.clone());
    next.messages
        .push(turn.tool_calls(state.tool_calls.clone()));
    for result in &state.server_tool_results {
        next.messages
            .push(Message::tool(&result.id, result.content.clone()));
    }
    for handoff in transcript.handoffs() {
        let (id, name) = (&handoff.call_id, &handoff.tool_name);
        let mut given = IsomorphicClientOutput::new(id, name, output.clone());
        given.params = handoff.params.clone();
        given.cached_handoff = Some(handoff.server_output.clone());
        given.uses_handoff = handoff.uses_handoff;
        next.isomorphic_client_outputs.push(given);
    }
    next
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_the_client_brought_is_handed_over_and_the_next_request_goes_on() {
    let asks = ChatEvent::tool_calls([call("1", "place", json!({"exact": true}))]);
    let model = Model::new([
        vec![ChatEvent::text("Let me see. "), asks],
        vec![ChatEvent::text("You are in Oslo.")],
    ]);
    let layer = ToolLayer::new(Tools::new());
    let first = brings("place");
    let events = answer(&layer, &model, first.clone()).await.unwrap();
    let wire: Vec<_> = events
        .iter()
        .map(|it| serde_json::to_value(it).unwrap())
        .collect();
    assert_eq!(
        wire[2..],
        [
            json!({
                "type": "isomorphic_handoff", "callId": "1", "toolName": "place",
                "params": {"exact": true}, "serverOutput": null, "authority": "client",
                "usesHandoff": false,
            }),
            json!({
                "type": "conversation_state",
                "conversationState": {
                    "messages": [{"role": "user", "content": "Hi"}],
                    "assistantContent": "Let me see. ",
                    "toolCalls": [{"id": "1", "name": "place", "arguments": {"exact": true}}],
                    "serverToolResults": [],
                },
            }),
            json!({
                "type": "complete", "finishReason": "tool_calls",
                "usage": {"inputTokens": 10, "outputTokens": 2},
            }),
        ]
    );
    assert_eq!(model.last().tools[0].name, "place");
    assert!(model.last().isomorphic_tools.is_empty(), "offered once");

    let next = follow_up(&first, &events, &json!({"city": "Oslo"}));
    let events = answer(&layer, &model, next).await.unwrap();
    assert_eq!(
        events[0],
        ChatEvent::tool_result("1", "place", r#"{"city":"Oslo"}"#)
    );
    assert_eq!(events[1], ChatEvent::text("You are in Oslo."));
    assert_eq!(
        model.last().messages,
        [
            Message::user("Hi"),
            Message::assistant("Let me see. ").tool_calls([call(
                "1",
                "place",
                json!({"exact": true})
            )]),
            Message::tool("1", r#"{"city":"Oslo"}"#),
        ]
    );
    assert!(model.last().isomorphic_client_outputs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_servers_tools_of_the_turn_run_before_the_client_goes_on() {
    let turn = [
        call("1", "place", json!({"exact": true})),
        call("2", "wait", json!({"seconds": 1})),
        call("3", "fail", json!({})),
    ];
    let model = Model::calling(turn.clone());
    let layer = ToolLayer::new(Counted::default().tools());
    let first = brings("place");
    let events = answer(&layer, &model, first.clone()).await.unwrap();
    assert_eq!(
        kinds(&events),
        [
            "tool_calls",
            "isomorphic_handoff",
            "tool_error",
            "tool_result",
            "conversation_state",
            "complete"
        ]
    );
    let next = follow_up(&first, &events, &json!("Oslo"));
    answer(&layer, &model, next).await.unwrap();
    let messages = model.last().messages;
    assert_eq!(messages[1], Message::assistant("").tool_calls(turn));
    assert_eq!(messages[2], Message::tool("2", r#"{"waited":1}"#));
    assert_eq!(messages[3], Message::tool_failed("3", "the tool failed"));
    assert_eq!(messages[4], Message::tool("1", "Oslo"));
}

#[tokio::test(start_paused = true)]
async fn a_client_tool_of_the_layer_is_checked_and_handed_over() {
    let parameters = json!({"type": "object", "required": ["zone"]});
    let tools = Tools::new().with(client_tool("time", "The local time.", parameters));
    for (arguments, ends) in [(json!({"zone": 1}), "tool_calls"), (json!({}), "stop")] {
        let model = Model::calling([call("1", "time", arguments)]);
        // At the limit, too: the client goes on, not the model.
        let layer =
            ToolLayer::new(tools.clone()).max_iterations(if ends == "stop" { 2 } else { 1 });
        let events = answer(&layer, &model, request()).await.unwrap();
        let transcript: Transcript = events.iter().collect();
        assert_eq!(transcript.finish_reason(), Some(&FinishReason::from(ends)));
        assert_eq!(
            transcript.handoffs().len(),
            usize::from(ends == "tool_calls")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_of_the_client_does_not_replace_one_of_the_layer() {
    let model = Model::calling([call("1", "fail", json!({}))]);
    let layer = ToolLayer::new(Counted::default().tools());
    let events = answer(&layer, &model, brings("fail")).await.unwrap();
    assert!(kinds(&events).contains(&"tool_error"));
    let offered = model.last().tools;
    assert_eq!(offered.iter().filter(|it| it.name == "fail").count(), 1);
    // One that the request didn't enable is the client's own.
    let mut own = brings("fail");
    own.enabled_tools = Some(EnabledTools::Named(Vec::new()));
    let model = Model::calling([call("1", "fail", json!({}))]);
    let events = answer(&layer, &model, own).await.unwrap();
    assert!(kinds(&events).contains(&"isomorphic_handoff"));
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Flight {
    number: String,
}

type Seen = Arc<Mutex<Vec<IsomorphicClientOutput>>>;

fn seats(seen: &Seen) -> Tools {
    let seen = Arc::clone(seen);
    Tools::new().with(handoff_fn(
        "seat",
        "Lets the user choose a seat.",
        |flight: Flight, _: Call| async move {
            if flight.number.is_empty() {
                return Err(ToolFailure::new("which flight?").into());
            }
            Ok(json!({"free": ["1A", "2C"]}))
        },
        move |given: IsomorphicClientOutput, _: Call| {
            seen.lock().unwrap().push(given.clone());
            async move {
                match given.client_output.as_str() {
                    Some("1A") => Ok("booked 1A"),
                    _ => Err(ToolFailure::new("no such seat").into()),
                }
            }
        },
    ))
}

#[tokio::test(start_paused = true)]
async fn the_second_half_turns_the_clients_output_into_the_result() {
    for (output, event) in [
        ("1A", ChatEvent::tool_result("1", "seat", "booked 1A")),
        ("9Z", ChatEvent::tool_error("1", "seat", "no such seat")),
    ] {
        let (seen, model) = (
            Seen::default(),
            Model::calling([call("1", "seat", json!({"number": "SK1"}))]),
        );
        let layer = ToolLayer::new(seats(&seen));
        let events = answer(&layer, &model, request()).await.unwrap();
        let transcript: Transcript = events.iter().collect();
        let handoff = &transcript.handoffs()[0];
        assert_eq!(handoff.server_output, json!({"free": ["1A", "2C"]}));
        assert_eq!(
            (&handoff.authority, handoff.uses_handoff),
            (&ToolAuthority::Server, true)
        );

        let events = answer(
            &layer,
            &model,
            follow_up(&request(), &events, &json!(output)),
        );
        let events = events.await.unwrap();
        assert_eq!(
            kinds(&events)[0],
            "tool_progress",
            "the log knows of it before it begins"
        );
        assert_eq!(events[1], event);
        assert_eq!(events[2], ChatEvent::text("Done."));
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].cached_handoff, Some(json!({"free": ["1A", "2C"]})));
        assert_eq!(seen[0].params, json!({"number": "SK1"}));
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_half_that_fails_hands_nothing_over() {
    let model = Model::calling([call("1", "seat", json!({"number": ""}))]);
    let layer = ToolLayer::new(seats(&Seen::default()));
    let events = answer(&layer, &model, request()).await.unwrap();
    assert_eq!(
        kinds(&events),
        ["tool_calls", "tool_error", "text", "complete"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_half_whose_params_do_not_fit_does_not_run() {
    let (seen, model) = (Seen::default(), Model::new([vec![]]));
    let layer = ToolLayer::new(seats(&seen));
    let mut request = request();
    request.isomorphic_client_outputs = vec![IsomorphicClientOutput::new("1", "seat", json!("1A"))];
    let events = answer(&layer, &model, request).await.unwrap();
    assert_eq!(kinds(&events)[0], "tool_error");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_need_not_repeat_the_turn_nor_send_messages() {
    let model = Model::new([vec![ChatEvent::text("Good.")]]);
    let layer = ToolLayer::new(Tools::new());
    let mut request = request();
    request.messages.clear();
    request.isomorphic_client_outputs =
        vec![IsomorphicClientOutput::new("1", "place", json!("Oslo"))];
    answer(&layer, &model, request).await.unwrap();
    assert_eq!(
        model.last().messages,
        [
            Message::assistant("").tool_calls([call("1", "place", Value::Null)]),
            Message::tool("1", "Oslo"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn calls_without_an_output_of_the_client_get_an_error() {
    let model = Model::new([vec![]]);
    let layer = ToolLayer::new(Tools::new());
    let mut request = request();
    let turn = [call("1", "place", json!({})), call("2", "place", json!({}))];
    request
        .messages
        .push(Message::assistant("").tool_calls(turn));
    request.isomorphic_client_outputs =
        vec![IsomorphicClientOutput::new("1", "place", json!("Oslo"))];
    let events = answer(&layer, &model, request).await.unwrap();
    assert_eq!(kinds(&events), ["tool_result", "tool_error", "complete"]);
    assert_eq!(model.last().messages.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn system_messages_do_not_go_to_the_client() {
    let model = Model::calling([call("1", "place", json!({"exact": true}))]);
    let mut request = brings("place");
    request.messages.insert(0, Message::system("a secret"));
    let events = answer(&ToolLayer::new(Tools::new()), &model, request)
        .await
        .unwrap();
    assert_eq!(model.last().messages[0].role, Role::System);
    let sent: String = events
        .iter()
        .map(|it| serde_json::to_string(it).unwrap())
        .collect();
    assert!(!sent.contains("a secret"), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_handoff_has_the_usage_of_all_turns() {
    let wait = ChatEvent::tool_calls([call("1", "wait", json!({"seconds": 0}))]);
    let place = ChatEvent::tool_calls([call("2", "place", json!({"exact": true}))]);
    let model = Model::new([vec![wait], vec![place]]);
    let layer = ToolLayer::new(Counted::default().tools());
    let mut request = brings("place");
    request.enabled_tools = Some(EnabledTools::All);
    let events = answer(&layer, &model, request).await.unwrap();
    let transcript: Transcript = events.iter().collect();
    assert_eq!(transcript.usage(), Some(Usage::new(20, 4)));
    let state = transcript.conversation_state().unwrap();
    assert_eq!(
        state.messages.len(),
        3,
        "the first turn is among the messages"
    );
    assert_eq!(state.tool_calls.len(), 1);
}
