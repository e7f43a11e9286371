//! Servers whose certificate is of a private CA, and proxies before them.

use std::{
    error::Error as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs},
};
use tower::{Service, ServiceExt as _};
use unbroken::{
    chat::{ChatEvent, ChatRequest, ProviderError},
    log::ErrorCode,
    provider::{Ollama, OpenAi, http::reqwest},
};

use crate::{
    certificates::{CERTIFICATES, HOST},
    stub::{Step, Stub, done, finish, ok, serve, text},
};

const KEY: &str = "sk-0123456789-secret";
// Only a test that is about to fail waits for so long.
const GUARD: Duration = Duration::from_secs(20);

/// A listener that passes connections on, and counts them.
struct Front {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

/// Serves a stub with TLS.
async fn with_tls(stub: &Stub) -> Front {
    let certificates = &*CERTIFICATES;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificates.certificate.clone()],
            certificates.key.clone_key(),
        );
    let (acceptor, target) = (TlsAcceptor::from(Arc::new(config.unwrap())), stub.address);
    front(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            // A client that doesn't trust the certificate ends the handshake.
            if let Ok(mut socket) = acceptor.accept(socket).await {
                let mut target = TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut socket, &mut target).await;
            }
        }
    })
    .await
}

/// Starts a proxy for `CONNECT`, through which each host is this target. Returns the heads that it gets.
async fn proxy(target: SocketAddr) -> (Front, mpsc::UnboundedReceiver<String>) {
    let (saw, heads) = mpsc::unbounded_channel();
    let front = front(move |mut socket| {
        let saw = saw.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = socket.read_u8().await else {
                    return;
                };
                head.push(byte);
            }
            let _ = saw.send(String::from_utf8(head).unwrap());
            let mut target = TcpStream::connect(target).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut socket, &mut target).await;
        }
    });
    (front.await, heads)
}

async fn front<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Front
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            count.fetch_add(1, SeqCst);
            tokio::spawn(serve(socket));
        }
    });
    Front {
        address,
        connections,
    }
}

type Answer = Result<Vec<ChatEvent>, ProviderError>;

/// Asks; an error after the first event is none here.
async fn ask<S, A>(provider: S) -> Answer
where
    S: Service<ChatRequest, Response = A, Error = ProviderError>,
    A: Stream<Item = Result<ChatEvent, ProviderError>>,
{
    let asked = provider.oneshot(ChatRequest::from_user("Hi"));
    let answer = timeout(GUARD, asked).await.unwrap()?;
    let events = timeout(GUARD, answer.collect::<Vec<_>>()).await.unwrap();
    let events = events.into_iter().collect::<Result<_, _>>();
    Ok(events.expect("a whole answer"))
}

/// A provider of each kind, with the answer of its server.
#[derive(Clone, Copy, Debug)]
enum Kind {
    OpenAi,
    Ollama,
}

impl Kind {
    const ALL: [Self; 2] = [Self::OpenAi, Self::Ollama];

    async fn stub(self) -> Stub {
        let line = |line: &str| Step::Chunk(format!("{line}\n").into_bytes());
        serve(match self {
            Self::OpenAi => vec![ok(), text("Hello"), finish("stop"), done(), Step::End],
            Self::Ollama => vec![
                ok(),
                line(r#"{"message":{"role":"assistant","content":"Hello"},"done":false}"#),
                line(r#"{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}"#),
                Step::End,
            ],
        })
        .await
    }

    async fn ask(self, base: &str, client: Option<reqwest::Client>) -> Answer {
        macro_rules! provider {
            ($builder:expr) => {{
                let mut builder = $builder.base_url(base).api_key(KEY).model("small");
                if let Some(client) = client {
                    builder = builder.http_client(client);
                }
                builder.build().unwrap()
            }};
        }
        match self {
            Self::OpenAi => ask(provider!(OpenAi::builder())).await,
            Self::Ollama => ask(provider!(Ollama::builder())).await,
        }
    }
}

/// Returns a builder of a client that trusts the private CA.
fn trusting() -> reqwest::ClientBuilder {
    let ca = reqwest::Certificate::from_pem(&CERTIFICATES.ca).unwrap();
    reqwest::Client::builder().tls_certs_merge([ca])
}

fn assert_answered(answer: &Answer, kind: Kind) {
    let events = answer.as_ref().expect("an answer");
    assert!(
        events.contains(&ChatEvent::text("Hello")),
        "{kind:?}: {events:?}"
    );
}

/// Checks an error that came before the first event: what it says and what it rests on.
fn assert_untrusted(answer: Answer, kind: Kind) {
    let error = answer.expect_err("the certificate isn't trusted");
    let public = error.to_string();
    assert!(public.contains("certificate"), "{kind:?}: {public}");
    for secret in [KEY, "127.0.0.1", HOST] {
        assert!(!public.contains(secret), "{public}");
    }
    assert!(!error.is_recoverable(), "{kind:?}: {public}");
    let sources = std::iter::successors(error.source(), |error| (*error).source());
    let sources: Vec<_> = sources.map(ToString::to_string).collect();
    let sources = sources.join("; ");
    assert!(sources.contains("invalid peer certificate"), "{sources}");
}

#[tokio::test]
async fn a_certificate_of_a_private_ca_is_refused_by_name_and_once_and_trusted_with_its_root() {
    for kind in Kind::ALL {
        let mut stub = kind.stub().await;
        let server = with_tls(&stub).await;
        let base = format!("https://{}/v1", server.address);
        assert_untrusted(kind.ask(&base, None).await, kind);
        assert_eq!(server.connections.load(SeqCst), 1, "{kind:?}: tried again");
        assert!(stub.requests.try_recv().is_err(), "the request was sent");

        let client = trusting().build().unwrap();
        assert_answered(&kind.ask(&base, Some(client)).await, kind);
        assert_eq!(server.connections.load(SeqCst), 2, "{kind:?}");
        let head = stub.requests.recv().await.unwrap().head;
        assert!(
            head.to_lowercase().contains(&format!("bearer {KEY}")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused_by_name() {
    for kind in Kind::ALL {
        let mut stub = kind.stub().await;
        let server = with_tls(&stub).await;
        let client = trusting().resolve("other.invalid", server.address).build();
        let base = format!("https://other.invalid:{}/v1", server.address.port());
        assert_untrusted(kind.ask(&base, Some(client.unwrap())).await, kind);
        assert!(stub.requests.try_recv().is_err(), "the request was sent");
    }
}

#[tokio::test]
async fn a_server_with_a_private_certificate_is_reached_through_a_proxy_that_sees_its_name_only() {
    for kind in Kind::ALL {
        let mut stub = kind.stub().await;
        let server = with_tls(&stub).await;
        let (proxy, mut heads) = proxy(server.address).await;
        let base = format!("https://{HOST}/v1");
        let via = |client: reqwest::ClientBuilder| {
            let proxy = format!("http://{}", proxy.address);
            client
                .proxy(reqwest::Proxy::all(proxy).unwrap())
                .build()
                .unwrap()
        };
        let untrusting = via(reqwest::Client::builder());
        assert_untrusted(kind.ask(&base, Some(untrusting)).await, kind);
        assert_answered(&kind.ask(&base, Some(via(trusting()))).await, kind);
        for _ in 0..2 {
            let head = heads.recv().await.unwrap();
            assert!(
                head.starts_with(&format!("CONNECT {HOST}:443 HTTP/1.1\r\n")),
                "{head}"
            );
            assert!(!head.contains(KEY), "{head}");
        }
        assert_eq!(proxy.connections.load(SeqCst), 2);
        let head = stub.requests.recv().await.unwrap().head;
        assert!(head.contains(&format!("host: {HOST}\r\n")), "{head}");
    }
}

/// The connection is there, and is not secure yet: nothing but the time limit ends this.
#[tokio::test(start_paused = true)]
async fn a_handshake_without_an_answer_ends_at_the_time_limit_of_connecting_and_is_not_tried_again()
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}/v1", listener.local_addr().unwrap());
    let limit = Duration::from_secs(3);
    macro_rules! asked {
        ($builder:expr) => {{
            let builder = $builder.base_url(&base).api_key(KEY).model("small");
            let began = tokio::time::Instant::now();
            let error = ask(builder.connect_timeout(limit).build().unwrap())
                .await
                .unwrap_err();
            assert_eq!(error.code(), ErrorCode::Timeout);
            assert!(error.is_recoverable());
            assert!(!error.to_string().contains("127.0.0.1"), "{error}");
            assert!(
                (limit..2 * limit).contains(&began.elapsed()),
                "{:?}",
                began.elapsed()
            );
            assert!(listener.accept().now_or_never().is_some());
            assert!(
                listener.accept().now_or_never().is_none(),
                "it was tried again"
            );
        }};
    }
    asked!(OpenAi::builder());
    asked!(Ollama::builder());
}
