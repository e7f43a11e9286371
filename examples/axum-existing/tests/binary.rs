//! Tests of the example as a process, over sockets.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The time after which a read counts as failed.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_axum-existing"))
            .args(["--store", "memory", "--port", "0"])
            .env_remove("OPENAI_BASE_URL")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
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

    /// Sends a request as Ann. Uses HTTP/1.0, whose bodies end with the connection.
    fn send(&self, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head} HTTP/1.0\r\nauthorization: Bearer ann-token\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
        }
        Answer { head, lines }
    }

    fn ask(&self, tokens: u32, delay_ms: u32) -> Answer {
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":"Hi"}}],
                "script":{{"tokens":{tokens},"delayMs":{delay_ms}}}}}"#
        );
        self.send("POST /api/chat", &body)
    }

    /// Signals the server to stop. Returns true if it exits with success, and the rest of the answer.
    fn stop(mut self, reading: Answer) -> (bool, String) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let rest = reading.rest();
        (self.process.wait().unwrap().success(), rest)
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

    fn event(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn rest(mut self) -> String {
        let late = Instant::now() + TIMEOUT;
        let mut rest = String::new();
        // Heartbeats keep a read from its timeout.
        while self.lines.read_line(&mut rest).unwrap() > 0 {
            assert!(Instant::now() < late, "it goes on: {rest}");
        }
        rest
    }
}

#[test]
fn notes_and_chat_are_served_side_by_side() {
    let server = Server::start();
    assert_eq!(server.send("POST /api/notes", r#""tea""#).status(), "201");
    assert_eq!(server.send("GET /api/notes", "").rest(), r#"["tea"]"#);
    let answer = server.ask(3, 0);
    assert_eq!(answer.status(), "200");
    assert!(answer.rest().ends_with("\"finishReason\":\"stop\"}}\n"));
}

#[test]
fn a_signal_stops_the_server_after_a_running_answer() {
    let server = Server::start();
    let mut answer = server.ask(20, 20);
    answer.event();
    let (success, rest) = server.stop(answer);
    assert!(
        success && rest.contains("\"finishReason\":\"stop\""),
        "{rest}"
    );
}

#[test]
fn a_signal_stops_the_server_during_an_endless_answer() {
    let server = Server::start();
    let mut answer = server.ask(2, 600_000);
    answer.event();
    assert!(server.stop(answer).0);
}

#[test]
fn an_unknown_option_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axum-existing"));
    let output = command.arg("--help").output().unwrap();
    assert!(!output.status.success());
}
