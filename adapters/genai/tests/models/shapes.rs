//! The shapes of Chat Completions that `unbroken`'s own provider reads, through genai.

use std::sync::Arc;

use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use unbroken::chat::ChatRequest;

use crate::stub::{answer, provider_at};

#[path = "../../../../tests/providers/shapes.rs"]
mod table;

use self::table::{ROLE, Shape, shapes, verdict};

const SHAPES: &str = include_str!("../../../../tests/providers/recorded/shapes.txt");

/// The shapes whose verdict is another one, since genai doesn't hand over what they differ by.
const OTHERS: [(&str, &str, &str); 4] = [
    (
        "a line of JSON that is an error",
        r#"{"text":"Hi","thinking":"","calls":[],"finish":"unknown"}"#,
        "genai drops a line without a field",
    ),
    (
        "a field error",
        r#"{"text":"Hi","thinking":"","calls":[],"finish":"unknown"}"#,
        "genai drops a field of this name",
    ),
    (
        "bytes that are no UTF-8",
        r#"{"error":true}"#,
        "genai fails on them",
    ),
    (
        "bytes that are no UTF-8 elsewhere",
        r#"{"error":true}"#,
        "genai fails on them",
    ),
];

async fn serve(listener: TcpListener, bodies: Arc<[Vec<u8>]>) {
    for body in bodies.iter() {
        let Ok((socket, _)) = listener.accept().await else {
            return;
        };
        send(socket, body).await;
    }
}

async fn send(socket: TcpStream, body: &[u8]) {
    let Some((_, mut socket)) = crate::stub::read(socket).await else {
        return;
    };
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";
    let _ = socket.write_all(&[head.as_bytes(), body].concat()).await;
}

async fn verdicts(bodies: Vec<Vec<u8>>) -> Vec<Value> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = bodies.len();
    let server = tokio::spawn(serve(listener, bodies.into()));
    let provider = provider_at(address, "gpt-4o-mini");
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        let (events, error) = answer(provider.clone(), ChatRequest::from_user("Hi")).await;
        found.push(verdict(events, error.is_some()));
    }
    server.await.unwrap();
    found
}

fn expected(shape: &Shape) -> Value {
    let other = OTHERS.iter().find(|(name, ..)| *name == shape.name);
    other.map_or_else(
        || shape.verdict.clone(),
        |(_, verdict, _)| serde_json::from_str(verdict).unwrap(),
    )
}

#[tokio::test]
async fn every_shape_has_the_verdict_of_the_other_provider_or_a_reason() {
    let shapes = shapes(SHAPES, ROLE);
    assert!(shapes.iter().any(|shape| shape.reason.is_some()));
    let found = verdicts(shapes.iter().map(|shape| shape.bytes.clone()).collect()).await;
    let mut wrong = Vec::new();
    for (shape, found) in shapes.iter().zip(found) {
        let expected = expected(shape);
        if found != expected {
            wrong.push(format!("{}: {found} instead of {expected}", shape.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for (name, verdict, _) in OTHERS {
        let shape = shapes.iter().find(|shape| shape.name == name).expect(name);
        assert_ne!(shape.verdict.to_string(), verdict, "{name}");
    }
}

#[tokio::test]
async fn a_shape_that_is_cut_is_no_other_success() {
    let without_usage = |mut verdict: Value| {
        verdict.as_object_mut().unwrap().remove("usage");
        verdict
    };
    let names = [
        "text",
        "two calls",
        "a call in the older form",
        "a character in two halves",
    ];
    for shape in shapes(SHAPES, ROLE) {
        if !names.contains(&shape.name.as_str()) {
            continue;
        }
        let whole = without_usage(shape.verdict);
        let cuts = (0..shape.bytes.len()).map(|at| shape.bytes[..at].to_vec());
        let mut cut = 0;
        for (at, found) in verdicts(cuts.collect()).await.into_iter().enumerate() {
            if found.get("error").is_some() {
                cut += 1;
            } else {
                assert_eq!(without_usage(found), whole, "{} cut at {at}", shape.name);
            }
        }
        assert!(cut > 10, "{}: {cut}", shape.name);
    }
}
