//! The tests that all chat examples pass. They run an example as a process and talk to it over sockets.
//! The including file names the binary.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use unbroken_conformance::{
    Verdict,
    http::{CASES, HttpTarget, suite},
};

/// The time after which a read counts as failed.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let mut process = Command::new(crate::BINARY)
            .args(["--store", "memory", "--port", "0"])
            .args(arguments)
            .env_remove("OPENAI_BASE_URL")
            .env_remove("OLLAMA_MODEL")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = said
            .find_map(|line| {
                Some(
                    line.unwrap()
                        .strip_prefix("listening on http://")?
                        .to_owned(),
                )
            })
            .expect("it prints its address");
        Self { process, address }
    }

    /// Sends a request. Over HTTP/1.0, whose bodies end with the connection and have no chunks.
    fn send(&self, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head} HTTP/1.0\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
        }
        Answer { head, lines }
    }

    /// Starts an answer of a number of tokens.
    fn ask(&self, tokens: u32, delay_ms: u32) -> Answer {
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":"Hi"}}],
                "script":{{"tokens":{tokens},"delayMs":{delay_ms}}}}}"#
        );
        self.send("POST /api/chat", &body)
    }

    fn ask_to_stop(&self) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
    }

    fn exit(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Answer {
    head: String,
    lines: BufReader<TcpStream>,
}

impl Answer {
    fn status(&self) -> &str {
        &self.head[9..12]
    }

    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_else(|| panic!("{name} in {}", self.head))
    }

    /// Reads the line of the next event.
    fn event(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn rest(mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        rest
    }
}

#[test]
fn probes_are_told_that_the_server_lives_and_is_ready() {
    let server = Server::start();
    for probe in ["GET /livez", "GET /readyz"] {
        let answer = server.send(probe, "");
        assert_eq!(answer.status(), "200", "{probe}");
        assert_eq!(answer.rest(), "", "{probe}");
    }
}

#[test]
fn the_page_is_served() {
    let server = Server::start();
    let page = server.send("GET /", "");
    assert_eq!(page.status(), "200");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.rest().contains("scripted"));
    assert_eq!(server.send("GET /unbroken.js", "").status(), "200");
    assert_eq!(server.send("GET /nowhere", "").status(), "404");
}

#[test]
fn an_answer_is_streamed_and_resumed() {
    let server = Server::start();
    let mut answer = server.ask(5, 1);
    assert_eq!(answer.status(), "200");
    let location = answer.header("content-location").to_owned();
    assert!(location.starts_with("/api/chat/"), "{location}");
    let had = answer.event() + &answer.event();
    assert!(
        had.contains("\"lsn\":1") && had.contains("\"lsn\":2"),
        "{had}"
    );
    drop(answer); // a lost connection

    let rest = server.send(&format!("GET {location}?after=2"), "").rest();
    let whole = server.send(&format!("GET {location}"), "").rest();
    assert_eq!(had + &rest, whole);
    assert_eq!(
        whole.lines().count(),
        7,
        "session_info, five tokens, complete"
    );
    assert!(whole.ends_with("\"finishReason\":\"stop\"}}\n"), "{whole}");
}

#[test]
fn an_answer_is_aborted() {
    let server = Server::start();
    let mut answer = server.ask(2, 600_000);
    answer.event();
    let location = answer.header("content-location");
    let aborted = server.send(&format!("POST {location}/abort"), "");
    assert_eq!(aborted.status(), "202");
    let last = answer.rest();
    assert!(last.contains("\"type\":\"aborted\""), "{last}");
}

#[test]
fn a_tool_runs_after_its_approval() {
    let server = Server::start();
    let body = r#"{"messages":[{"role":"user","content":"Hi"}],"enabledTools":true,"script":{
        "text":"","delayMs":0,"then":[{"results":true}],"toolCalls":[{"name":"send_mail",
        "arguments":{"to":"ada@example.org","subject":"Hi","text":"All is well."}}]}}"#;
    let mut answer = server.send("POST /api/chat", &body.replace('\n', ""));
    let location = answer.header("content-location").to_owned();
    let asked = loop {
        let event = answer.event();
        if event.contains("input_request") {
            break event;
        }
        assert!(!event.is_empty(), "it asks before it ends");
    };
    let (_, id) = asked.split_once(r#""inputId":""#).unwrap();
    let (id, _) = id.split_once('"').unwrap();
    let path = format!("POST {location}/inputs/{id}");
    assert_eq!(server.send(&path, r#"{"action":"accept"}"#).status(), "202");
    let rest = answer.rest();
    assert!(rest.contains("went to ada@example.org"), "{rest}");
    assert_eq!(
        server.send(&path, r#"{"action":"decline"}"#).status(),
        "409"
    );
}

#[test]
fn every_rule_of_the_protocol_holds() {
    let server = Server::start();
    let target = HttpTarget::new(&format!("http://{}/api/chat", server.address)).unwrap();
    let target = target.max_body(chat_shared::MAX_BODY);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(suite(target));
    assert!(report.passed(), "{report}");
    let passed = |verdict: &Verdict| *verdict == Verdict::Passed;
    let tested = report.findings().iter().filter(|it| passed(&it.verdict));
    // The other cases need owners, low limits or HTTP/2.
    assert!(tested.count() > CASES.len() * 3 / 4, "{report}");
}

#[test]
fn a_signal_stops_the_server_after_a_running_answer() {
    let server = Server::start();
    let mut answer = server.ask(20, 20);
    answer.event();
    server.ask_to_stop();
    assert!(answer.rest().contains("\"finishReason\":\"stop\""));
    assert!(server.exit().success());
}

#[test]
fn a_signal_stops_the_server_during_an_endless_answer() {
    let server = Server::start();
    let mut answer = server.ask(2, 600_000);
    answer.event();
    server.ask_to_stop();
    answer.rest(); // a read fails after its timeout
    assert!(server.exit().success());
}

#[test]
fn connections_with_half_a_head_are_closed_and_others_answered() {
    let server = Server::start_with(&["--head-timeout", "300"]);
    let heads = [
        "",
        "GET / HT",
        "POST /api/chat HTTP/1.1\r\nhost: x\r\n",
        "PRI * HTTP/2.0\r\n",
    ];
    let half: Vec<_> = (0..40)
        .map(|at| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            stream
                .write_all(heads[at % heads.len()].as_bytes())
                .unwrap();
            stream
        })
        .collect();
    assert_eq!(server.send("GET /", "").status(), "200");
    let closed = half.into_iter().map(|mut stream| {
        // A reset counts as an end; a read that takes too long doesn't.
        let mut said = Vec::new();
        match stream.read_to_end(&mut said) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    });
    assert_eq!(closed.filter(|closed| *closed).count(), 40);
    assert_eq!(server.send("GET /", "").status(), "200");
}
