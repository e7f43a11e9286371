use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use unbroken::log::SessionId;

use super::{
    Error,
    client::{AnswerSpec, ask, read_until, start},
    received::Received,
};

/// The number of short answers whose time is added to a bound, for machines with other work.
pub(crate) const LOAD_FACTOR: u32 = 8;

/// The options of a server.
#[derive(Debug, Clone)]
pub(crate) struct ServerOptions {
    pub(crate) store: String,
    pub(crate) space: String,
    pub(crate) calls: std::path::PathBuf,
    pub(crate) lease: Duration,
    pub(crate) policy: &'static str,
    pub(crate) fault: &'static str,
    /// The address of the model's server, and true if it answers in the background.
    pub(crate) upstream: Option<(String, bool)>,
    /// How the application is told of endings: `none`, by an `outbox` or by a `hook`.
    pub(crate) endings: &'static str,
}

/// A server process. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) name: String,
}

impl Server {
    pub(crate) async fn start(options: &ServerOptions, name: &str) -> Result<Self, Error> {
        let (options, name) = (options.clone(), name.to_owned());
        let started = tokio::task::spawn_blocking(move || Self::spawn(&options, name));
        started.await?
    }

    fn spawn(options: &ServerOptions, name: String) -> Result<Self, Error> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_test-server"));
        if let Some((url, in_background)) = &options.upstream {
            let in_background = in_background.to_string();
            command.args(["--upstream", url, "--background", &in_background]);
        }
        let mut process = command
            .args(["--store", &options.store])
            .args(["--space", &options.space])
            .args(["--name", &name])
            .arg("--calls")
            .arg(&options.calls)
            .args(["--lease-ms", &options.lease.as_millis().to_string()])
            .args(["--policy", options.policy])
            .args(["--fault", options.fault])
            .args(["--endings", options.endings])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("a process without an output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let Some(addr) = line.trim_end().strip_prefix("listening on ") else {
            let _ = process.kill();
            let status = process.wait()?;
            return Err(format!("{name} exited with {status} before it listened").into());
        };
        Ok(Self {
            addr: addr.parse()?,
            process,
            name,
        })
    }

    /// Kills the process, like a crash, and waits for its exit.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Pauses the process (`SIGSTOP`).
    pub(crate) fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// Resumes the process (`SIGCONT`).
    pub(crate) fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        let id = Pid::from_raw(self.process.id().try_into()?).ok_or("no process")?;
        Ok(kill_process(id, signal)?)
    }
}

impl Server {
    /// Measures the time of a short answer, from the request to its end.
    pub(crate) async fn answer_time(&self) -> Result<Duration, Error> {
        let began = Instant::now();
        let request = start(SessionId::random().as_str(), AnswerSpec::tokens(1, 0));
        let mut answer = ask(self.addr, request).await?;
        read_until(&mut answer, &mut Received::default(), |_| false).await?;
        Ok(began.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
