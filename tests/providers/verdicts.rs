//! The verdict on each shape of an answer, beside those of the vendors' own packages on the same bytes.
//!
//! Without Node, Python or the packages (`tests/clients` says how to install them) only ours is looked at. On
//! a CI machine (`CI` is set) they must be there.

use std::{
    env,
    fmt::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
};
use tower::{Service, ServiceExt};
use unbroken::{
    chat::{ChatEvent, ChatRequest, FinishReason, ProviderError},
    provider::{Ollama, OpenAi, ResponsesUpstream},
};

use crate::shapes::{ROLE, Shape, shapes, verdict};

const SSE: &str = "text/event-stream";
/// The ways in which the packages read an answer: piece by piece, and with a helper where they have one.
const WAYS: [&str; 2] = ["raw", "helper"];

/// A script that prints the verdicts of a package.
struct Package {
    name: &'static str,
    program: PathBuf,
    script: PathBuf,
    installed: PathBuf,
}

impl Package {
    fn node(package: &str, script: &str) -> Self {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let modules = clients.join("node_modules");
        Self {
            name: "for JavaScript",
            program: modules.join("node/bin/node"),
            script: clients.join(script),
            installed: modules.join(package).join("package.json"),
        }
    }

    fn python(package: &str, script: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let environment = root.join("target/clients-python");
        let versions = environment.join("lib").read_dir().into_iter().flatten();
        let library = versions.flatten().next().map(|version| version.path());
        Self {
            name: "for Python",
            program: environment.join("bin/python"),
            script: root.join("tests/clients").join(script),
            installed: library
                .unwrap_or_default()
                .join("site-packages")
                .join(package),
        }
    }

    /// Returns the verdicts, if the package is installed.
    async fn verdicts(
        self,
        address: SocketAddr,
        names: impl Iterator<Item = String>,
    ) -> Option<(&'static str, Value)> {
        if !(self.program.exists() && self.installed.exists()) {
            assert!(env::var_os("CI").is_none(), "{} is missing", self.name);
            eprintln!("the package {} isn't installed", self.name);
            return None;
        }
        let mut command = Command::new(&self.program);
        command
            .arg(&self.script)
            .arg(format!("http://{address}"))
            .args(names);
        let output = spawn_blocking(move || command.output()).await;
        let output = output.unwrap().unwrap();
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{shown}");
        Some((self.name, serde_json::from_slice(&output.stdout).unwrap()))
    }
}

fn openai(address: SocketAddr, name: &str) -> OpenAi {
    let builder = OpenAi::builder().base_url(format!("http://{address}/{name}"));
    builder.model("m").retries(0).build().unwrap()
}

fn ollama(address: SocketAddr, name: &str) -> Ollama {
    let builder = Ollama::builder().base_url(format!("http://{address}/{name}"));
    builder.model("m").retries(0).build().unwrap()
}

fn responses(address: SocketAddr, name: &str) -> ResponsesUpstream {
    let builder = ResponsesUpstream::builder().base_url(format!("http://{address}/{name}"));
    builder.model("m").retries(0).build().unwrap()
}

#[tokio::test]
async fn ours_is_that_of_openais_packages_or_has_a_reason() {
    let table = shapes(include_str!("recorded/shapes.txt"), ROLE);
    let packages = [
        Package::node("openai", "verdicts.mjs"),
        Package::python("openai", "verdicts.py"),
    ];
    compare(table, SSE, packages, openai).await;
}

#[tokio::test]
async fn ours_is_that_of_ollamas_packages_or_has_a_reason() {
    let table = shapes(include_str!("recorded/shapes-ollama.txt"), "");
    let packages = [
        Package::node("ollama", "verdicts_ollama.mjs"),
        Package::python("ollama", "verdicts_ollama.py"),
    ];
    compare(table, "application/x-ndjson", packages, ollama).await;
}

#[tokio::test]
async fn ours_of_whole_completions_is_that_of_openais_packages_or_has_a_reason() {
    let table = shapes(include_str!("recorded/shapes-whole.txt"), "");
    let packages = [
        Package::node("openai", "verdicts_whole.mjs"),
        Package::python("openai", "verdicts_whole.py"),
    ];
    compare(table, "application/json", packages, openai).await;
}

#[tokio::test]
async fn ours_of_whole_answers_is_that_of_ollamas_packages_or_has_a_reason() {
    let table = shapes(include_str!("recorded/shapes-ollama-whole.txt"), "");
    let packages = [
        Package::node("ollama", "verdicts_ollama_whole.mjs"),
        Package::python("ollama", "verdicts_ollama_whole.py"),
    ];
    compare(table, "application/json", packages, ollama).await;
}

#[tokio::test]
async fn ours_of_responses_is_that_of_openais_packages_or_has_a_reason() {
    let table = shapes(include_str!("recorded/shapes-responses.txt"), "");
    let packages = [
        Package::node("openai", "verdicts_responses.mjs"),
        Package::python("openai", "verdicts_responses.py"),
    ];
    compare(table, SSE, packages, responses).await;
}

/// A stream that ends before its last event is a cut here. Read raw, the packages end without an error and without
/// the end of the response, and Node's helper fails.
#[tokio::test]
async fn of_a_stream_of_responses_that_is_cut_at_any_byte_no_package_has_more() {
    let stream = shapes(include_str!("recorded/shapes-responses.txt"), "").swap_remove(0);
    let packages = [
        Package::node("openai", "verdicts_responses.mjs"),
        Package::python("openai", "verdicts_responses.py"),
    ];
    cut(&stream.bytes, SSE, packages, responses).await;
}

#[tokio::test]
async fn of_a_whole_answer_that_is_cut_at_any_byte_no_package_has_more() {
    let body = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"é 😀","tool_calls":[{"id":"a","type":"function","function":{"name":"t","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let packages = [
        Package::node("openai", "verdicts_whole.mjs"),
        Package::python("openai", "verdicts_whole.py"),
    ];
    cut(body.as_bytes(), "application/json", packages, openai).await;
    let body = "{\n\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"é\"},\n\"done\":true,\"done_reason\":\"stop\"}\n";
    let packages = [
        Package::node("ollama", "verdicts_ollama_whole.mjs"),
        Package::python("ollama", "verdicts_ollama_whole.py"),
    ];
    cut(body.as_bytes(), "application/json", packages, ollama).await;
}

/// Compares the verdicts on all beginnings of a body. Ours is an answer where each package's is one that has its
/// end, and it is the same; and an error where no package has that end.
///
/// The last event of a stream counts here without its empty line, because its JSON is whole. The packages drop it.
async fn cut<P, S>(
    body: &[u8],
    content_type: &'static str,
    packages: [Package; 2],
    provider: impl Fn(SocketAddr, &str) -> P,
) where
    P: Service<ChatRequest, Response = S, Error = ProviderError>,
    S: Stream<Item = Result<ChatEvent, ProviderError>>,
{
    let shape = Shape {
        name: "cut".into(),
        bytes: body.to_vec(),
        verdict: Value::Null,
        reason: None,
    };
    let (address, server) = start(vec![shape].into(), content_type).await;
    let mut theirs = Vec::new();
    for package in packages {
        let names = (0..=body.len()).map(|at| format!("0-{at}"));
        theirs.extend(package.verdicts(address, names).await);
    }
    let mut answers = 0;
    for at in 0..=body.len() {
        let name = format!("0-{at}");
        let ours = ask(provider(address, &name)).await;
        let ours = compared(&ours);
        answers += usize::from(ours.is_array());
        for (package, all) in &theirs {
            for way in WAYS {
                let theirs = &all[&name][way];
                if theirs.is_null() {
                    continue;
                }
                let theirs = normal(theirs);
                let has_end = theirs.is_array() && !theirs[2].is_null();
                let lacks_line = body[at..].iter().all(|byte| *byte == b'\n');
                if !has_end && content_type == SSE && lacks_line {
                    continue;
                }
                assert_eq!(
                    has_end,
                    ours.is_array(),
                    "{package} at {at}: {theirs}, ours {ours}"
                );
                assert!(
                    !has_end || theirs == ours,
                    "{package} at {at}: {theirs}, ours {ours}"
                );
            }
        }
    }
    server.abort();
    assert!((1..10).contains(&answers), "{answers} of {}", body.len());
}

async fn compare<P, S>(
    shapes: Vec<Shape>,
    content_type: &'static str,
    packages: [Package; 2],
    provider: impl Fn(SocketAddr, &str) -> P,
) where
    P: Service<ChatRequest, Response = S, Error = ProviderError>,
    S: Stream<Item = Result<ChatEvent, ProviderError>>,
{
    let shapes: Arc<[Shape]> = shapes.into();
    let (address, server) = start(Arc::clone(&shapes), content_type).await;
    let mut theirs = Vec::new();
    for package in packages {
        let names = (0..shapes.len()).map(|at| at.to_string());
        theirs.extend(package.verdicts(address, names).await);
    }
    let mut wrong = String::new();
    for (at, shape) in shapes.iter().enumerate() {
        let ours = ask(provider(address, &at.to_string())).await;
        if ours != shape.verdict {
            let expected = &shape.verdict;
            writeln!(wrong, "{}: {ours} instead of {expected}", shape.name).unwrap();
        }
        let ours = compared(&ours);
        let others = || {
            let each = theirs.iter().flat_map(|(name, all)| {
                let all = &all[at.to_string()];
                WAYS.map(|way| (*name, way, &all[way]))
            });
            each.filter(|(_, _, verdict)| !verdict.is_null())
        };
        let differ = others().any(|(_, _, theirs)| normal(theirs) != ours);
        // A reason that isn't needed any more is as wrong as one that is missing.
        let fits = match &shape.reason {
            Some(_) => differ || theirs.len() < 2,
            None => !differ,
        };
        if !fits {
            let reason = &shape.reason;
            writeln!(wrong, "{} ({reason:?}): ours {ours}", shape.name).unwrap();
            for (name, way, theirs) in others() {
                writeln!(wrong, "    {name}, {way}: {theirs}").unwrap();
            }
        }
    }
    server.abort();
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Returns our verdict on one shape.
async fn ask<P, S>(provider: P) -> Value
where
    P: Service<ChatRequest, Response = S, Error = ProviderError>,
    S: Stream<Item = Result<ChatEvent, ProviderError>>,
{
    let Ok(stream) = provider.oneshot(ChatRequest::from_user("Hi")).await else {
        return verdict([], true);
    };
    let events: Vec<_> = stream.collect().await;
    let failed = events.iter().any(Result::is_err);
    let events = events.iter().flatten();
    let events = events.map(|event| serde_json::from_slice(&event.to_json()).unwrap());
    verdict(events, failed)
}

/// Returns the part of our verdict that can be compared with others.
fn compared(ours: &Value) -> Value {
    match ours.get("error") {
        Some(_) => ours.clone(),
        None => json!([ours["text"], ours["calls"], ours["finish"]]),
    }
}

/// Returns another verdict in our words.
fn normal(theirs: &Value) -> Value {
    if theirs.get("error").is_some() {
        return json!({"error": true});
    }
    let calls = theirs["calls"].as_array().unwrap().iter();
    let calls: Vec<_> = calls
        .map(|call| {
            let arguments = match call[1].as_str().unwrap() {
                "" => json!({}),
                text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            };
            json!([call[0], arguments])
        })
        .collect();
    let finish = match theirs["finish"].as_str() {
        None => theirs["finish"].clone(),
        Some(word) => match FinishReason::of_vendor(word) {
            FinishReason::Stop if !calls.is_empty() => "tool_calls".into(),
            reason => reason.as_str().into(),
        },
    };
    json!([theirs["text"], calls, finish])
}

/// Starts a server of shapes. The answer of `/{number}` is that shape, and that of `/{number}-{length}` its
/// first bytes.
async fn start(
    shapes: Arc<[Shape]>,
    content_type: &'static str,
) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(socket, Arc::clone(&shapes), content_type));
        }
    });
    (address, server)
}

async fn answer(mut socket: TcpStream, shapes: Arc<[Shape]>, content_type: &str) {
    let mut request = Vec::new();
    // The body of a request is JSON whose last bracket closes it.
    while !(request.ends_with(b"}") && request.contains(&b'{')) {
        if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.strip_prefix("POST /").expect(&request);
    let (name, _) = path.split_once('/').unwrap();
    let (at, length) = name.split_once('-').unwrap_or((name, ""));
    let bytes = &shapes[at.parse::<usize>().unwrap()].bytes;
    let bytes = &bytes[..length.parse().unwrap_or(bytes.len())];
    let length = bytes.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    // A client may have disconnected after the end.
    let _ = socket.write_all(head.as_bytes()).await;
    let _ = socket.write_all(bytes).await;
}
