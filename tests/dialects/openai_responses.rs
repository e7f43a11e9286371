use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value;
use unbroken::{
    chat::{
        Capabilities, ChatEvent, Content, FinishReason, Message, ProviderState, ProviderStateEvent,
        SessionInfo, StateOf, ToolCall, ToolInput, Transcript, TurnEnd,
    },
    dialect::{Dialect as _, Encoder, Intent, OpenAiResponses, RequestLimits},
};

use crate::{
    ID,
    encoders::{Stream, reading},
    logs,
};

pub(crate) fn whole() -> Box<dyn Encoder> {
    from("")
}

/// Returns the encoder of a client that resumes after the number of its last event.
pub(crate) fn after(received: &[u8]) -> Box<dyn Encoder> {
    match events(received).last() {
        None => whole(),
        Some(last) => from(&format!("&starting_after={}", last["sequence_number"])),
    }
}

fn from(query: &str) -> Box<dyn Encoder> {
    let uri = format!("/responses/{ID}?stream=true{query}");
    reading(&OpenAiResponses::new(), &uri, "application/json")
}

fn events(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let event = |frame: &str| {
        let (event, data) = frame.split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
        data
    };
    text.split_terminator("\n\n").map(event).collect()
}

fn encoded(log: &[ChatEvent]) -> Vec<Value> {
    let mut stream = Stream::new(whole());
    for chunk in logs::chunks(log, &[false]) {
        stream.write(&chunk);
    }
    events(&stream.finish())
}

/// The items that an SDK builds from a stream. Each is added once, in order, and ends with the text of
/// its deltas.
#[derive(Default)]
struct Snapshot {
    items: Vec<(Value, String, bool)>,
    /// The numbers of annotations, by items.
    annotations: HashMap<usize, u64>,
}

impl Snapshot {
    fn push(&mut self, event: &Value) {
        let kind = event["type"].as_str().unwrap();
        let at = event["output_index"]
            .as_u64()
            .map(|at| usize::try_from(at).unwrap());
        if kind == "response.output_item.added" {
            assert_eq!(at, Some(self.items.len()), "{event}");
            let item = &event["item"];
            assert!(
                self.items
                    .iter()
                    .all(|(other, ..)| other["id"] != item["id"])
            );
            self.items.push((item.clone(), String::new(), false));
            return;
        }
        let Some(at) = at else { return };
        let (item, text, done) = &mut self.items[at];
        assert!(!*done, "{event}");
        if let Some(id) = event.get("item_id") {
            assert_eq!(id, &item["id"]);
        }
        match kind {
            "response.output_text.delta" | "response.reasoning_text.delta" => {
                text.push_str(event["delta"].as_str().unwrap());
            }
            "response.output_text.done" | "response.reasoning_text.done" => {
                assert_eq!(event["text"].as_str(), Some(&**text));
            }
            "response.output_item.done" => {
                assert_eq!(event["item"]["type"], item["type"]);
                assert_eq!(event["item"]["id"], item["id"]);
                *item = event["item"].clone();
                *done = true;
            }
            "response.output_text.annotation.added" => {
                let annotations = self.annotations.entry(at).or_default();
                assert_eq!(event["annotation_index"].as_u64(), Some(*annotations));
                *annotations += 1;
            }
            _ => {}
        }
    }
}

fn text(output: &[Value], kind: &str) -> String {
    let items = output.iter().filter(|item| item["type"] == kind);
    items
        .map(|item| item["content"][0]["text"].as_str().unwrap())
        .collect()
}

/// Returns the messages of a request whose client sends a response's output back.
fn sent_back(output: &[Value]) -> Vec<Message> {
    let mut input = output.to_vec();
    // The client has run its functions.
    for call in output.iter().filter(|item| item["type"] == "function_call") {
        let id = &call["call_id"];
        input.push(
            serde_json::json!({"type": "function_call_output", "call_id": id, "output": "done"}),
        );
    }
    input.push(serde_json::json!({"role": "user", "content": "And?"}));
    let body = serde_json::json!({"input": input}).to_string();
    let head = http::Request::post("/responses").header("content-type", "application/json");
    let (head, ()) = head.body(()).unwrap().into_parts();
    let read = OpenAiResponses::new().decode(&head, &body.into(), &RequestLimits::new());
    match read {
        Ok(Intent::Start(start)) => start.request.messages,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn an_sdk_can_build_the_response_from_the_stream_of_every_log(log in logs::log()) {
        let events = encoded(&log);
        let mut snapshot = Snapshot::default();
        for (number, event) in events.iter().enumerate() {
            prop_assert_eq!(event["sequence_number"].as_u64(), Some(number as u64));
            snapshot.push(event);
        }
        prop_assert!(snapshot.items.iter().all(|(.., done)| *done));
        let last = events.last().unwrap();
        let ends = ["response.completed", "response.incomplete", "response.failed"];
        prop_assert!(ends.contains(&last["type"].as_str().unwrap()));
        let output = last["response"]["output"].as_array().unwrap();
        let transcript: Transcript = log.iter().collect();
        prop_assert_eq!(text(output, "message"), transcript.text());
        prop_assert_eq!(text(output, "reasoning"), transcript.thinking());
        let items: Vec<_> = snapshot.items.into_iter().map(|(item, ..)| item).collect();
        // Of calls that came to nothing, a complete response has none.
        let is_cut = |item: &&Value| item["type"] == "function_call" && item["status"] == "incomplete";
        let is_complete = last["type"] == "response.completed";
        let items: Vec<_> = items.into_iter().filter(|item| !(is_complete && is_cut(&item))).collect();
        prop_assert!(items.ends_with(output));
        // What comes back is what was said, with what belongs to it.
        let states = |content: &Content| -> Vec<_> {
            let states = content.all_reasoning().filter_map(|it| it.provider_state.clone());
            states.collect()
        };
        let said: Vec<_> = transcript.messages().iter().flat_map(|it| states(&it.content)).collect();
        let back: Vec<_> = sent_back(output).iter().flat_map(|it| states(&it.content)).collect();
        prop_assert_eq!(back, said);
    }
}

#[test]
fn what_belongs_to_a_call_comes_back_with_it_wherever_the_log_has_it() {
    let state = |data: &str| ProviderState::new("vendor", serde_json::json!({"signature": data}));
    let of_call = |id: &str| ProviderStateEvent::new(StateOf::Call(id.into()), state(id)).into();
    let call = |id: &str, name: &str| ToolCall::new(id, name, serde_json::json!({}));
    let with_state = |id: &str, name: &str| {
        let mut call = call(id, name);
        call.provider_state = Some(state(id));
        call
    };
    let input = |id: &str| ToolInput::new(id, "{}").name("map").into();
    let mut info = SessionInfo::new(Capabilities::new());
    info.capabilities.client_tools.push("map".to_owned());
    let log = [
        info.into(),
        of_call("before"),
        ChatEvent::tool_calls([
            call("before", "now"),
            with_state("with", "now"),
            call("after", "now"),
            call("late", "now"),
        ]),
        of_call("after"),
        TurnEnd::new(FinishReason::ToolCalls).into(),
        ChatEvent::tool_result("before", "now", "noon"),
        ChatEvent::tool_result("with", "now", "noon"),
        ChatEvent::tool_result("after", "now", "noon"),
        ChatEvent::tool_result("late", "now", "noon"),
        of_call("late"),
        ChatEvent::text("Where?"),
        input("streamed before"),
        of_call("streamed before"),
        input("streamed with"),
        input("streamed after"),
        ChatEvent::tool_calls([
            call("streamed before", "map"),
            with_state("streamed with", "map"),
            call("streamed after", "map"),
            with_state("whole", "map"),
        ]),
        of_call("streamed after"),
        TurnEnd::new(FinishReason::ToolCalls).into(),
        ChatEvent::complete(),
    ];
    let events = encoded(&log);
    let mut snapshot = Snapshot::default();
    for event in &events {
        snapshot.push(event);
    }
    let output = events.last().unwrap()["response"]["output"].clone();
    let items = snapshot.items.into_iter().map(|(item, ..)| item);
    assert_eq!(items.collect::<Vec<_>>(), *output.as_array().unwrap());
    let messages = sent_back(output.as_array().unwrap());
    let calls = messages.iter().flat_map(|message| &message.tool_calls);
    let states: Vec<_> = calls
        .map(|call| {
            call.provider_state
                .as_ref()
                .map(|state| &state.data["signature"])
        })
        .collect();
    let expected = [
        "before",
        "with",
        "after",
        "late",
        "streamed before",
        "streamed with",
        "streamed after",
        "whole",
    ]
    .map(|id| Some(Value::from(id)));
    assert_eq!(states, expected.each_ref().map(Option::as_ref));
}

#[test]
fn a_call_that_was_cut_or_has_no_result_is_not_sent_to_the_model_again() {
    let input = serde_json::json!([
        {"role": "user", "content": "Where?"},
        {"type": "function_call", "call_id": "a", "name": "map", "arguments": "{\"zoo", "status": "incomplete"},
        {"role": "user", "content": "And?"},
    ]);
    let body = serde_json::json!({ "input": input }).to_string();
    let head = http::Request::post("/responses").header("content-type", "application/json");
    let (head, ()) = head.body(()).unwrap().into_parts();
    let read = OpenAiResponses::new().decode(&head, &body.into(), &RequestLimits::new());
    let Ok(Intent::Start(start)) = read else {
        panic!("{read:?}")
    };
    assert_eq!(
        start.request.messages,
        [Message::user("Where?"), Message::user("And?")]
    );
}

mod over_http {
    use std::time::Duration;

    use axum::body::{Body, to_bytes};
    use futures_util::stream;
    use http::{Request, Response, StatusCode};
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};
    use tower::ServiceExt;
    use tower_layer::Layer;
    use unbroken::{
        access::AnyoneWithTheId,
        chat::{Capabilities, ChatEvent, ProviderError, ToolCall, ToolInput, provider_fn},
        dialect::OpenAiResponses,
        durable::{ClientFields, DurableLayer, DurableService, SessionBody},
        provider::{Scripted, scripted::Script},
        session::Sessions,
        store::Memory,
    };

    type Responses = DurableService<Scripted>;

    fn responses() -> Responses {
        responses_of(Sessions::in_memory(), Duration::ZERO)
    }

    fn responses_of(sessions: Sessions, delay: Duration) -> Responses {
        let layer = DurableLayer::new(sessions, AnyoneWithTheId::new());
        let script = Script::say("All is well.").delay(delay);
        let dialect = OpenAiResponses::new().model("assistant");
        layer.dialect(dialect).layer(Scripted::new(script))
    }

    async fn ask(responses: &Responses, request: Request<Body>) -> Response<SessionBody> {
        responses.clone().oneshot(request).await.unwrap()
    }

    async fn create(responses: &Responses, key: &str, input: &str) -> Response<SessionBody> {
        let body = format!(r#"{{"model":"assistant","input":"{input}"}}"#);
        let request = Request::post("/responses")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(body));
        ask(responses, request.unwrap()).await
    }

    async fn json(response: Response<SessionBody>) -> Value {
        let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_key_names_one_response_and_no_other() {
        let responses = responses();
        let first = json(create(&responses, "the-first-key-of-a-client", "Hi").await).await;
        assert_eq!(first["status"], "completed");
        assert!(first["id"].as_str().unwrap().starts_with("resp_"));
        assert_eq!(
            json(create(&responses, "the-first-key-of-a-client", "Hi").await).await,
            first
        );
        let second = json(create(&responses, "the-second-key-of-a-client", "Hi").await).await;
        assert_ne!(second["id"], first["id"]);
        let other = create(&responses, "the-first-key-of-a-client", "Bye").await;
        assert_eq!(other.status(), StatusCode::CONFLICT);
        assert_eq!(other.headers()["x-should-retry"], "false");
        assert_eq!(json(other).await["error"]["code"], "id_in_use");
    }

    #[tokio::test]
    async fn a_key_that_can_be_guessed_names_no_response_without_an_owner() {
        let responses = responses();
        let refused = create(&responses, &"k".repeat(21), "Hi").await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        let taken = create(&responses, &"k".repeat(22), "Hi").await;
        assert_eq!(taken.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn arguments_are_streamed_of_functions_that_the_request_brings_and_no_server_has() {
        let input = |id: &str, name: &str, delta: &str| ToolInput::new(id, delta).name(name).into();
        let events = [
            input("a", "map", "{\"zo"),
            input("b", "now", "{"),
            input("a", "map", "om\": 3}"),
            ChatEvent::tool_calls([
                ToolCall::new("a", "map", json!({"zoom": 3})),
                ToolCall::new("b", "now", json!({})),
            ]),
            ChatEvent::tool_result("b", "now", "noon"),
            ChatEvent::complete(),
        ];
        let provider =
            provider_fn(move |_| stream::iter(events.clone().map(Ok::<ChatEvent, ProviderError>)));
        let layer = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
            .dialect(OpenAiResponses::new().model("assistant"))
            .capabilities(Capabilities::new().tools(["now"]))
            .client_fields(ClientFields::nothing().client_tools(2, 1_000));
        let function = |name: &str| json!({"type": "function", "name": name, "parameters": {}});
        let tools = json!([function("map"), function("now")]);
        let body = json!({"model": "assistant", "input": "Hi", "stream": true, "tools": tools});
        let request = Request::post("/responses").header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = layer.layer(provider).oneshot(request).await.unwrap();
        let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
        let events = super::events(&bytes.unwrap());
        let deltas = events.iter().filter_map(|event| {
            let is_delta = event["type"] == "response.function_call_arguments.delta";
            is_delta.then(|| event["delta"].as_str().unwrap())
        });
        assert_eq!(deltas.collect::<Vec<_>>(), ["{\"zo", "om\": 3}"]);
        let output = &events.last().unwrap()["response"]["output"];
        let kinds = output.as_array().unwrap().iter().map(|item| &item["type"]);
        assert_eq!(kinds.collect::<Vec<_>>(), ["function_call", "mcp_call"]);
    }

    #[tokio::test]
    async fn a_deleted_response_is_gone() {
        let responses = responses();
        let made = json(create(&responses, "the-first-key-of-a-client", "Hi").await).await;
        let uri = format!("/responses/{}", made["id"].as_str().unwrap());
        let delete = Request::delete(&uri).body(Body::empty()).unwrap();
        let deleted = json(ask(&responses, delete).await).await;
        assert_eq!(deleted["deleted"], true);
        let retrieve = Request::get(&uri).body(Body::empty()).unwrap();
        assert_eq!(ask(&responses, retrieve).await.status(), StatusCode::GONE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancel_on_another_server_waits_for_the_response_as_it_ends() {
        let (store, word) = (Memory::new(), Duration::from_secs(10));
        let server = || responses_of(Sessions::builder(store.clone()).build(), word);
        let (here, there) = (server(), server());
        let body = r#"{"model":"assistant","input":"Hi","stream":true}"#;
        let request = Request::post("/responses").header("content-type", "application/json");
        let response = ask(&here, request.body(Body::from(body)).unwrap()).await;
        let mut stream = Body::new(response.into_body());
        let mut seen = String::new();
        while !seen.contains("All") {
            let frame = stream.frame().await.unwrap().unwrap();
            seen += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
        let id = &seen[seen.find("resp_").unwrap()..];
        let id = &id[..id.find('"').unwrap()];
        let cancel = Request::post(format!("/responses/{id}/cancel"));
        let cancelled = ask(&there, cancel.body(Body::empty()).unwrap()).await;
        let cancelled = json(cancelled).await;
        assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
        let text = &cancelled["output"][0]["content"][0]["text"];
        assert_eq!(text.as_str().map(str::trim), Some("All"), "{cancelled}");
    }
}
