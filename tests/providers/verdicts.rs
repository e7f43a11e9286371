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

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
};
use tower::{Service, ServiceExt};
use unbroken::{
    chat::{ChatRequest, FinishReason, ProviderError},
    provider::{
        Ollama, OpenAi,
        http::{AnswerFuture, AnswerStream},
    },
};

use crate::shapes::{ROLE, Shape, shapes, verdict};

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
    async fn verdicts(self, address: SocketAddr, shapes: usize) -> Option<(&'static str, Value)> {
        if !(self.program.exists() && self.installed.exists()) {
            assert!(env::var_os("CI").is_none(), "{} is missing", self.name);
            eprintln!("the package {} isn't installed", self.name);
            return None;
        }
        let mut command = Command::new(&self.program);
        command
            .arg(&self.script)
            .arg(format!("http://{address}"))
            .args((0..shapes).map(|at| at.to_string()));
        let output = spawn_blocking(move || command.output()).await;
        let output = output.unwrap().unwrap();
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{shown}");
        Some((self.name, serde_json::from_slice(&output.stdout).unwrap()))
    }
}

#[tokio::test]
async fn ours_is_that_of_openais_packages_or_has_a_reason() {
    let table = shapes(include_str!("recorded/shapes.txt"), ROLE);
    let packages = [
        Package::node("openai", "verdicts.mjs"),
        Package::python("openai", "verdicts.py"),
    ];
    compare(table, packages, |address, at| {
        OpenAi::builder()
            .base_url(format!("http://{address}/{at}"))
            .model("m")
            .retries(0)
            .build()
            .unwrap()
    })
    .await;
}

#[tokio::test]
async fn ours_is_that_of_ollamas_packages_or_has_a_reason() {
    let table = shapes(include_str!("recorded/shapes-ollama.txt"), "");
    let packages = [
        Package::node("ollama", "verdicts_ollama.mjs"),
        Package::python("ollama", "verdicts_ollama.py"),
    ];
    compare(table, packages, |address, at| {
        Ollama::builder()
            .base_url(format!("http://{address}/{at}"))
            .model("m")
            .retries(0)
            .build()
            .unwrap()
    })
    .await;
}

async fn compare<P>(
    shapes: Vec<Shape>,
    packages: [Package; 2],
    provider: impl Fn(SocketAddr, usize) -> P,
) where
    P: Service<ChatRequest, Response = AnswerStream, Error = ProviderError, Future = AnswerFuture>,
{
    let shapes: Arc<[Shape]> = shapes.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, Arc::clone(&shapes)));
    let mut theirs = Vec::new();
    for package in packages {
        theirs.extend(package.verdicts(address, shapes.len()).await);
    }
    let mut wrong = String::new();
    for (at, shape) in shapes.iter().enumerate() {
        let ours = ask(provider(address, at)).await;
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
async fn ask<P>(provider: P) -> Value
where
    P: Service<ChatRequest, Response = AnswerStream, Error = ProviderError>,
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

async fn serve(listener: TcpListener, shapes: Arc<[Shape]>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(answer(socket, Arc::clone(&shapes)));
    }
}

async fn answer(mut socket: TcpStream, shapes: Arc<[Shape]>) {
    let mut request = Vec::new();
    // The body of a request is JSON whose last bracket closes it.
    while !(request.ends_with(b"}") && request.contains(&b'{')) {
        if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.strip_prefix("POST /").expect(&request);
    let (at, _) = path.split_once('/').unwrap();
    let shape = &shapes[at.parse::<usize>().unwrap()];
    let kind = if path.contains("/api/chat ") {
        "application/x-ndjson"
    } else {
        "text/event-stream"
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        shape.bytes.len()
    );
    // A client may have disconnected after the end.
    let _ = socket.write_all(head.as_bytes()).await;
    let _ = socket.write_all(&shape.bytes).await;
}
