//! Connections to the other server that break.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use futures_util::StreamExt;
use http::Response;
use tower_layer::Layer;
use unbroken::{access::AnyoneWithTheId, chat::Liveness, durable::DurableLayer};

use super::{outer::provider, *};

/// The bytes of the stream of an answer.
async fn length() -> usize {
    let model = GatedModel::new(all_kinds());
    let app = mounted(Sessions::in_memory(), model.provider());
    let body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let request = http::Request::post("/api/chat")
        .header("content-type", "application/json")
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    body.unwrap().len()
}

#[tokio::test]
async fn a_connection_that_breaks_anywhere_is_read_on_without_a_second_call() {
    let (length, expected) = (length().await, told(&all_kinds()));
    let mut read_on = 0;
    for at in (0..length).step_by(17) {
        let model = GatedModel::new(all_kinds());
        let app = mounted(Sessions::in_memory(), model.provider());
        let cut = move |number| (number == 0).then_some(at);
        let server = InnerServer::start_with_cuts(app, cut).await;
        let events = ask(&provider(&server), ChatRequest::from_user("Hi"))
            .await
            .unwrap();
        assert_eq!(told(&events), expected, "cut at {at}");
        assert_eq!(
            (model.calls(), server.count("POST", "")),
            (1, 1),
            "cut at {at}"
        );
        read_on += server.reads().len();
    }
    assert!(read_on > 100, "{read_on}");
}

#[tokio::test]
async fn connections_that_break_again_and_again_go_on_while_something_comes() {
    let model = GatedModel::new(all_kinds());
    let app = mounted(Sessions::in_memory(), model.provider());
    // An event or two of each.
    let server = InnerServer::start_with_cuts(app, |_| Some(220)).await;
    let events = ask(&provider(&server), ChatRequest::from_user("Hi"))
        .await
        .unwrap();
    assert_eq!(told(&events), told(&all_kinds()));
    let reads = server.reads();
    assert!(reads.len() > 6, "{reads:?}");
    assert!(reads.is_sorted(), "{reads:?}");
    assert_eq!(model.calls(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_waited_for() {
    let model = GatedModel::new(all_kinds());
    model.open(4);
    let sessions = Sessions::in_memory();
    let app = mounted(sessions, model.provider());
    let server = InnerServer::start_with_cuts(app.clone(), |n| (n == 0).then_some(430)).await;
    let asked = {
        let provider = provider(&server);
        tokio::spawn(async move { ask(&provider, ChatRequest::from_user("Hi")).await })
    };
    while model.calls() == 0 {
        tokio::task::yield_now().await;
    }
    server.replace(None);
    model.open(usize::MAX);
    while server.reads().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.replace(Some(app));
    let events = asked.await.unwrap().unwrap();
    assert_eq!(told(&events), told(&all_kinds()));
    assert_eq!(model.calls(), 1);
}

#[tokio::test]
async fn heartbeats_keep_the_connection_and_are_no_progress_of_the_answer() {
    let model = GatedModel::new(all_kinds());
    model.open(0);
    let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
        .heartbeat(Duration::from_millis(20))
        .layer(model.provider());
    let app = axum::Router::new().nest_service("/api/chat", chat);
    let server = InnerServer::start(app).await;
    let builder = UnbrokenUpstream::builder(server.url());
    let provider = builder
        .idle_timeout(Duration::from_millis(400))
        .build()
        .unwrap();
    let mut request = ChatRequest::from_user("Hi");
    request.liveness = Liveness::new();
    let mut stream = provider.oneshot(request.clone()).await.unwrap();
    let place = stream.next().await.unwrap().unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(1200), stream.next());
    assert!(silent.await.is_err());
    assert_eq!(request.liveness.silence(), None);
    model.open(usize::MAX);
    let rest: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(told(&[vec![place], rest].concat()), told(&all_kinds()));
    assert!(server.reads().is_empty());
}

const LINES: [&str; 3] = [
    r#"{"lsn":1,"event":{"type":"session_info","capabilities":{}}}"#,
    r#"{"lsn":2,"event":{"type":"text","content":"Hi"}}"#,
    r#"{"lsn":3,"event":{"type":"complete","finishReason":"stop"}}"#,
];

/// A body of these bytes, which is cut after them or ends with them.
fn lines(text: String, is_cut: bool) -> Response<Body> {
    let sent = futures_util::stream::iter([Ok(text)]);
    let cut = futures_util::stream::once(async {
        // The bytes leave before the connection breaks.
        tokio::time::sleep(Duration::from_millis(2)).await;
        Err(std::io::Error::other("cut"))
    });
    let body = if is_cut {
        Body::from_stream(sent.chain(cut))
    } else {
        Body::from_stream(sent)
    };
    let response = Response::builder().header("content-type", "application/x-ndjson");
    response.header("x-session-tail", "2").body(body).unwrap()
}

/// A server that cuts its first stream after a text, and answers the reads after that as `read` says, by their numbers.
async fn cutting(
    read: impl Fn(usize) -> Response<Body> + Clone + Send + Sync + 'static,
) -> InnerServer {
    let reads = Arc::new(AtomicUsize::new(0));
    let app = axum::Router::new().fallback(move |request: http::Request<Body>| {
        let response = match (request.method().as_str(), request.uri().path()) {
            ("GET", _) => read(reads.fetch_add(1, Ordering::Relaxed)),
            (_, path) if path.ends_with("/abort") => Response::new(Body::empty()),
            _ => lines(format!("{}\n", LINES[..2].join("\n")), true),
        };
        std::future::ready(response)
    });
    InnerServer::start(app).await
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_cut_again_and_again_goes_on_while_heartbeats_come() {
    let brings = |text: &'static str| {
        move |number| match number {
            0..40 => lines(text.into(), true),
            _ => lines(format!("{}\n", LINES[2]), false),
        }
    };
    let server = cutting(brings("\n")).await;
    let events = ask(&provider(&server), ChatRequest::from_user("Hi")).await;
    assert_eq!(
        told(&events.unwrap()),
        told(&[ChatEvent::text("Hi"), ChatEvent::complete()])
    );
    assert_eq!(server.reads(), [2; 41]);
    // Nothing, and a part of an event that is cut at the same place each time.
    for text in ["", r#"{"lsn":3,"#] {
        let server = cutting(brings(text)).await;
        let events = ask(&provider(&server), ChatRequest::from_user("Hi")).await;
        assert!(events.unwrap_err().message().contains("cut off"), "{text}");
        assert_eq!(server.reads(), [2; 19], "{text}");
    }
}

#[tokio::test]
async fn an_answer_that_is_there_but_not_as_it_was_is_stopped() {
    for (status, aborts) in [(400, 1), (409, 1), (204, 0), (404, 0), (410, 0)] {
        let refused = move |_| {
            let response = Response::builder().status(status);
            response.body(Body::empty()).unwrap()
        };
        let server = cutting(refused).await;
        let mut request = ChatRequest::from_user("Hi");
        request.liveness = Liveness::new();
        let events = ask(&provider(&server), request).await;
        assert!(
            events.unwrap_err().message().contains("cut off"),
            "{status}"
        );
        while server.count("POST", "/abort") < aborts {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(server.count("POST", "/abort"), aborts, "{status}");
    }
}
