//! Signatures that a model's server demands back, after another server took the answer over.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use axum::body::{Body, to_bytes};
use futures_util::StreamExt;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
};
use tower::{ServiceBuilder, ServiceExt};
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatRequest, Content, Message, Part, Provider, Transcript},
    durable::{DurableLayer, Recovery},
    provider::OpenAi,
    session::Sessions,
    store::Memory,
    tools::{ToolLayer, Tools, tool_fn},
};

use crate::{
    stub::{Step, Stub, delta, done, finish, ok, refusal, serve_by, text},
    turns::{openai, round, signatures},
};

const LEASE: Duration = Duration::from_millis(400);
const ID: &str = "4kq8z1m0v7x2c5b9n3h6jr";

/// The signatures of the first rounds.
fn given(rounds: usize) -> Vec<(String, String)> {
    let of = |at| (format!("turn-{at}"), format!("call-{at}"));
    (1..=rounds).map(of).collect()
}

/// Starts a server that refuses a request without the signatures that it gave, and takes three rounds with
/// tools to answer. The first `held` requests of the second round get no more than its beginning.
async fn demanding(held: usize) -> Stub {
    let held = AtomicUsize::new(held);
    serve_by(move |body| {
        let rounds = signatures(body);
        if rounds != given(rounds.len()) {
            let why = r#"{"error":{"message":"a signature is missing","code":400}}"#;
            return vec![refusal("400 Bad Request", "", why)];
        }
        let one_less = |left: usize| left.checked_sub(1);
        if rounds.len() == 1 && held.fetch_update(SeqCst, SeqCst, one_less).is_ok() {
            let details = delta(
                r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"lost","index":0}]}"#,
            );
            return vec![ok(), details, text("Let me "), Step::Silence];
        }
        match rounds.len() {
            rounds @ 0..=2 => round(rounds + 1),
            _ => vec![ok(), text("Noon."), finish("stop"), done(), Step::End],
        }
    })
    .await
}

/// Returns the provider with its tool.
fn with_tool(openai: OpenAi) -> impl Provider {
    let now = tool_fn("now", "", |_: Value, _| async { Ok("noon") }).idempotent();
    ServiceBuilder::new()
        .layer(ToolLayer::new(Tools::new().with(now)))
        .service(openai)
}

/// One of the servers, on a runtime of its own, which ends without a word when it is dropped.
struct Server {
    runtime: Option<Runtime>,
    stub: String,
    store: Memory,
    recovery: Recovery,
    ended: mpsc::UnboundedSender<Transcript>,
}

impl Server {
    fn new(
        stub: &Stub,
        store: &Memory,
        recovery: Recovery,
        ended: &mpsc::UnboundedSender<Transcript>,
    ) -> Self {
        let mut runtime = Builder::new_multi_thread();
        Self {
            runtime: Some(runtime.worker_threads(1).enable_all().build().unwrap()),
            stub: stub.url("/v1"),
            store: store.clone(),
            recovery,
            ended: ended.clone(),
        }
    }

    /// Sends a request, and reads the response to its end, if it has one.
    fn send(&self, request: Request<Body>) -> tokio::task::JoinHandle<(StatusCode, String)> {
        let (store, recovery) = (self.store.clone(), self.recovery.clone());
        let (stub, ended) = (self.stub.clone(), self.ended.clone());
        self.runtime.as_ref().unwrap().spawn(async move {
            let openai = OpenAi::builder()
                .base_url(stub)
                .model("small")
                .continue_final_message(true);
            let sessions = Sessions::builder(store).lease(LEASE).build();
            let chat = DurableLayer::new(sessions, AnyoneWithTheId::new())
                .recovery(recovery)
                .on_end(move |it| {
                    let _ = ended.send(it.transcript.clone());
                    std::future::ready(())
                })
                .layer(with_tool(openai.build().unwrap()));
            let response = chat.oneshot(request).await.unwrap();
            let status = response.status();
            let body = to_bytes(Body::new(response.into_body()), usize::MAX).await;
            let body = String::from_utf8(body.unwrap_or_default().to_vec()).unwrap();
            (status, body)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn start() -> Request<Body> {
    let body = json!({"messages": [{"role": "user", "content": "Hi"}], "enabledTools": true});
    let request = Request::post("/").header("x-session-id", ID);
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

fn read() -> Request<Body> {
    Request::get(format!("/{ID}")).body(Body::empty()).unwrap()
}

/// Returns the signatures of all requests to the stub so far.
fn demanded(stub: &mut Stub) -> Vec<usize> {
    let seen = std::iter::from_fn(|| stub.requests.try_recv().ok());
    seen.map(|seen| signatures(&seen.body).len()).collect()
}

/// Loses the first server in the middle of the second round. Returns the answer that the second one ends.
async fn taken_over(recovery: Recovery) -> (Stub, Transcript, String) {
    let mut stub = demanding(1).await;
    let (store, (ended, mut endings)) = (Memory::new(), mpsc::unbounded_channel());
    let first = Server::new(&stub, &store, recovery.clone(), &ended);
    let second = Server::new(&stub, &store, recovery, &ended);
    first.send(start());
    for rounds in 0..=1 {
        let seen = stub.requests.recv().await.unwrap();
        assert_eq!(signatures(&seen.body), given(rounds));
    }
    // Until the second round has begun to be stored.
    let id = ID.parse().unwrap();
    loop {
        let page =
            unbroken::store::Store::read(&store, &id, unbroken::log::Position::START, usize::MAX);
        let page = page.await.unwrap();
        let records = page.chunks.iter().flat_map(unbroken::log::Chunk::records);
        let mut records = records.map(|it| String::from_utf8_lossy(it.bytes).into_owned());
        if records.any(|it| it.contains("Let me ")) {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(first);
    stub.closed.recv().await.unwrap();
    let (status, log) = second.send(read()).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let transcript = endings.recv().await.unwrap();
    (stub, transcript, log)
}

#[tokio::test]
async fn signatures_go_back_after_a_takeover_in_the_middle_of_the_second_round() {
    for (recovery, after) in [
        (Recovery::new().resume(), vec![1, 2, 3]),
        (Recovery::new().restart(), vec![0, 1, 2, 3]),
    ] {
        let (mut stub, transcript, log) = taken_over(recovery).await;
        assert!(log.contains(r#""complete""#), "{log}");
        assert!(log.contains("Noon."), "{log}");
        assert_eq!(demanded(&mut stub), after, "{log}");

        // The next question, with the conversation as it was stored.
        let mut request = ChatRequest::from_user("Hi");
        request.messages.extend(transcript.messages());
        request.messages.push(Message::user("And?"));
        let stored = serde_json::to_string(&request).unwrap();
        let request: ChatRequest = serde_json::from_str(&stored).unwrap();
        let answer = openai(&stub).oneshot(request.clone()).await.unwrap();
        answer.for_each(async |event| drop(event.unwrap())).await;
        let seen = stub.requests.recv().await.unwrap();
        assert_eq!(signatures(&seen.body), given(3));

        // The stub would have noticed.
        for without in [without_state_of_turns, without_state_of_calls] {
            let refused = openai(&stub).oneshot(without(request.clone())).await;
            assert!(refused.is_err(), "it was refused");
        }
    }
}

fn without_state_of_turns(mut request: ChatRequest) -> ChatRequest {
    for message in &mut request.messages {
        let parts = message.content.parts().iter();
        let kept = parts.filter(|part| !matches!(part, Part::Reasoning(_)));
        message.content = kept.cloned().collect::<Content>();
    }
    request
}

fn without_state_of_calls(mut request: ChatRequest) -> ChatRequest {
    for call in request
        .messages
        .iter_mut()
        .flat_map(|it| &mut it.tool_calls)
    {
        call.provider_state = None;
    }
    request
}

/// The control: a server that doesn't get its signatures back ends the answer.
#[tokio::test]
async fn a_takeover_by_a_server_that_loses_signatures_would_fail() {
    let stub = demanding(0).await;
    let provider = ServiceBuilder::new()
        .layer(ToolLayer::new(Tools::new().with(tool_fn(
            "now",
            "",
            |_: Value, _| async { Ok("noon") },
        ))))
        .map_request(without_state_of_calls)
        .service(openai(&stub));
    let answer = provider
        .oneshot(ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    let events: Vec<_> = answer.collect().await;
    assert!(events.last().unwrap().is_err(), "{events:?}");
}
