use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread::sleep,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    engine::{Engine, free_port, signal},
    faketime::FakeTime,
};

pub(crate) struct Redis {
    pub(crate) port: u16,
    process: Mutex<Child>,
    time: Option<FakeTime>,
    _folder: TempDir,
}

impl Redis {
    /// Returns the reason for which the test cannot run.
    pub(crate) fn missing() -> Option<&'static str> {
        let version = Command::new("redis-server").arg("--version").output();
        version.is_err().then_some("redis-server is not installed")
    }

    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a folder"), arguments, None)
    }

    /// Starts an engine whose clock can be set.
    pub(crate) fn with_clock() -> Self {
        let folder = TempDir::new().expect("a folder");
        let time = FakeTime::in_folder(folder.path());
        Self::start_in(folder, &[], Some(time))
    }

    fn start_in(folder: TempDir, arguments: &[&str], time: Option<FakeTime>) -> Self {
        let port = free_port();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            // A replica's first copy starts at once, not after 5 s.
            .args(["--repl-diskless-sync-delay", "0"])
            .args(["--save", "", "--dir"])
            .arg(folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(time) = &time {
            time.apply(&mut command);
        }
        let it = Self {
            port,
            process: Mutex::new(command.spawn().expect("redis-server starts")),
            time,
            _folder: folder,
        };
        for _ in 0..500 {
            if it.ask("PING").is_some_and(|answer| answer == "+PONG\r\n") {
                return it;
            }
            sleep(Duration::from_millis(20));
        }
        panic!("redis-server does not answer");
    }

    /// Sends a command in a line, and returns the raw reply.
    pub(crate) fn ask(&self, command: &str) -> Option<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(connection, "{command}\r\nQUIT\r\n").ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer.strip_suffix("+OK\r\n")?.to_owned())
    }

    fn id(&self) -> u32 {
        self.process.lock().unwrap().id()
    }
}

impl Engine for Redis {
    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn pause(&self) {
        signal("-STOP", &[self.id()]);
    }

    fn resume_processes(&self) {
        signal("-CONT", &[self.id()]);
    }

    fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }

    fn set_clock(&self, ahead: i64) {
        let time = self.time.as_ref();
        time.expect("its clock can be set").set(ahead);
    }

    fn now(&self) -> u64 {
        let answer = self.ask("TIME").expect("it answers");
        // An array of two strings, the first with the seconds.
        let seconds = answer.lines().nth(2).and_then(|it| it.parse().ok());
        seconds.expect("a number")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
