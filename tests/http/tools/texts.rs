//! Outputs of second halves that come as texts, in messages of the role `tool` and their like.

use http::request::Parts;
use serde_json::{Value, json};
use unbroken::{
    access::OnlyTheOwner,
    dialect::{AgUi, AiSdk, DurableStreams, Native, OpenAiResponses, RequestLimits},
    durable::{ClientMedia, DurableLayer},
    log::Owner,
};

use super::seats::Seats;
use crate::{
    client::{Whole, With, post, send},
    server::{MOUNT, Server, until},
};

/// The values of the text that is given.
const VALUES: usize = 300;

fn list(values: usize) -> Value {
    vec![0; values - 1].into()
}

fn script() -> Value {
    json!({
        "text": "Let me see. ", "delayMs": 0,
        "toolCalls": [{"id": "1", "name": "seat", "arguments": {"number": "UN1"}}],
        "then": [{"results": true}],
    })
}

/// A client of a dialect, which starts a session and gives a text for its call `1`.
struct Client {
    layer: fn(DurableLayer) -> DurableLayer,
    path: &'static str,
    first: Value,
    next: fn(&str, &str) -> Value,
    /// The values in texts of the request beside the output; `None` where the output of a text counts
    /// alone.
    other_texts: Option<usize>,
}

fn user() -> Value {
    json!({"role": "user", "content": "Hi"})
}

fn chat(_: &str, text: &str) -> Value {
    json!({"chatId": "c", "messages": [
        user(), {"role": "tool", "tool_call_id": "1", "content": text},
    ]})
}

fn ui(session: &str, text: &str) -> Value {
    let mut body = ui_first();
    let answer = json!({"id": session, "role": "assistant", "parts": [
        {"type": "tool-seat", "toolCallId": "1", "state": "output-available", "input": {}, "output": text},
    ]});
    body["messages"].as_array_mut().unwrap().push(answer);
    body
}

fn ui_first() -> Value {
    json!({"id": "c", "messages": [
        {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hi"}]},
    ]})
}

fn ag_ui(session: &str, text: &str) -> Value {
    let call = json!({"id": "1", "function": {"name": "seat", "arguments": r#"{"number":"UN1"}"#}});
    json!({"threadId": "c", "parentRunId": session, "messages": [
        user(), {"role": "assistant", "toolCalls": [call]},
        {"role": "tool", "toolCallId": "1", "content": text},
    ]})
}

fn response(session: &str, text: &str) -> Value {
    json!({"previous_response_id": session, "input": [
        {"type": "function_call_output", "call_id": "1", "output": text},
    ]})
}

fn clients() -> [Client; 6] {
    let native = json!({"chatId": "c", "messages": [user()]});
    [
        Client {
            layer: |it| it.dialect(Native::new()),
            path: MOUNT,
            first: native.clone(),
            next: chat,
            other_texts: Some(0),
        },
        Client {
            layer: |it| it.dialect(DurableStreams::new()),
            path: MOUNT,
            first: native,
            next: chat,
            other_texts: Some(0),
        },
        Client {
            layer: |it| it.dialect(AiSdk::new()),
            path: MOUNT,
            first: ui_first(),
            next: ui,
            other_texts: None,
        },
        Client {
            layer: |it| it.dialect(DurableStreams::ui_messages(AiSdk::new())),
            path: MOUNT,
            first: ui_first(),
            next: ui,
            other_texts: None,
        },
        Client {
            layer: |it| it.dialect(AgUi::new()),
            path: MOUNT,
            first: json!({"threadId": "c", "messages": [user()]}),
            next: ag_ui,
            other_texts: Some(2),
        },
        Client {
            layer: |it| it.dialect(OpenAiResponses::new()),
            path: "/api/chat/responses",
            first: json!({"input": "Hi", "stream": true}),
            next: response,
            other_texts: Some(0),
        },
    ]
}

impl Client {
    async fn serve(&self, seats: &Seats, limits: RequestLimits) -> Server {
        let who = |head: &mut Parts| {
            let name = head.headers.get("x-user")?.to_str().ok()?;
            Some(Owner::new(name))
        };
        let layer = |sessions| {
            let layer = DurableLayer::new(sessions, OnlyTheOwner::new(who));
            (self.layer)(layer).request_limits(limits)
        };
        seats
            .serve_layer(layer, |fields| {
                fields.history(1 << 20).media(ClientMedia::of(["image/*"]))
            })
            .await
    }

    async fn ask(&self, server: &Server, body: &Value) -> Whole {
        let request = post(self.path, body).with("x-user", "ann");
        send(server.addr, request).await.whole().await
    }

    /// Hands the call `1` over. Returns the session.
    async fn hand_over(&self, seats: &Seats, server: &Server) -> String {
        let mut first = self.first.clone();
        first["script"] = script();
        let ended = seats.ended().len();
        let whole = self.ask(server, &first).await;
        assert!(matches!(whole.status(), 200 | 201), "{}", whole.text());
        until(async || seats.ended().len() == ended + 1).await;
        whole.header("x-session-id").to_owned()
    }

    fn next(&self, session: &str, text: &str) -> Value {
        let mut next = (self.next)(session, text);
        next["script"] = json!({"delayMs": 0, "then": [{"results": true}]});
        next
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

#[tokio::test]
async fn the_values_of_an_output_in_a_text_count_with_those_of_its_request() {
    for client in clients() {
        let seats = Seats::default();
        let output = list(VALUES);
        assert_eq!(count(&output), VALUES);
        let text = output.to_string();
        let most = match client.other_texts {
            Some(other) => count(&client.next("", &text)) + other + VALUES,
            None => VALUES,
        };
        let less = RequestLimits::new().values(most - 1);
        let server = client.serve(&seats, less).await;
        let session = client.hand_over(&seats, &server).await;
        let next = client.next(&session, &text);
        let refused = client.ask(&server, &next).await;
        assert_eq!(refused.status(), 422, "{}", refused.text());
        for word in ["JSON values", &format!("this one has {most};")] {
            assert!(refused.text().contains(word), "{}", refused.text());
        }
        assert_eq!(seats.models(), 1);

        let server = client
            .serve(&seats, RequestLimits::new().values(most))
            .await;
        let whole = client.ask(&server, &next).await;
        assert!(matches!(whole.status(), 200 | 201), "{}", whole.text());
        until(async || seats.ended().len() == 2).await;
        assert_eq!(seats.given()[0].client_output, output);
    }
}

#[tokio::test]
async fn an_output_in_a_text_that_is_no_json_or_too_deep_stays_a_text_and_is_read_back() {
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let words = "an article of [many, many] words; ".repeat(10_000);
    for text in [
        &*words,
        "",
        &lists(65),
        &lists(120),
        &lists(126),
        &lists(200),
    ] {
        for client in clients() {
            let seats = Seats::default();
            let server = client.serve(&seats, RequestLimits::new().values(100)).await;
            let session = client.hand_over(&seats, &server).await;
            let whole = client.ask(&server, &client.next(&session, text)).await;
            assert!(matches!(whole.status(), 200 | 201), "{}", whole.text());
            until(async || seats.ended().len() == 2).await;
            assert_eq!(seats.given()[0].client_output, text);
            // The hook gets the request as it was stored.
            let outputs = &seats.ended()[1].request.isomorphic_client_outputs;
            assert_eq!(outputs[0].client_output, text);
        }
    }
}

#[tokio::test]
async fn media_in_an_output_reach_the_second_half_as_parts() {
    let url = "data:image/png;base64,AAAA";
    let own = json!({"type": "media", "mediaType": "image/png", "url": url});
    let source = json!({"type": "data", "value": "AAAA", "mimeType": "image/png"});
    let [native, streams, _, _, ag_ui, responses] = clients();
    for (client, place, part) in [
        (native, "/messages/1/content", own.clone()),
        (streams, "/messages/1/content", own.clone()),
        (
            ag_ui,
            "/messages/2/content",
            json!({"type": "image", "source": source}),
        ),
        (
            responses,
            "/input/0/output",
            json!({"type": "input_image", "image_url": url}),
        ),
    ] {
        let seats = Seats::default();
        let server = client.serve(&seats, RequestLimits::new()).await;
        let session = client.hand_over(&seats, &server).await;
        let mut next = client.next(&session, "");
        *next.pointer_mut(place).unwrap() = json!([part]);
        let whole = client.ask(&server, &next).await;
        assert!(matches!(whole.status(), 200 | 201), "{}", whole.text());
        until(async || seats.ended().len() == 2).await;
        assert_eq!(seats.given()[0].client_output, json!([own]));
    }
}
