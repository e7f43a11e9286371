use proptest::prelude::*;
use serde_json::Value;
use unbroken::{
    chat::{ChatEvent, Transcript},
    dialect::{Encoder, OpenAiResponses},
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
        prop_assert!(items.ends_with(output));
    }
}

mod over_http {
    use axum::body::{Body, to_bytes};
    use http::{Request, Response, StatusCode};
    use serde_json::Value;
    use tower::ServiceExt;
    use tower_layer::Layer;
    use unbroken::{
        access::AnyoneWithTheId,
        dialect::OpenAiResponses,
        durable::{DurableLayer, DurableService, SessionBody},
        provider::{Scripted, scripted::Script},
        session::Sessions,
    };

    type Responses = DurableService<Scripted>;

    fn responses() -> Responses {
        let layer = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new());
        let script = Script::say("All is well.").delay(std::time::Duration::ZERO);
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
        let first = json(create(&responses, "a", "Hi").await).await;
        assert_eq!(first["status"], "completed");
        assert!(first["id"].as_str().unwrap().starts_with("resp_"));
        assert_eq!(json(create(&responses, "a", "Hi").await).await, first);
        let second = json(create(&responses, "b", "Hi").await).await;
        assert_ne!(second["id"], first["id"]);
        let other = create(&responses, "a", "Bye").await;
        assert_eq!(other.status(), StatusCode::CONFLICT);
        assert_eq!(other.headers()["x-should-retry"], "false");
        assert_eq!(json(other).await["error"]["code"], "id_in_use");
    }

    #[tokio::test]
    async fn a_deleted_response_is_gone() {
        let responses = responses();
        let made = json(create(&responses, "a", "Hi").await).await;
        let uri = format!("/responses/{}", made["id"].as_str().unwrap());
        let delete = Request::delete(&uri).body(Body::empty()).unwrap();
        let deleted = json(ask(&responses, delete).await).await;
        assert_eq!(deleted["deleted"], true);
        let retrieve = Request::get(&uri).body(Body::empty()).unwrap();
        assert_eq!(ask(&responses, retrieve).await.status(), StatusCode::GONE);
    }
}
