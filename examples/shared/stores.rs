//! Tests of the option `--store`: answers outlive the process if their store does. The including file
//! names the binary and the headers of its requests. Without an engine (at `REDIS_URL`, `POSTGRES_URL`, or
//! their default addresses) a test is ignored with the reason; if `CI` is set, it fails.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// The time after which a read counts as failed.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn main() -> ExitCode {
    let redis = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let postgres = env::var("POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned());
    let folder = env::temp_dir().join(format!("unbroken-stores-{}", std::process::id()));
    let disk = format!("disk:{}", folder.display());
    let trials = vec![
        trial("memory_ends_with_the_process", "memory".to_owned(), false),
        trial("disk_outlives_the_process", disk, true),
        trial("redis_outlives_the_process", redis, true),
        trial("postgres_outlives_the_process", postgres, true),
        Trial::test("an_unknown_store_is_refused", refused),
        Trial::test("a_disk_that_needs_a_restart_ends_the_process", || {
            ends_without_its_disk();
            Ok(())
        }),
    ];
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    let _ = fs::remove_dir_all(folder);
    conclusion.exit_code()
}

fn trial(name: &str, store: String, outlives: bool) -> Trial {
    Trial::ignorable_test(name, move || {
        if let Some(address) = engine_of(&store)
            && TcpStream::connect(&address).is_err()
        {
            if env::var_os("CI").is_some() {
                return Err(format!("nothing listens at {address}, and this is CI").into());
            }
            return Ok(Completion::ignored_with(format!(
                "nothing listens at {address}"
            )));
        }
        comes_back(&store, outlives);
        Ok(Completion::Completed)
    })
}

/// Returns the address of the engine in this URL.
fn engine_of(store: &str) -> Option<String> {
    let (scheme, rest) = store.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit('@').next()?;
    let port = if scheme.starts_with("redis") {
        6379
    } else {
        5432
    };
    Some(if host.to_socket_addrs().is_ok() {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    })
}

fn comes_back(store: &str, outlives: bool) {
    let mut server = Server::start(store);
    let question =
        r#"{"messages":[{"role":"user","content":"Hi"}],"script":{"tokens":5,"delayMs":1}}"#;
    let (head, whole) = server.send("POST /api/chat", question);
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(whole.ends_with("\"finishReason\":\"stop\"}}\n"), "{whole}");
    let location = head
        .lines()
        .find_map(|line| line.strip_prefix("content-location: "))
        .expect("the location of the answer");
    let location = location.trim_end();
    server.stop();

    let server = Server::start(store);
    let (head, again) = server.send(&format!("GET {location}"), "");
    if outlives {
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        assert_eq!(again, whole);
        let (head, _) = server.send(&format!("DELETE {location}"), "");
        assert!(head.starts_with("HTTP/1.0 204"), "{head}");
    } else {
        assert!(head.starts_with("HTTP/1.0 404"), "{head}");
    }
}

fn refused() -> Result<(), Failed> {
    for store in ["disc:there", "Memory", "mysql://127.0.0.1", ""] {
        let ended = Server::command(store).stderr(Stdio::piped()).output()?;
        assert!(!ended.status.success(), "{store} was taken");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains("disk:PATH"), "{said}");
    }
    Ok(())
}

/// Removes the directory of a store while the server runs.
fn ends_without_its_disk() {
    let folder = env::temp_dir().join(format!("unbroken-removed-{}", std::process::id()));
    let mut server = Server::start(&format!("disk:{}", folder.display()));
    fs::remove_dir_all(&folder).expect("the store is there");
    let question = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
    let mut stream = TcpStream::connect(&server.address).expect("it listens");
    let head = format!(
        "POST /api/chat HTTP/1.0\r\n{}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        crate::HEADERS,
        question.len()
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    stream.write_all(question.as_bytes()).expect("it reads");
    let began = Instant::now();
    let ended = loop {
        if let Some(ended) = server.process.try_wait().expect("it was started") {
            break ended;
        }
        assert!(began.elapsed() < TIMEOUT, "it ends");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(!ended.success(), "a supervisor starts it again");
}

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn command(store: &str) -> Command {
        let mut command = Command::new(crate::BINARY);
        command
            .args(["--store", store, "--port", "0"])
            .env_remove("OPENAI_BASE_URL")
            .stdout(Stdio::piped());
        command
    }

    fn start(store: &str) -> Self {
        let mut process = Self::command(store).spawn().expect("it starts");
        let mut said = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let address = said
            .find_map(|line| Some(line.ok()?.strip_prefix("listening on http://")?.to_owned()))
            .expect("it prints its address");
        Self { process, address }
    }

    /// Sends a request, and returns the head and the body of its response. Uses HTTP/1.0, whose bodies
    /// end with the connection and have no chunks.
    fn send(&self, head: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
        write!(
            stream,
            "{head} HTTP/1.0\r\n{}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            crate::HEADERS,
            body.len()
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    fn stop(&mut self) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("there is a program `kill`").success());
        assert!(self.process.wait().expect("it ends").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
